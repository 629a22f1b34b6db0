"""The end of the arena is what was added to it, in memory, on its way and in the file, whatever the disk does."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packetfs.errors import PacketFSError, PoolFull
from packetfs.limits import APPEND_PAST, MIB
from packetfs.packet.layout import PACKET, Buffer
from packetfs.pool import tail
from packetfs.pool.past import BLOCK
from packetfs.pool.pool import Pool
from packetfs.pool.segment import SegmentFile
from packetfs.pool.storage import DiskStorage
from packetfs.pool.tail import Tail
from packetfs.typing import Any, Sequence


class Moody(DiskStorage):
    """A disk that writes all, or a part of what is to go past the page cache, or nothing, or is full."""

    mood = "well"

    def write_past(self, fd: int, data: memoryview, offset: int) -> int:
        if self.mood == "full":
            raise PoolFull(path="the disk")
        size = {"well": len(data), "short": len(data) // 2 // BLOCK * BLOCK, "unable": 0}[self.mood]
        return super().write_past(fd, data[:size], offset) if size else 0

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        if self.mood == "full":
            raise PoolFull(path="the disk")
        super().write(fd, buffers, offset)


class Held(DiskStorage):
    """A disk that writes past the page cache when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked = threading.Event()

    def write_past(self, fd: int, data: memoryview, offset: int) -> int:
        self.asked.set()
        assert self.may.wait(60)
        return super().write_past(fd, data, offset)


MOODS = st.sampled_from(["well", "well", "well", "short", "unable", "full"])
SIZES = st.lists(st.sampled_from([1, 64, 1000, 1024, 9000, 20_000, 70_000]), min_size=1, max_size=6)
BEHIND = st.integers(0, 100_000)
"""Bytes before the end."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), SIZES, MOODS),
        st.tuples(st.just("add"), SIZES, MOODS),
        st.tuples(st.just("erase"), BEHIND, st.just("well")),
        st.tuples(st.just("write out"), BEHIND, MOODS),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 1 << 20))
def test_it_is_what_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Any, str]], seed: int
) -> None:
    monkeypatch.setattr(tail, "STEP", 0)
    monkeypatch.setattr(tail, "APPEND_PAST", 8 * BLOCK)
    monkeypatch.setattr(tail, "APPEND_DIRECT", 5 * BLOCK)
    monkeypatch.setattr("packetfs.pool.dear._DEAR", -1.0)
    monkeypatch.setattr("packetfs.pool.dear._WINDOW", 1)
    rng, disk, path, kept, edges = random.Random(seed), Moody(), tmp_path / "tail", bytearray(), {0}
    fd = disk.open(str(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    file = SegmentFile(disk, fd, os.O_RDWR)
    end = Tail(disk, lambda: file, 0, 0, is_cache=True)
    for what, how, mood in steps:
        disk.mood = mood
        try:
            if what == "add":
                parts = [rng.randbytes(-(-size // PACKET) * PACKET) for size in how]
                end.add([[part[:40], part[40:]] for part in parts], sum(map(len, parts)))
                for part in parts:
                    kept += part
                    edges.add(len(kept))
            elif what == "erase" and kept:
                at = max(len(kept) - how, 0) // PACKET * PACKET
                end.erase(at)
                kept[at : at + PACKET] = bytes(len(kept[at : at + PACKET]))
            elif what == "write out":
                end.write_out()
                assert path.read_bytes()[: len(kept)] == kept
        except PacketFSError:
            assert mood == "full"
        assert end.read(end.written, len(kept) + 1) == kept[end.written :]
        middle = (end.written + len(kept)) // 2
        assert end.read(middle, 5000) == kept[middle : middle + 5000]
        assert path.read_bytes()[: end.written] == kept[: end.written]
        assert end.written in edges
    disk.mood = "well"
    end.write_out()
    end.close()
    assert path.read_bytes()[: len(kept)] == kept


def test_what_is_on_its_way_is_read_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "STEP", 0)
    disk, data = Held(), random.Random(1).randbytes(APPEND_PAST * 3 // 2)
    pieces = [data[at : at + 60_000] for at in range(0, len(data), 60_000)]
    with Pool.create(str(tmp_path / "pool"), durable=False, storage=disk) as pool:
        first = pool.put(random.Random(2).randbytes(MIB // 2))
        digests = [pool.put(piece) for piece in pieces]
        assert disk.asked.wait(60)
        assert [pool.read(digest) for digest in digests] == pieces
        assert not disk.may.is_set()
        disk.may.set()
        pool.flush()
        assert [pool.read(digest) for digest in digests] == pieces
    with Pool.open(str(tmp_path / "pool")) as pool:
        assert [pool.read(digest) for digest in digests] == pieces
        assert len(pool.read(first)) == MIB // 2


def test_where_no_thread_can_begin_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(tail, "STEP", 0)
    monkeypatch.setattr("packetfs.pool.behind.Thread.start", refuse)
    pieces = [random.Random(number).randbytes(60_000) for number in range(60)]
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool:
        digests = [pool.put(piece) for piece in pieces]
        assert pool.arena._writer.is_past
    with Pool.open(str(tmp_path / "pool")) as pool:
        assert [pool.read(digest) for digest in digests] == pieces
