"""Extents on trust: what is said to be the same is, wherever it lies, and nobody waits or is told of what has gone."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from packetfs.accel import native
from packetfs.packet.digest import digest_of
from packetfs.packet.file import copy_leaf, data_leaf
from packetfs.pool.inorder import same_extents, same_extents_python
from packetfs.pool.nearness import resident
from packetfs.pool.pool import Pool

Same = Callable[[bytes, bytes, bytes], tuple[int, int, int]]
built = pytest.mark.skipif(native is None, reason="only the native core can ask what is in memory")
SIZES = (60_000, 4096, 70_001, 64, 1, 65_536)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool:
        yield pool


def store(pool: Pool, seed: int = 1) -> tuple[list[bytes], list[bytes]]:
    """Return payloads that lie one behind the other in a pool, and the leaves that are copies of them."""
    random = Random(seed)
    payloads = [random.randbytes(size) for size in SIZES]
    leaves = [copy_leaf(pool.put(payload), len(payload)) for payload in payloads]
    pool.flush()
    return payloads, leaves


@built
def test_extents_that_lie_in_one_go_are_counted_as_far_as_the_stream_has_them(pool: Pool) -> None:
    payloads, leaves = store(pool)
    in_order = pool.in_order()
    stream = b"".join(payloads[:3]) + b"something else, of many bytes" * 9
    found, at = 0, 0
    while count := in_order.count_same(b"".join(leaves[found:]), memoryview(stream)[at:]):
        found, at = found + count, sum(SIZES[: found + count])
    assert found == 3
    like = in_order.like(leaves[3])
    assert like is not None
    assert bytes(like.content) == payloads[3]
    assert in_order.count_same(b"".join(leaves[4:]), memoryview(b"".join(payloads[4:]))) == 2


@built
def test_what_lies_elsewhere_is_found_by_the_index(pool: Pool) -> None:
    payloads, leaves = store(pool)
    others, more = store(pool, 2)
    in_order = pool.in_order()
    assert in_order.count_same(more[0] + leaves[1], memoryview(others[0] + payloads[1])) == 1
    assert in_order.count_same(leaves[1], memoryview(payloads[1])) == 1
    assert in_order.count_same(leaves[2] + more[1], memoryview(payloads[2] + others[1])) == 1


@built
def test_what_is_not_held_or_no_copy_or_only_gathered_is_not_counted(pool: Pool) -> None:
    payloads, leaves = store(pool)
    in_order = pool.in_order()
    assert in_order.count_same(copy_leaf(digest_of(b"absent"), 6), memoryview(b"absent")) == 0
    assert in_order.like(copy_leaf(digest_of(b"absent"), 6)) is None
    assert in_order.count_same(data_leaf(b"data"), memoryview(b"data")) == 0
    assert in_order.count_same(copy_leaf(digest_of(payloads[0]), 9, 1), memoryview(payloads[0][1:10])) == 0
    gathered = Random(3).randbytes(500)
    leaf = copy_leaf(pool.put(gathered), len(gathered))
    assert in_order.count_same(leaf, memoryview(gathered)) == 0
    assert in_order.count_same(leaves[0], memoryview(payloads[0])) == 1


@built
def test_what_was_there_when_the_machine_started_is_not_believed(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "old"), durable=False) as pool:
        payloads, leaves = store(pool)
    (tmp_path / "old" / "verified").unlink()
    with Pool.open(str(tmp_path / "old"), writable=True) as pool:
        others, more = store(pool, 2)
        in_order = pool.in_order()
        assert in_order.count_same(leaves[0], memoryview(payloads[0])) == 0
        assert in_order.count_same(more[0], memoryview(others[0])) == 1
    with Pool.open(str(tmp_path / "old")) as pool:  # since the machine started, not since this process did
        in_order = pool.in_order()
        assert in_order.count_same(leaves[0], memoryview(payloads[0])) == 0
        assert in_order.count_same(more[0], memoryview(others[0])) == 1


def test_what_is_not_in_memory_is_neither_read_nor_counted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads, leaves = store(pool)
    monkeypatch.setattr("packetfs.pool.lookup.resident", lambda *_: 0)
    monkeypatch.setattr(pool.arena, "peek_into", lambda *_: pytest.fail("it is read"))
    assert pool.in_order().count_same(leaves[0], memoryview(payloads[0])) == 0
    assert pool.in_order().like(leaves[0]) is None


@built
def test_what_is_in_memory_in_part_is_counted_as_far_as_it_is(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads, leaves = store(pool)
    read, stream = pool.arena.peek_into, memoryview(b"".join(payloads))
    for most, count in ((64 + SIZES[0] + 10, 1), (64 + SIZES[0] - 1, 0)):
        monkeypatch.setattr(pool.arena, "peek_into", lambda at, out, most=most: read(at, out[:most]))
        assert pool.in_order().count_same(b"".join(leaves), stream) == count


@built
def test_extents_that_do_not_lie_in_one_go_are_left_out_more_and_more_until_some_do(pool: Pool) -> None:
    payloads, leaves = store(pool)
    _, others = store(pool, 2)
    in_order, looks = pool.in_order(), list[int]()
    for number in range(400):
        if in_order.is_due():
            in_order.count_same((leaves, others)[len(looks) % 2][0], memoryview(b""))
            looks.append(number)
    assert looks[:4] == [0, 1, 3, 5]
    assert 30 < len(looks) < 40
    assert looks[-1] - looks[-2] > 15
    while not in_order.is_due():
        pass
    for _ in range(40):
        assert in_order.count_same(leaves[0] + leaves[1], memoryview(payloads[0] + payloads[1])) == 2
        assert in_order.is_due()
    in_order.count_same(others[0], memoryview(b""))
    assert in_order.is_due(), "what did not pay once is forgotten where it did often"


@built
def test_the_kernel_says_what_of_a_mapping_is_in_memory(tmp_path: Path) -> None:
    path, page = tmp_path / "file", mmap.PAGESIZE
    path.write_bytes(bytes(8 * page))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert resident(memoryview(mapped)[page + 5 : 3 * page]) == 2 * page - 5
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 4 * page, 2 * page, os.POSIX_FADV_DONTNEED)
        front = resident(memoryview(mapped)[100:])
    assert front in (4 * page - 100, 8 * page - 100), "a filesystem in memory keeps all of it"


@pytest.mark.parametrize("same", [same_extents, same_extents_python])
@pytest.mark.parametrize("seed", range(30))
def test_core_and_twin_count_the_same_extents(pool: Pool, same: Same, seed: int) -> None:
    payloads, leaves = store(pool)
    stored = pool.arena.read(pool.lookup.positions(digest_of(payloads[0]))[0], 1 << 20)
    stream = b"".join(payloads)
    assert same(b"".join(leaves), stored, stream)[0] == len(SIZES)
    random, parts = Random(seed), [bytearray(part) for part in (b"".join(leaves), stored, stream)]
    if seed % 3:
        part = parts[random.randrange(3)]
        part[random.randrange(len(part))] ^= 1 << random.randrange(8)
    else:
        part = parts[random.randrange(3)]
        del part[random.randrange(len(part)) :]
    named, there, come = map(bytes, parts)
    count, at, done = same(named, there, come)
    assert (count, at, done) == same_extents_python(named, there, come)
    assert done == sum(SIZES[:count])
    assert come[:done] == stream[:done]
