"""rivals: the native kernel says what the twin does, and what that says is so."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet.cut import WINDOW, cut, find_least_python, hash_window_python
from packetfs.packet.rivals import NO_RIVAL, Span, has_less, rivals_python
from tests.native.content import kinds, make, seeds

CORE: Any = native
MEAN = 4096
both = pytest.mark.parametrize("rivals", [rivals_python, *([CORE.rivals] if CORE else [])])


def spans_in(length: int, rng: Random) -> list[Span]:
    """Return where something may have changed; mostly not at the edges."""
    edge = rng.choice((0, WINDOW, WINDOW, WINDOW))
    if length <= 2 * edge:
        return []
    ends = sorted(rng.randrange(edge, length - edge + 1) for _ in range(2 * rng.choice((0, 1, 1, 2, 3, 8, 9, 20))))
    return [
        (start, min(end, start + rng.choice((0, 1, 60, 9000))))
        for start, end in zip(ends[::2], ends[1::2], strict=True)
    ]


@pytest.mark.skipif(native is None, reason="the native core is not built")
@settings(max_examples=500)
@given(kinds, seeds, st.sampled_from([MEAN, 2 * MEAN]), st.lists(st.integers(-10, 13_000), max_size=3))
def test_both_find_the_same_rivals(kind: int, seed: int, mean: int, seen: list[int]) -> None:
    rng = Random(seed)
    new = make(kind, rng.randrange(12_000), rng)
    spans = spans_in(len(new), rng)
    for start, end in spans if rng.random() < 0.3 else ():
        new = new[:start] + bytes(end - start) + new[end:]
    assert CORE.rivals(new, spans, mean, seen) == rivals_python(new, spans, mean, seen)


@both
def test_what_is_told_is_so(rivals: Any) -> None:
    """Chunks that were edited and are told to be chunks still are cut as before; rivals are the least hashes."""
    rng = Random(1)
    data = rng.randbytes(400_000)
    at = told = 0
    for length in cut(data, MEAN, True):
        chunk = bytearray(data[at : at + length])
        at += length
        if length <= 2 * WINDOW:
            continue
        start = rng.randrange(WINDOW, length - WINDOW)
        end = min(start + 50, length - WINDOW)
        chunk[start:end] = rng.randbytes(end - start)
        found = rivals(chunk, [(start, end)], MEAN, [0, length, WINDOW])
        if found is None:
            continue
        told += 1
        assert cut(bytes(chunk) + data[at:], MEAN, True)[0] == length
        ends = range(start + 1, end + WINDOW)
        assert found[:2] == [NO_RIVAL, min(hash_window_python(chunk[stop - WINDOW : stop]) for stop in ends)]
    assert told > 60


@given(seeds, st.integers(WINDOW, 20_000), st.integers(0, 1 << 20))
@settings(max_examples=30)
def test_a_lesser_hash_is_found_wherever_it_is(seed: int, high: int, bound: int) -> None:
    data = Random(seed).randbytes(20_000)
    least = find_least_python(data, 0, WINDOW, high)
    hashed = hash_window_python(data[least - WINDOW : least])
    for limit in (bound, hashed, hashed + 1):
        assert has_less(memoryview(data), high, limit) == (hashed < limit)


@both
@pytest.mark.parametrize(
    ("spans", "mean", "error"),
    [
        ([(50, 40)], MEAN, ValueError),
        ([(50, 60), (55, 70)], MEAN, ValueError),
        ([(-1, 3)], MEAN, ValueError),
        ([(50, 9001)], MEAN, ValueError),
        ([(50, 60)], 5000, ValueError),
        ([(50, 60)], 0, ValueError),
        ([50], MEAN, TypeError),
    ],
)
def test_what_is_no_change_is_refused(rivals: Any, spans: Any, mean: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        rivals(bytes(9000), spans, mean, [])
