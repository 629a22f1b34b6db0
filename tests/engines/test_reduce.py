"""Reducing maps: the native core, its twin and plain arithmetic agree."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.engines.results.reduce import combine, reduce_array, reduce_python
from packetfs.vm.layout import Reducer

EDGES: Final = (0, 1, 127, 128, 255, 256, 1 << 31, 1 << 63, (1 << 64) - 1)


def signed(number: int, width: int) -> int:
    return number - (1 << 8 * width) if number >> (8 * width - 1) else number


def plain(before: int, after: int, reducer: Reducer, width: int) -> int:
    values: Final = {
        Reducer.LAST: after,
        Reducer.FIRST: before,
        Reducer.SUM: (before + after) % (1 << 8 * width),
        Reducer.MIN: min(before, after),
        Reducer.MAX: max(before, after),
        Reducer.SIGNED_MIN: min(before, after, key=lambda number: signed(number, width)),
        Reducer.SIGNED_MAX: max(before, after, key=lambda number: signed(number, width)),
        Reducer.OR: before | after,
        Reducer.AND: before & after,
        Reducer.XOR: before ^ after,
    }
    return values[reducer]


@given(
    st.sampled_from([*Reducer]),
    st.sampled_from([1, 2, 4, 8]),
    st.lists(st.lists(st.sampled_from(EDGES), min_size=3, max_size=3)),
)
def test_elements_are_reduced_in_order(reducer: Reducer, width: int, rows: list[list[int]]) -> None:
    rows = [[number % (1 << 8 * width) for number in row] for row in [[5, 0, 200], *rows]]
    wanted = rows[0]
    for row in rows[1:]:
        wanted = [plain(a, b, reducer, width) for a, b in zip(wanted, row, strict=True)]
    stride = 3 * width + 7
    values = b"".join(b"".join(n.to_bytes(width, "little") for n in row).ljust(stride, b"\xee") for row in rows[1:])
    for reduce in (reduce_python, reduce_array):
        into = bytearray(b"".join(number.to_bytes(width, "little") for number in rows[0]))
        reduce(memoryview(into), memoryview(values), len(rows) - 1, stride, reducer, width)
        got = [int.from_bytes(into[at : at + width], "little") for at in range(0, 3 * width, width)]
        assert got == wanted


@pytest.mark.parametrize("reduce", [reduce_python, reduce_array])
def test_buffers_that_do_not_fit_are_refused(reduce: type) -> None:
    for into, values, count, stride, width in ((7, 100, 1, 8, 8), (8, 15, 2, 8, 8), (8, 0, 1, 8, 8)):
        with pytest.raises(ValueError, match="values"):
            reduce(memoryview(bytearray(into)), memoryview(bytes(values)), count, stride, Reducer.SUM, width)


def test_values_of_odd_sizes_are_taken_whole() -> None:
    assert combine(b"abc", b"xyz", Reducer.LAST, 8) == b"xyz"
    assert combine(b"abc", b"xyz", Reducer.FIRST, 8) == b"abc"
