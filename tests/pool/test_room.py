"""A disk that is full: what the arena leaves free lets the pool be read, collected and written again."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.errors import PoolFull
from packetfs.limits import ROOM_KEPT
from packetfs.packet.digest import digest_of
from packetfs.pool.gc import collect
from packetfs.pool.memo import MemoStore
from packetfs.pool.pool import Pool
from packetfs.pool.storage import DISK
from tests.pool.live import live

ROOM = 12 << 20
SIZE = 300_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 12 MiB; only root may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "packetfs-test", str(tmp_path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small tmpfs needs root")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def overfill(pool: Pool) -> int:
    """Put payloads until one does not fit, and return how many did."""
    source = random.Random(7)
    for number in range(ROOM // SIZE):
        try:
            pool.put(source.randbytes(SIZE))
        except PoolFull:
            return number
    pytest.fail("a pool grew beyond its disk")


def room_of(disk: Path) -> int:
    fd = os.open(disk, os.O_RDONLY)
    try:
        return DISK.free(fd)
    finally:
        os.close(fd)


def test_a_full_disk_keeps_room_for_what_frees_some(disk: Path) -> None:
    with Pool.create(str(disk / "pool")) as pool:
        names = pool.database("names")
        names.execute("CREATE TABLE held (digest BLOB)")
        kept = pool.put(b"kept" * 1000)
        names.execute("INSERT INTO held VALUES (?)", (kept,))
        assert overfill(pool) > 20
        assert bytes(pool.view(kept)) == b"kept" * 1000  # what is gathered still goes out
        pool.flush()
    assert ROOM_KEPT // 2 < room_of(disk) < ROOM_KEPT + 2 * SIZE
    with Pool.open(str(disk / "pool")) as reader:
        assert list(reader.database("names").execute("SELECT digest FROM held")) == [(kept,)]
        assert reader.read(kept) == b"kept" * 1000
    with Pool.open(str(disk / "pool"), writable=True) as pool:
        pool.database("names").execute("INSERT INTO held VALUES ('another')")
        before = room_of(disk)
        assert collect(pool, live(pool, [kept])) == pytest.approx(room_of(disk) - before, abs=100_000)
        assert overfill(pool) > 20


def test_a_disk_that_others_filled_is_read_and_collected(disk: Path) -> None:
    with Pool.create(str(disk / "pool")) as pool:
        names = pool.database("names")
        names.execute("CREATE TABLE held (digest BLOB)")
        kept = pool.put(b"kept" * 1000)
        overfill(pool)
    with (disk / "of another").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, room_of(disk))
    assert room_of(disk) == 0
    with Pool.open(str(disk / "pool")) as reader:
        assert list(reader.database("names").execute("SELECT digest FROM held")) == []
        assert reader.read(kept) == b"kept" * 1000
    with Pool.open(str(disk / "pool"), writable=True) as pool:
        assert list(pool.database("names").execute("SELECT digest FROM held")) == []
        assert collect(pool, live(pool, [kept])) > 20 * SIZE
        pool.put(b"as before")
        assert pool.read(kept) == b"kept" * 1000


def test_what_is_only_remembered_does_not_take_the_last_room(disk: Path) -> None:
    with Pool.create(str(disk / "pool")) as pool:
        overfill(pool)
        pool.flush()
        before, store = room_of(disk), MemoStore(pool)
        source = random.Random(8)
        for number in range(2 * ROOM_KEPT // SIZE):
            store.remember(digest_of(b"%d" % number), source.randbytes(SIZE))
        store.close()
        assert isinstance(store.refused, PoolFull)
        assert room_of(disk) > before - SIZE
