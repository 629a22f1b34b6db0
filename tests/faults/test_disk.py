"""The disk of either side is full: the sync says so, no file is torn, and with room the next run finishes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure import clone
from bench.peers import Stage
from tests.faults.syncs import judge_end, judge_half_way, make_stage, sync
from tests.faults.trees import advance, build_states, read_state

SPARE = 600_000
"""Bytes that are free beside the old state: less than the changed files take."""


def mount(folder: Path, size: int, *, again: bool = False) -> None:
    options = f"{'remount,' if again else ''}size={size}"
    command = ["mount", "-t", "tmpfs", "-o", options, "packetfs-test", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs that can be made larger; only root may."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount(folder, 64 << 20)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def used(folder: Path) -> int:
    blocks = subprocess.run(["du", "-s", "-B1", str(folder)], check=True, capture_output=True, text=True)
    return int(blocks.stdout.split()[0])


@pytest.mark.parametrize("full", ["target", "near", "far"])
def test_full_disk(tmp_path: Path, small_disk: Path, full: str) -> None:
    """Fill what holds the target tree, or the history that one side keeps."""
    old, new = build_states(tmp_path / "trees", 11, scale=0.5)
    stage = make_stage(tmp_path / "stage")
    (small_disk / "held").mkdir()
    (stage.root / full).symlink_to(small_disk / "held")
    clone(old, stage.source)
    assert sync(stage).status == 0
    mount(small_disk, used(small_disk) + (SPARE if full == "target" else 0), again=True)
    advance(stage.source, new)
    ended = sync(stage)
    if full == "target":
        assert ended.status != 0, "the changed files cannot all have fitted"
    if ended.status:
        ended.explains("space")
    judge_half_way(stage, read_state(old), read_state(new))
    mount(small_disk, 64 << 20, again=True)
    judge_end(stage)


def test_full_disk_at_first_copy(tmp_path: Path, small_disk: Path) -> None:
    _, new = build_states(tmp_path / "trees", 12, scale=0.5)
    stage = Stage(tmp_path / "stage")
    stage.root.mkdir()
    stage.target.symlink_to(small_disk)
    clone(new, stage.source)
    mount(small_disk, 2 << 20, again=True)
    ended = sync(stage)
    assert ended.status != 0
    ended.explains("space")
    judge_half_way(stage, {}, read_state(new))
    mount(small_disk, 64 << 20, again=True)
    judge_end(stage)
