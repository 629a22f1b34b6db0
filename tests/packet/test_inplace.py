"""What is said to differ is all that differs, and hardly more."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.packet.inplace import differing, differing_python


@pytest.mark.parametrize("compare", [differing, differing_python])
@pytest.mark.parametrize("seed", range(40))
def test_everything_outside_the_stretches_is_equal_and_each_begins_and_ends_with_a_difference(
    seed: int, compare: Callable[[memoryview, memoryview], list[tuple[int, int]]]
) -> None:
    rng = random.Random(seed)
    old = rng.randbytes(rng.choice((0, 1, 7, 8192, 8199, 30_000)))
    new = bytearray(old)
    for _ in range(rng.randrange(6) if old else 0):
        at = rng.randrange(len(old))
        size = min(rng.choice((1, 3, 500, 9000)), len(old) - at)
        new[at : at + size] = rng.randbytes(size)
    made, end = bytearray(old), 0
    for start, stop in compare(memoryview(bytes(new)), memoryview(old)):
        assert end <= start < stop <= len(old)
        assert new[start] != old[start]
        assert new[stop - 1] != old[stop - 1] or stop == len(old)
        made[start:stop] = new[start:stop]
        end = stop
    assert made == new


def test_few_equal_bytes_do_not_end_a_stretch() -> None:
    old = bytes(100)
    new = bytearray(old)
    new[10] = new[15] = new[40] = 1
    assert differing(memoryview(new), memoryview(old)) == [(10, 16), (40, 41)]
    assert differing_python(memoryview(new), memoryview(old)) == [(10, 16), (40, 41)]


@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 299), st.binary(max_size=20)), max_size=6))
def test_the_core_finds_the_stretches_that_its_twin_does(old: bytes, changes: list[tuple[int, bytes]]) -> None:
    new = bytearray(old)
    for at, data in changes:
        new[at : at + len(data)] = data[: max(len(old) - at, 0)]
    assert differing(bytes(new[: len(old)]), old) == differing_python(bytes(new[: len(old)]), old)
