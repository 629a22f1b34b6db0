"""Searches around changes go on where they pay; where they do not they become rare, but never cease."""

from __future__ import annotations

from itertools import pairwise

import pytest

from packetfs.net.sending.delta import _Wider

CHANGES = 4000
LITERALS = 4096


def searches(saved: dict[int, int]) -> list[int]:
    """Return which of the changes were searched for; `saved`: bytes that this saves from a change on."""
    wider, found, saves = _Wider(), [], 0
    for number in range(CHANGES):
        saves = saved.get(number, saves)
        if wider.pays(LITERALS):
            found.append(number)
            wider.note(LITERALS, LITERALS - saves)
    return found


def test_where_nothing_is_saved_searches_become_rare() -> None:
    found = searches({})
    assert found[:16] == list(range(16))
    assert len(found) < 16 + 24
    assert max(b - a for a, b in pairwise(found)) <= 256


def test_where_much_is_saved_all_is_searched() -> None:
    assert searches({0: LITERALS // 2}) == list(range(CHANGES))


@pytest.mark.parametrize("start", [100, 1000, 2000])
def test_what_pays_later_is_found_later(start: int) -> None:
    found = [number for number in searches({start: LITERALS}) if number >= start]
    assert found[0] - start <= 256
    assert found[-1] == CHANGES - 1
    assert len(found) > (CHANGES - start) // 2


def test_few_bytes_are_no_reason_to_search() -> None:
    assert not any(_Wider().pays(63) for _ in range(100))
