"""Ranges against a list with the kind of each position."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from packetfs.fs.posix.ranges import Kind, Ranges

SIZE = 60
STEPS = st.lists(
    st.tuples(st.sampled_from(["data", "hole", "clear", "lower"]), st.integers(0, SIZE), st.integers(0, 20)),
    max_size=30,
)


@given(limit=st.integers(0, SIZE), steps=STEPS)
def test_ranges_are_what_was_marked(limit: int, steps: list[tuple[str, int, int]]) -> None:
    ranges = Ranges(limit)
    model: list[Kind | None] = [None] * (SIZE + 20)
    for what, start, length in steps:
        end = start + length
        if what == "lower":
            ranges.lower(start)
            limit = min(limit, start)
            model[start:] = [None] * (len(model) - start)
            continue
        kind = {"data": Kind.DATA, "hole": Kind.HOLE}.get(what)
        if kind is None:
            ranges.clear(start, end)
        else:
            ranges.mark(start, end, kind)
        model[start:end] = [kind] * length
    assert ranges.data == model.count(Kind.DATA)
    assert ranges.below == sum(kind is not None for kind in model[:limit])
    found = list(ranges)
    assert all(first[1] < second[0] or first[2] != second[2] for first, second in pairwise(found))
    assert sum(end - start for start, end, _ in found) == sum(kind is not None for kind in model)
    for at in range(len(model)):
        end, kind = ranges.at(at)
        assert kind == model[at]
        assert all(model[place] == kind for place in range(at, end if end >= 0 else len(model)))
