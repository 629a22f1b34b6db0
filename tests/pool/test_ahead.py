"""Blocks that are had ahead of what is written: as many as are needed at the end, and none where little is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.writer import Writer
from packetfs.limits import MIB, SEGMENT
from packetfs.pool.ahead import STEP, Ahead
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DiskStorage
from packetfs.pool.tail import Tail


class Asked(DiskStorage):
    """Notes what blocks are asked for."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.room = room

    def free(self, fd: int) -> int:
        return self.room if fd < 0 else super().free(fd)

    def allocate(self, fd: int, offset: int, length: int) -> None:
        self.ranges.append((offset, offset + length))
        super().allocate(fd, offset, length)


def test_blocks_are_had_a_step_ahead_and_not_beyond_the_end() -> None:
    disk = Asked()
    ahead = Ahead(disk, MIB, 3 * STEP)
    for at in range(MIB, 3 * STEP, MIB):
        ahead.reach(-1, at, at + MIB)
    assert disk.ranges == [(STEP, 2 * STEP + MIB), (2 * STEP + MIB, 3 * STEP)]
    ahead.reach(-1, 3 * STEP, 4 * STEP)
    assert len(disk.ranges) == 2


def test_a_disk_that_has_little_room_is_left_as_it_is() -> None:
    disk = Asked(5 * STEP)
    ahead = Ahead(disk, 0, 3 * STEP)
    ahead.reach(-1, STEP, STEP + MIB)
    assert not disk.ranges
    disk.room = 10 * STEP
    ahead.reach(-1, STEP + MIB, STEP + 2 * MIB)
    assert disk.ranges == [(STEP + MIB, 2 * STEP + 2 * MIB)]


@pytest.mark.parametrize("durable", [True, False])
def test_a_pool_takes_no_more_of_the_disk_than_it_needs(tmp_path: Path, durable: bool) -> None:
    path, disk = str(tmp_path / "pool"), Asked()
    content = [os.urandom(MIB) for _ in range(40)]
    with Pool.create(path, durable=durable, storage=disk) as pool:
        kept = [pool.put(each) for each in content[:10]]
        assert not disk.ranges
        kept += [pool.put(each) for each in content[10:]]
        assert [end - start > STEP for start, end in disk.ranges] == [True, True]
    with Pool.open(path) as pool:
        assert pool.arena.blocks_of(0) < pool.arena.segment_size(0) + MIB
        assert [pool.read(digest) for digest in kept] == content


def test_who_fills_a_segment_goes_on_in_the_next(place: Path) -> None:
    disk = Asked()
    with Pool.create(str(place / "pool"), durable=False, storage=disk) as pool:
        pool.arena.end = SEGMENT - 4 * MIB
        pool.arena._tail = tail = Tail(
            disk, lambda: pool.arena.file(pool.arena.last), 0, pool.arena.end, is_cache=False
        )
        tail._ahead = Ahead(disk, 0, SEGMENT)
        for _ in range(6):
            pool.put(os.urandom(MIB))
        assert pool.arena.last == 1
        assert [end < STEP + 3 * MIB for _, end in disk.ranges] == [False, True]


def test_a_file_has_its_blocks_and_no_others(tmp_path: Path) -> None:
    content = os.urandom(STEP + 5 * MIB)
    with Beneath(os.fsencode(tmp_path)) as beneath, Writer(beneath, b"file", b"file") as writer:
        writer.expect(len(content))
        for at in range(0, len(content), MIB):
            writer.write(content[at : at + MIB])
        writer.finish()
        writer.committed = True
        assert (tmp_path / "file").read_bytes() == content
        assert (tmp_path / "file").stat().st_blocks * 512 < len(content) + MIB


def test_a_disk_that_cannot_do_it_is_left_alone() -> None:
    reading, writing = os.pipe()
    DiskStorage().allocate(writing, 0, MIB)
    os.close(reading)
    os.close(writing)
