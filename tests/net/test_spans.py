"""A delta as a whole says of every byte what running it piece by piece says; what it calls unchanged is."""

from __future__ import annotations

import random

import pytest

from packetfs.errors import Unverified
from packetfs.net.packed import COPY, FILL, LITERAL, Instruction
from packetfs.net.spans import Spans

OLD = random.Random(3).randbytes(5000)


def make(seed: int) -> tuple[Spans, bytes]:
    """Return some delta from OLD, and the bytes that it makes."""
    rng = random.Random(seed)
    items, literals, new = [], b"", b""
    while len(new) < 4000:
        length, kind = rng.randrange(1, 600), rng.choice((COPY, COPY, FILL, LITERAL))
        if kind == COPY:
            offset = rng.choice((len(new), rng.randrange(4000)))
            items.append(Instruction(COPY, length, offset))
            new += OLD[offset : offset + length]
        elif kind == FILL:
            items.append(Instruction(FILL, length, byte=7))
            new += b"\7" * length
        else:
            data = rng.randbytes(length)
            items.append(Instruction(LITERAL, length))
            literals, new = literals + data, new + data
    return Spans(b"f", items, literals, lambda _, at, size: OLD[at : at + size]), new


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
    spans = Spans(b"f", [Instruction(COPY, 10, 0)], b"", lambda *_: b"")
    with pytest.raises(Unverified):
        spans.read_into(0, memoryview(bytearray(10)))
