"""What lies behind a chunk in the arena: believed as far as this process put it there and it is still the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.packet.cut import cut, reach_of
from packetfs.packet.digest import Digest, digest_of, keyed_tag
from packetfs.packet.layout import PACKET, Encoding, Mark, Op
from packetfs.pool import sequences
from packetfs.pool.check import check
from packetfs.pool.following import Following, alike
from packetfs.pool.gc import evict
from packetfs.pool.pool import Pool
from packetfs.pool.sequences import Sequences

MEAN = 4096
NAME = bytes(range(32))


SECRET, AT = bytes(32), 1 << 20


def header(at: int, op: int, flags: int, vm: int, length: int, size: int) -> bytes:
    """Return a header that its pool wrote `at` bytes behind AT."""
    head = pack("<BBHIQ32s", op, flags, vm, length, size, NAME)
    return head + keyed_tag(SECRET, head + pack("<Q", AT + at))


def extent(
    data: bytes, at: int = 0, *, op: int = Op.EXTENT, flags: int = 0, vm: int = 0, size: int | None = None
) -> bytes:
    found = header(at, op, flags, vm, len(data), len(data) if size is None else size)
    return found + data + bytes(-len(data) % PACKET)


def flipped(stored: bytes, at: int) -> bytes:
    return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]


SECOND = PACKET + 1024
ONE, TWO = Random(1).randbytes(1000), Random(2).randbytes(777)


@pytest.mark.parametrize(
    ("stored", "data", "lengths", "same"),
    [
        (b"", ONE, [], 0),
        (extent(ONE)[:63], ONE, [], 0),
        (extent(ONE), ONE, [1000], 1000),
        (extent(ONE), ONE[:999], [], 999),
        (extent(ONE)[: PACKET + 10], ONE, [], 10),
        (extent(ONE) + extent(TWO, SECOND), ONE + TWO + b"x", [1000, 777], 1777),
        (extent(ONE) + extent(TWO, SECOND), ONE + TWO[:9] + b"x", [1000], 1009),
        (extent(ONE) + bytes(PACKET), ONE + TWO, [1000], 1000),
        (extent(ONE) + extent(b"", SECOND) * 3, ONE + TWO, [1000], 1000),
        (extent(ONE, op=Op.COPY), ONE, [], 0),
        (extent(ONE, vm=1), ONE, [], 0),
        (extent(ONE, size=2000), ONE, [], 0),
        (extent(ONE, flags=Encoding.ZSTD), ONE, [], 0),
        (extent(ONE, flags=Mark.PROGRAM << 2), ONE, [], 0),
        (header(0, Op.EXTENT, 0, 0, 2**32 - 1, 2**32 - 1) + ONE, ONE, [], 1000),
        (flipped(extent(ONE), 20), ONE, [], 0),  # a digest that nobody has would be in the program
        (extent(ONE) + extent(TWO, 0), ONE + TWO, [1000], 1000),  # a header of another place
    ],
)
def test_alike_takes_whole_plain_extents_alone(stored: bytes, data: bytes, lengths: list[int], same: int) -> None:
    chunks, found = alike(SECRET, AT, memoryview(stored), memoryview(data))
    assert (chunks, found) == ([(length, NAME) for length in lengths], same)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=30), st.integers(0, 45))
def test_sequences_are_what_single_streams_had(ranges: list[tuple[int, int]], gone: int) -> None:
    held = Sequences()
    for number, (start, length) in enumerate(ranges):
        held.add(start, start + length)
        assert held.end(start) >= start + length
        assert held._starts == sorted(set(held._starts))
        pairs = list(zip(held._starts, held._ends, strict=True))
        assert all(end <= start for (_, end), (start, _) in pairwise(pairs))
        for first, last in pairs:
            assert any(start <= first < last <= start + length for start, length in ranges[: number + 1])
    was = held.end(gone)
    held.drop(gone)
    assert held.end(gone) == -1
    assert was == -1 or held.end(was - 1) == -1


def test_sequences_that_touch_are_not_joined() -> None:
    held = Sequences()
    held.add(100, 300)
    held.add(300, 400)
    assert [held.end(at) for at in (99, 100, 299, 300, 399, 400)] == [-1, 300, 300, 400, 400, -1]
    held.add(100, 350)
    assert [held.end(at) for at in (100, 349, 350, 399)] == [350, 350, 400, 400]


def test_sequences_forget_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "SEQUENCES_MAX", 10)
    held = Sequences()
    for at in range(0, 10_000, 100):
        held.add(at, at + 80)
    assert held.end(0) == -1
    assert held.end(9_940) == 9_980
    assert len(held._starts) <= 10


def stored(pool: Pool, data: bytes) -> list[tuple[int, Digest]]:
    """Put content as one stream."""
    into, view, made = Following(pool), memoryview(data), []
    for length in cut(data, MEAN, True):
        made.append((length, into.put(view[:length])))
        view = view[length:]
    return made


def test_only_what_enough_bytes_prove_is_recognised(place: Path) -> None:
    data = Random(3).randbytes(40 * MEAN)
    with Pool.create(str(place / "pool"), mean=MEAN, durable=False) as pool:
        chunks = stored(pool, data)
        pool.flush()
        view = memoryview(data)[chunks[0][0] :]
        for size in (0, 1, reach_of(MEAN) - 1, reach_of(MEAN), 20 * MEAN, len(view)):
            again = Following(pool)
            assert again.put(memoryview(data)[: chunks[0][0]]) == chunks[0][1]
            assert again.expects
            found = again.recognise(view[:size])
            assert found == chunks[1 : len(found) + 1]
            starts = sum(length for length, _ in found[:-1])
            assert not found or starts + reach_of(MEAN) <= size
            assert size - sum(length for length, _ in found) < 2 * reach_of(MEAN)
        assert len(found) < len(chunks) - 1, "the end of the file made the last cut"


def test_what_another_process_stored_is_believed_once_it_was_found_by_digest(place: Path) -> None:
    data = Random(4).randbytes(20 * MEAN)
    with Pool.create(str(place / "pool"), mean=MEAN, durable=False) as pool:
        chunks = stored(pool, data)
    with Pool.open(str(place / "pool"), writable=True) as pool:
        first = memoryview(data)[: chunks[0][0]]
        Following(pool).put(first)
        again = Following(pool)
        again.put(first)
        assert not again.expects
        assert stored(pool, data) == chunks
        again = Following(pool)
        again.put(first)
        found = again.recognise(memoryview(data)[chunks[0][0] :])
        assert found == chunks[1 : len(found) + 1]
        assert len(found) >= len(chunks) - 5


def test_an_extent_that_is_gone_ends_what_is_expected(place: Path) -> None:
    data = Random(5).randbytes(20 * MEAN)
    with Pool.create(str(place / "pool"), mean=MEAN, durable=False) as pool:
        chunks = stored(pool, data)
        again = Following(pool)
        again.put(memoryview(data)[: chunks[0][0]])
        evict(pool, chunks[9][1])
        assert again.recognise(memoryview(data)[chunks[0][0] :]) == []
        assert not again.expects
        assert digest_of(data[: chunks[0][0]]) == chunks[0][1]


@pytest.mark.usefixtures("small_segments")
def test_chunks_that_are_put_together_lie_behind_each_other_in_as_many_segments_as_they_need(place: Path) -> None:
    """What is held, or comes twice, is found again in the middle of them."""
    names = [Random(number).randbytes(3000) for number in range(20)]
    order = [0, 1, 2, 3, 1, *range(4, 20), 19, 0]
    with Pool.create(str(place / "pool"), mean=MEAN, durable=False) as pool:
        pool.put(names[7])
        into, wanted = Following(pool), [memoryview(names[number]) for number in order]
        made: list[Digest] = []
        while len(made) < len(wanted):
            made += into.put_all(wanted[len(made) :])
        assert made == [digest_of(chunk) for chunk in wanted]
        pool.flush()
        assert pool.arena.last > 2
        assert {pool.read(digest) for digest in made} == set(names)
        assert pool.content_bytes == 20 * 3000
        assert list(check(pool)) == []
