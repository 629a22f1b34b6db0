"""What was checked since the machine started: of all processes, and never too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.packet.layout import PACKET
from packetfs.pool.storage import DiskStorage
from packetfs.pool.verified import Verified

FAR = 3 << 21
"""Positions that lie blocks of bits apart."""
STEPS = st.tuples(st.sampled_from(["add", "discard", "look"]), st.booleans(), st.integers(0, 9), st.booleans())


def test_what_one_process_forgets_no_other_has(tmp_path: Path) -> None:
    """Though it saw, and may still believe, that the bit was not set."""
    one, other = (Verified(DiskStorage(), str(tmp_path / "v")) for _ in range(2))
    assert PACKET not in one
    other.add(PACKET)
    other.add(2 * PACKET)
    one.discard(PACKET)
    assert PACKET not in other
    assert 2 * PACKET in other
    assert 2 * PACKET in one
    other.discard(2 * PACKET)
    assert 2 * PACKET not in one, "a bit that was seen is looked at again"


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "discard", "look"]), st.booleans(), st.integers(0, 9), st.booleans()))
)
def test_a_bit_that_is_found_is_set(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool, int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("v") / "v"
    both = [Verified(DiskStorage(), str(path)) for _ in range(2)]
    there: set[int] = set()
    for what, which, number, is_far in steps:
        position = number * PACKET + is_far * FAR
        if what == "look":
            assert position not in both[which] or position in there
        elif what == "add":
            both[which].add(position)
            there.add(position)
            assert position in both[which]
        else:
            both[which].discard(position)
            there.discard(position)
            assert position not in both[which]
    fresh = Verified(DiskStorage(), str(path))
    assert {at for at in (n * PACKET + far * FAR for n in range(10) for far in range(2)) if at in fresh} == there
