"""Names that move: what they stand for is at the destination already, under whatever name, and must not be lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.net.rig import Rig, describe

SIZES = (100, 1000, 10_000, 300_000, 1_500_000)


def rename_directory(root: Path) -> None:
    (root / "d").rename(root / "d2")


def rename_to_the_front(root: Path) -> None:
    (root / "d").rename(root / "a")


def rename_inner(root: Path) -> None:
    (root / "d" / "inner").rename(root / "d" / "z")


def move_into_another(root: Path) -> None:
    (root / "d").rename(root / "other" / "d")


def move_out(root: Path) -> None:
    (root / "n").mkdir()
    (root / "d" / "2").rename(root / "n" / "g")
    shutil.rmtree(root / "d")


def file_in_place_of_its_directory(root: Path) -> None:
    (root / "d" / "3").rename(root / "x")
    shutil.rmtree(root / "d")
    (root / "x").rename(root / "d")


def directory_in_place_of_its_file(root: Path) -> None:
    (root / "plain").rename(root / "x")
    (root / "plain").mkdir()
    (root / "x").rename(root / "plain" / "inside")


def swap(root: Path) -> None:
    (root / "d").rename(root / "x")
    (root / "other").rename(root / "d")
    (root / "x").rename(root / "other")


def copy_and_drop(root: Path) -> None:
    shutil.copytree(root / "d", root / "w")
    shutil.rmtree(root / "d")


def link_becomes_a_file(root: Path) -> None:
    (root / "soft").unlink()
    (root / "soft").write_bytes(b"now a file")
    (root / "plain").unlink()
    (root / "plain").symlink_to("soft")


CHANGES = (
    link_becomes_a_file,
    rename_directory, rename_to_the_front, rename_inner, move_into_another, move_out, file_in_place_of_its_directory,
    directory_in_place_of_its_file, swap, copy_and_drop,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("target", ["{base}/target", "far:{base}/target", "far:pfs:target"])
def test_what_moves_is_copied_there(tmp_path: Path, target: str, change: Callable[[Path], None]) -> None:
    rig, root, source = Rig(tmp_path), tmp_path / "source", random.Random(1)
    rig.make_pool()
    (root / "d" / "inner").mkdir(parents=True)
    (root / "other").mkdir()
    for number, size in enumerate(SIZES):
        (root / "d" / f"{number}").write_bytes(source.randbytes(size))
        (root / "d" / "inner" / f"{number}").write_bytes(source.randbytes(size))
    (root / "soft").symlink_to("nowhere")
    (root / "other" / "x").write_bytes(source.randbytes(50_000))
    (root / "plain").write_bytes(source.randbytes(50_000))
    where = target.format(base=tmp_path)
    rig.sync(f"{root}/", where, delete=True)
    change(root)
    summary = rig.sync(f"{root}/", where, delete=True)
    assert not rig.troubles
    if change is link_becomes_a_file:
        assert {told.action for told in rig.changes} <= {"new", "content", "metadata"}
    assert summary.sent.wire < 12_000
    rig.sync(f"{where}/", tmp_path / "back")
    assert describe(tmp_path / "back") == describe(root)
