"""What lies behind a chunk in the arena: believed as far as this process put it there and it is still the same."""

from __future__ import annotations

from pathlib import Path
from random import Random
from struct import pack

import pytest

from packetfs.packet.cut import cut, reach_of
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.layout import PACKET, Encoding, Mark, Op
from packetfs.pool import sequences
from packetfs.pool.following import Following, alike
from packetfs.pool.pool import Pool
from packetfs.pool.sequences import Sequences

MEAN = 4096
NAME = bytes(range(32))


def extent(data: bytes, *, op: int = Op.EXTENT, flags: int = 0, vm: int = 0, size: int | None = None) -> bytes:
    header = pack("<BBHIQ32s16x", op, flags, vm, len(data), len(data) if size is None else size, NAME)
    return header + data + bytes(-len(data) % PACKET)


ONE, TWO = Random(1).randbytes(1000), Random(2).randbytes(777)


@pytest.mark.parametrize(
    ("stored", "data", "lengths", "same"),
    [
        (b"", ONE, [], 0),
        (extent(ONE)[:63], ONE, [], 0),
        (extent(ONE), ONE, [1000], 1000),
        (extent(ONE), ONE[:999], [], 999),
        (extent(ONE)[: PACKET + 10], ONE, [], 10),
        (extent(ONE) + extent(TWO), ONE + TWO + b"x", [1000, 777], 1777),
        (extent(ONE) + extent(TWO), ONE + TWO[:9] + b"x", [1000], 1009),
        (extent(ONE) + bytes(PACKET), ONE + TWO, [1000], 1000),
        (extent(ONE) + extent(b"") * 3, ONE + TWO, [1000], 1000),
        (extent(ONE, op=Op.COPY), ONE, [], 0),
        (extent(ONE, vm=1), ONE, [], 0),
        (extent(ONE, size=2000), ONE, [], 0),
        (extent(ONE, flags=Encoding.ZSTD), ONE, [], 0),
        (extent(ONE, flags=Mark.PROGRAM << 2), ONE, [], 0),
        (pack("<BBHIQ32s16x", Op.EXTENT, 0, 0, 2**32 - 1, 2**32 - 1, NAME) + ONE, ONE, [], 1000),
    ],
)
def test_alike_takes_whole_plain_extents_alone(stored: bytes, data: bytes, lengths: list[int], same: int) -> None:
    chunks, found = alike(memoryview(stored), memoryview(data))
    assert (chunks, found) == ([(length, NAME) for length in lengths], same)


def test_sequences_join_what_one_stream_puts_side_by_side() -> None:
    held = Sequences()
    held.add(100, 200, -1)
    held.add(200, 300, 200)
    held.add(300, 350, 200)  # of another stream, or behind a run
    assert [held.end(at) for at in (99, 100, 299, 300, 349, 350)] == [-1, 300, 300, 350, 350, -1]
    held.add(350, 400, -1)  # a single chunk gives way to the next
    assert [held.end(at) for at in (300, 350, 399)] == [-1, 400, 400]
    held.drop(150)
    assert [held.end(at) for at in (100, 200, 350)] == [-1, -1, 400]
    held.drop(1000)


def test_sequences_forget_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "SEQUENCES_MAX", 10)
    held = Sequences()
    for at in range(0, 10_000, 100):
        held.add(at, at + 40, -1)
        held.add(at + 40, at + 80, at + 40)
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


def test_what_another_process_stored_is_not_believed(place: Path) -> None:
    data = Random(4).randbytes(20 * MEAN)
    with Pool.create(str(place / "pool"), mean=MEAN, durable=False) as pool:
        chunks = stored(pool, data)
    with Pool.open(str(place / "pool"), writable=True) as pool:
        again = Following(pool)
        again.put(memoryview(data)[: chunks[0][0]])
        assert not again.expects


def test_an_extent_that_is_gone_ends_what_is_expected(place: Path) -> None:
    data = Random(5).randbytes(20 * MEAN)
    with Pool.create(str(place / "pool"), mean=MEAN, durable=False) as pool:
        chunks = stored(pool, data)
        again = Following(pool)
        again.put(memoryview(data)[: chunks[0][0]])
        pool.evict(chunks[9][1])
        assert again.recognise(memoryview(data)[chunks[0][0] :]) == []
        assert not again.expects
        assert digest_of(data[: chunks[0][0]]) == chunks[0][1]
