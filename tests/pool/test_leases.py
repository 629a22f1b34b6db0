from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from packetfs.errors import PoolBusy
from packetfs.packet.digest import digest_of
from packetfs.pool.check import check
from packetfs.pool.gc import collect, evict
from packetfs.pool.pool import Pool
from tests.pool.live import live

HOLD = """
import sys
from packetfs.pool.pool import Pool
pool = Pool.open(sys.argv[1], writable=sys.argv[2] == "write")
"""
TALK = "\nprint('ready', flush=True)\nsys.stdin.read()\n"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []
    yield children
    for child in children:
        child.kill()
        child.communicate()


def start(children: list[subprocess.Popen[str]], code: str, *arguments: str) -> subprocess.Popen[str]:
    """Run `code` in another process until it says that it is ready."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    children.append(child)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_live_writer_is_named_and_a_dead_one_is_succeeded(place: Path, started: list[subprocess.Popen[str]]) -> None:
    path = str(place / "pool")
    with Pool.create(path) as pool:
        flushed = pool.put(b"before")
    code = HOLD + "pool.put(b'flushed'); pool.flush(); pool.put(b'not flushed'); pool.arena.write_out()" + TALK
    child = start(started, code, path, "write")
    with pytest.raises(PoolBusy, match=f"process {child.pid} "):
        Pool.open(path, writable=True)
    with Pool.open(path) as reader:
        assert reader.read(digest_of(b"flushed")) == b"flushed"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with Pool.open(path) as reader:  # a dead writer's index is not trusted: a private one is built
        assert reader.read(digest_of(b"flushed")) == b"flushed"
        assert reader.lookup.index.inode == 0
    with Pool.open(path, writable=True) as pool:
        assert [pool.read(digest_of(data)) for data in (b"flushed", b"not flushed")] == [b"flushed", b"not flushed"]
        assert pool.read(flushed) == b"before"
        assert list(check(pool)) == []


def test_nothing_is_punched_under_a_view_of_another_process(place: Path, started: list[subprocess.Popen[str]]) -> None:
    path, data = str(place / "pool"), random.randbytes(50_000)
    pool = Pool.create(path)
    digest = pool.put(data)
    pool.flush()
    code = HOLD + f"view = pool.view(bytes.fromhex('{digest.hex()}'))[10:20]; pool.close(); del pool" + TALK
    child = start(started, code, path, "read")
    assert evict(pool, digest) == 0
    assert not pool.holds(digest)
    child.kill()
    child.wait()
    assert collect(pool, live(pool, [])) >= 50_000
    assert list(pool.scan()) == []


def test_a_slice_of_a_view_is_a_lease_that_outlives_the_pool(place: Path) -> None:
    path, data = str(place / "pool"), random.randbytes(50_000)
    with Pool.create(path) as pool:
        digest = pool.put(data)
        part = pool.view(digest)[100:200]
    with Pool.open(path, writable=True) as pool:
        assert evict(pool, digest) == 0
        assert part == data[100:200]
        del part
        assert collect(pool, live(pool, [])) >= 50_000


def test_a_closed_pool_keeps_no_descriptor_but_for_views(place: Path) -> None:
    with Pool.create(str(place), durable=False) as pool:
        digest = pool.put(random.randbytes(5000))
    before = set(os.listdir("/proc/self/fd"))
    reader = Pool.open(str(place))
    view = reader.view(digest)
    reader.close()
    assert set(os.listdir("/proc/self/fd")) - before, "the lease of the view, and what it shows"
    del view
    assert set(os.listdir("/proc/self/fd")) == before
    assert reader.path == str(place), "still there, as in a traceback"


def test_collecting_keeps_exactly_what_is_live(place: Path, small_segments: int) -> None:
    pool = Pool.create(str(place / "pool"))
    digests = [pool.put(random.randbytes(3000)) for _ in range(60)]
    kept = set(digests[::3])
    pool.flush()
    before = disk_bytes(place)
    freed = collect(pool, live(pool, kept))
    assert {extent.digest for extent in pool.scan()} == kept
    assert freed >= before - disk_bytes(place) >= 20 * 3000  # gaps of 6,128 bytes hold one whole block or none
    assert collect(pool, live(pool, kept)) == 0
    assert pool.content_bytes == sum(len(pool.read(digest)) for digest in kept)
    assert list(check(pool)) == []
    assert len(pool.arena.segments()) > 60 * 3000 // small_segments


def disk_bytes(place: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in (place / "pool/arena").iterdir())
