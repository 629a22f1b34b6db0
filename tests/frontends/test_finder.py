"""Modules that are found by `pfs` are those that Python would have found, also where bytecode is old or missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import pytest

from packetfs.frontends.cli.finder import Finder

TAG = sys.implementation.cache_tag or ""
SHOW = """
import sys
from packetfs.frontends.cli import finder
finder.install()
import packetfs.pool.pool, packetfs.packet
print(type(packetfs.pool.pool.__loader__).__module__, packetfs.packet.__loader__.path == packetfs.packet.__file__)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a module and a package in it, and no bytecode yet."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("WHERE = 'inner'\n")
    (tmp_path / "module.py").write_text("VALUE = 1\n")
    return tmp_path


def load(name: str, package: Path) -> ModuleType:
    spec = Finder("there.", TAG).find_spec(f"there.{name}", [str(package)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["module", "inner"])
def test_what_is_found_is_what_python_finds(package: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    spec = PathFinder.find_spec(f"there.{name}", [str(package)])
    assert spec is not None
    wanted = importlib.util.module_from_spec(spec)
    for _ in range(2):  # the first time bytecode is made
        found = load(name, package)
        for word in ("__name__", "__file__", "__cached__", "__package__"):
            assert getattr(found, word) == getattr(wanted, word)
        assert getattr(found, "__path__", None) == getattr(wanted, "__path__", None)
        assert Path(found.__cached__).exists()


def test_a_source_that_changed_is_compiled_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    source = package / "module.py"
    assert load("module", package).VALUE == 1
    source.write_text("VALUE = 22\n")
    assert load("module", package).VALUE == 22
    before = source.stat()
    source.write_text("VALUE = 33\n")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert load("module", package).VALUE == 33


@pytest.mark.parametrize("damage", [b"", b"\0" * 16, b"\xff" * 100])
def test_what_is_no_bytecode_is_passed_over(package: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    cached = Path(load("module", package).__cached__)
    cached.write_bytes(damage)
    assert load("module", package).VALUE == 1


def test_bytecode_that_is_known_by_its_source_alone_is_pythons_to_check(package: Path) -> None:
    import py_compile

    py_compile.compile(str(package / "module.py"), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    (package / "module.py").write_text("VALUE = 2\n")
    assert load("module", package).VALUE == 2


def test_what_is_no_source_is_left_to_python(package: Path) -> None:
    finder = Finder("there.", TAG)
    assert finder.find_spec("there.missing", [str(package)]) is None
    assert finder.find_spec("elsewhere.module", [str(package)]) is None
    assert finder.find_spec("there") is None


def test_pfs_finds_its_modules_this_way() -> None:
    shown = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert shown.stdout == "packetfs.frontends.cli.finder True\n"
    optimized = subprocess.run([sys.executable, "-O", "-c", SHOW], capture_output=True, text=True, check=True)
    assert optimized.stdout.startswith("importlib" if sys.version_info >= (3, 12) else "_frozen_importlib_external")
