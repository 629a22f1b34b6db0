"""Reads and writes past the page cache: the same bytes, whatever the file has and the filesystem can."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.errors import PoolFull
from packetfs.limits import MIB
from packetfs.packet.digest import digest_of
from packetfs.packet.layout import Buffer
from packetfs.pages import pages
from packetfs.pool import tail
from packetfs.pool.ahead import STEP, Ahead
from packetfs.pool.check import check
from packetfs.pool.past import BLOCK, Pace, open_past, read_pieces, read_pieces_python, room_for
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DiskStorage

SIZE = 300_000
Read = Callable[[list[tuple[int, int, int, int, memoryview]]], list[bool]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, bytes]]:
    """A file, the same past the page cache if it can be, and what it holds."""
    path = tmp_path_factory.mktemp("past") / "file"
    data = random.Random(1).randbytes(SIZE)
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    past = open_past(fd, os.O_RDONLY)
    yield fd, past, data
    os.close(fd)
    os.close(past)


@pytest.mark.parametrize("read", [read_pieces, read_pieces_python])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.integers(0, SIZE + 10_000), st.integers(0, 70_000)), max_size=20),
    forgotten=st.booleans(),
    seed=st.integers(0, 99),
)
def test_pieces_are_what_the_file_has(
    file: tuple[int, int, bytes], read: Read, places: list[tuple[int, int]], forgotten: bool, seed: int
) -> None:
    fd, past, data = file
    rng = random.Random(seed)
    if forgotten:
        os.posix_fadvise(fd, rng.randrange(SIZE), rng.randrange(SIZE), os.POSIX_FADV_DONTNEED)
    rooms = [pages(max(room_for(length), mmap.PAGESIZE)) for _, length in places]
    ways = rng.choices([past, -1], k=len(places))
    asked = [(fd, way, *place, room) for way, place, room in zip(ways, places, rooms, strict=True)]
    for (at, length), room, is_whole in zip(places, rooms, read(asked), strict=True):
        assert is_whole == (at + length <= SIZE or not length)
        if is_whole:
            assert room[at % BLOCK :][:length] == data[at : at + length]


def cached(fd: int) -> int:
    """Return how many pages of the file are in memory."""
    mapped = mmap.mmap(fd, SIZE, access=mmap.ACCESS_COPY)
    found = ctypes.create_string_buffer(-(-SIZE // mmap.PAGESIZE))
    first = ctypes.c_char.from_buffer(mapped)
    assert not ctypes.CDLL(None).mincore(ctypes.byref(first), ctypes.c_size_t(SIZE), found)
    return sum(page & 1 for page in found.raw[:-1])


@pytest.mark.skipif(native is None, reason="the twin has no way past the page cache")
def test_what_the_page_cache_lacks_does_not_enter_it(file: tuple[int, int, bytes]) -> None:
    fd, past, data = file
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    before = cached(fd)
    asked = [(fd, past, number * 8 * BLOCK, BLOCK, pages(room_for(BLOCK) * 16)) for number in range(8)]
    assert read_pieces(asked) == [True] * 8
    assert all(room[:BLOCK] == data[at : at + BLOCK] for _, _, at, _, room in asked)
    assert cached(fd) == before or past < 0


@pytest.mark.parametrize("wrong", [(-1, 10), (0, -1), (0, 3 * BLOCK), (BLOCK - 1, 2 * BLOCK)])
@pytest.mark.skipif(native is None, reason="the twin is told by Python")
def test_a_piece_without_room_is_refused(file: tuple[int, int, bytes], wrong: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="room"):
        read_pieces([(file[0], file[1], *wrong, pages(2 * BLOCK + 1)[: 2 * BLOCK])])


def test_a_disk_is_slow_when_much_was_waited_for() -> None:
    pace = Pace()
    pace.add(60 * MIB, 10.0)
    assert not pace.is_slow
    pace.add(10 * MIB, 0.01)
    assert pace.is_slow
    quick = Pace()
    quick.add(1000 * MIB, 1.0)
    assert not quick.is_slow


class Disk(DiskStorage):
    """Notes what is written past the page cache; it may refuse that, be slow, or full."""

    def __init__(self, refuses: int = 1 << 40, room: int = 1 << 40) -> None:
        self.past = 0
        self.refuses = refuses
        self.room = room

    def write_past(self, fd: int, data: memoryview, offset: int) -> int:
        if self.past >= self.refuses:
            return 0
        self.past += len(data)
        self._need_room()
        return super().write_past(fd, data, offset)

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        self._need_room()
        super().write(fd, buffers, offset)

    def _need_room(self) -> None:
        if self.past > self.room:
            raise PoolFull(path="the disk")


def fill(pool: Pool, count: int, seed: int = 0) -> dict[bytes, bytes]:
    """Put extents of many sizes, alone and together."""
    rng = random.Random(seed)
    kept: dict[bytes, bytes] = {}
    while len(kept) < count:
        some = [rng.randbytes(rng.choice([1, 64, 4000, 4096, 65_536, 300_000])) for _ in range(rng.choice([1, 1, 5]))]
        named = [(digest_of(each), each) for each in some]
        kept.update(named)
        if len(some) == 1:
            pool.put(some[0])
        else:
            pool.put_all(named)
        if rng.random() < 0.05:
            pool.flush()
        if rng.random() < 0.2:
            digest = rng.choice(list(kept))
            assert pool.read(digest) == kept[digest]  # type: ignore[arg-type]
    return kept


@pytest.mark.parametrize("refuses", [1 << 40, 0, 5 * MIB])
@pytest.mark.parametrize("step", [0, 3 * MIB])
@pytest.mark.parametrize("durable", [True, False])
def test_a_pool_has_all_that_went_past_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: int, step: int, durable: bool
) -> None:
    monkeypatch.setattr(tail, "STEP", step)
    monkeypatch.setattr("packetfs.pool.dear._DEAR", -1.0)
    monkeypatch.setattr("packetfs.pool.dear._WINDOW", step or 1)
    path, disk = str(tmp_path / "pool"), Disk(refuses)
    with Pool.create(path, durable=durable, storage=disk) as pool:
        kept = fill(pool, 400)
        assert {digest: pool.read(digest) for digest in kept} == kept  # type: ignore[arg-type]
    assert min(refuses, 10 * MIB) <= disk.past
    with Pool.open(path, writable=True, storage=disk) as pool:
        kept |= fill(pool, 100, seed=1)
    with Pool.open(path) as pool:
        assert {digest: pool.read(digest) for digest in kept} == kept  # type: ignore[arg-type]
        assert not list(check(pool))


def test_what_found_no_room_past_the_page_cache_was_not_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "STEP", 0)
    path, disk = str(tmp_path / "pool"), Disk()
    with Pool.create(path, durable=False, storage=disk) as pool:
        kept = fill(pool, 100)
        disk.room = disk.past + 2 * MIB
        large = [random.Random(number).randbytes(300_000) for number in range(30)]
        end, refused = pool.arena.end, [(digest_of(each), each) for each in large]
        with pytest.raises(PoolFull):
            pool.put_new(refused)
        assert pool.arena.end == end
        disk.room = 1 << 40
        assert not any(pool.holds(digest) for digest, _ in refused)
        kept |= fill(pool, 50, seed=2)
        pool.put_all(refused)
        kept |= dict(refused)
        assert {digest: pool.read(digest) for digest in kept} == kept  # type: ignore[arg-type]
    with Pool.open(path) as pool:
        assert {digest: pool.read(digest) for digest in kept} == kept  # type: ignore[arg-type]
        assert not list(check(pool))


def test_what_is_erased_in_the_last_block_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "STEP", 0)
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool:
        fill(pool, 50)
        gone = pool.put(b"gone" * 100)
        extent = pool.lookup.require(gone)
        pool.flush()
        pool.arena.erase(extent.position)
        pool.forget(extent)
        kept = pool.put(random.Random(3).randbytes(3 * MIB))
        pool.flush()
        assert pool.arena.read(extent.position, 64) == bytes(64)
        assert len(pool.read(kept)) == 3 * MIB


def test_a_segment_that_is_full_to_its_last_byte_keeps_it(place: Path, small_segments: int) -> None:
    with Pool.create(str(place / "pool"), durable=False) as pool:
        pool.arena._writer._ahead = Ahead(pool.storage, -STEP, small_segments)
        last = small_segments - pool.arena.end - 2 * 4096 - 64
        kept = {pool.put(os.urandom(size)): size for size in (4032, 4032, last)}
        assert pool.arena.end == small_segments
    with Pool.open(str(place / "pool")) as pool:
        assert {digest: len(pool.read(digest)) for digest in kept} == kept
