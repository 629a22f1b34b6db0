"""Machine code that is remembered: the same code, and nothing that somebody else may have written is executed."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from packetfs.engines.compiled import cache
from packetfs.engines.compiled.cache import CodeCache, load_code
from packetfs.engines.compiled.recipe import of_program, recipe
from packetfs.vm.image import load
from tests.vm.rig import program

SEVEN = "define i64 @number() {\n  ret i64 7\n}\n"


def call(text: str = SEVEN) -> int:
    code = load_code(text.encode(), "number", lambda: text)
    return int(ctypes.CFUNCTYPE(ctypes.c_int64)(code.address)())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "_used", CodeCache(os.fspath(tmp_path / "code")))
    return tmp_path / "code"


def made(place: Path) -> Path:
    (file,) = place.iterdir()
    return file


def test_code_is_made_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call() == 7
    assert (place.stat().st_mode & 0o777, made(place).stat().st_mode & 0o777) == (0o700, 0o600)
    monkeypatch.setattr(cache, "_make", lambda *_, **__: pytest.fail("it was made again"))
    assert call() == 7


def test_a_damaged_file_is_made_anew(place: Path) -> None:
    call()
    whole = made(place).read_bytes()
    for damaged in (b"", whole[:31], whole[:-1], whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], whole + b"\0"):
        made(place).write_bytes(damaged)
        assert call() == 7
        assert made(place).read_bytes() == whole


@pytest.mark.parametrize("target", ["directory", "file"])
def test_what_others_may_write_is_not_executed(place: Path, target: str) -> None:
    call()
    path = place if target == "directory" else made(place)
    path.chmod(0o770)
    assert CodeCache(os.fspath(place)).get(made(place).name) is None
    assert call() == 7


def test_a_link_is_not_followed(place: Path, tmp_path: Path) -> None:
    call()
    file = made(place)
    other = tmp_path / "other"
    file.rename(other)
    file.symlink_to(other)
    assert CodeCache(os.fspath(place)).get(file.name) is None


def test_the_oldest_go(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CODE_CACHE_FILES", 3)
    for number in range(6):
        assert call(SEVEN.replace("7", str(number))) == number
    assert len(list(place.iterdir())) == 3


@pytest.mark.usefixtures("place")
def test_a_program_without_code_needs_no_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (load(program(f"mov r0, {number}\nexit")) for number in (1, 2))
    assert not cache.has_code(of_program(one))
    load_code(recipe(one, 64), "number", lambda: SEVEN)
    assert cache.has_code(of_program(one))
    assert not cache.has_code(of_program(other))
    monkeypatch.setattr(cache, "_used", None)
    assert not cache.has_code(of_program(one))


def test_a_place_that_cannot_be_written_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_used", CodeCache("/proc/none/code"))
    assert call() == 7
