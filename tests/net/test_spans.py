"""A delta as instructions says of every byte what running it piece by piece says; what it calls unchanged is."""

from __future__ import annotations

import random

import pytest

from packetfs.errors import Unverified
from packetfs.net.receiving.spans import Spans
from packetfs.net.wire.packed import COPY, FILL, LITERAL, Instruction

OLD = random.Random(3).randbytes(5000)


def make(seed: int) -> tuple[Spans, bytes]:
    """Return some delta from OLD, and the bytes that it makes."""
    rng = random.Random(seed)
    steps, new = [], b""
    while len(new) < 4000:
        length, kind = rng.randrange(1, 600), rng.choice((COPY, COPY, FILL, LITERAL))
        if kind == COPY:
            offset = rng.choice((len(new), rng.randrange(4000)))
            steps.append((Instruction(COPY, length, offset), b""))
            new += OLD[offset : offset + length]
        elif kind == FILL:
            steps.append((Instruction(FILL, length, byte=7), b""))
            new += b"\7" * length
        else:
            data = rng.randbytes(length)
            steps.append((Instruction(LITERAL, length), data))
            new += data
    return Spans(b"f", len(new), iter(steps), lambda _, at, size: OLD[at : at + size]), new


@pytest.mark.parametrize("seed", range(20))
def test_every_byte_can_be_read_from_anywhere(seed: int) -> None:
    spans, new = make(seed)
    assert spans.size == len(new)
    for at in range(0, len(new) + 1, 37):
        view = memoryview(bytearray(100))
        count = spans.read_into(at, view)
        assert bool(count) == (at < len(new))
        assert view[:count] == new[at : at + count]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_unchanged_is_so(seed: int) -> None:
    spans, new = make(seed)
    for at in range(0, len(new) + 1, 11):
        end = spans.unchanged(at)
        assert at <= end <= len(new)
        assert new[at:end] == OLD[at:end]


def test_an_old_file_that_is_shorter_than_told_is_no_success() -> None:
    spans = Spans(b"f", 10, iter([(Instruction(COPY, 10, 0), b"")]), lambda *_: b"")
    with pytest.raises(Unverified):
        spans.read_into(0, memoryview(bytearray(10)))


@pytest.mark.parametrize("size", [5, 20])
def test_a_delta_that_makes_more_or_less_than_announced_is_no_success(size: int) -> None:
    spans = Spans(b"f", size, iter([(Instruction(LITERAL, 10), bytes(10))]), lambda *_: b"")
    with pytest.raises(Unverified):
        spans.finish()


def test_of_many_instructions_the_last_are_held() -> None:
    steps = ((Instruction(LITERAL, 1), b"x") for _ in range(200_000))
    spans = Spans(b"f", 200_000, steps, lambda *_: b"")
    view = memoryview(bytearray(1))
    assert spans.read_into(199_000, view) == spans.read_into(190_000, view) == 1
    with pytest.raises(Unverified):
        spans.read_into(100, view)
    assert spans.unchanged(100) == 100
