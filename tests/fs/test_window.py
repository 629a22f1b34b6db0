"""What is shown of a stream is what it has, wherever somebody goes back to."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.fs.streams.window import Window

DATA = random.Random(5).randbytes(9000)
CAPACITY = 1000


def read_into(offset: int, memory: memoryview) -> int:
    piece = DATA[offset : offset + min(len(memory), 700)]
    memory[: len(piece)] = piece
    return len(piece)


STEPS = st.lists(st.tuples(st.integers(-200, 600), st.integers(0, 200), st.integers(1, 700)), min_size=1, max_size=40)


@settings(max_examples=300)
@given(STEPS, st.booleans())
def test_what_is_here_is_what_the_stream_has(steps: list[tuple[int, int, int]], ahead: bool) -> None:
    at = 0
    with Window(read_into, CAPACITY, ahead=ahead) as window:
        for step, before, size in steps:
            at = min(max(at + step, 0), len(DATA))
            keep = max(at - before, 0)
            count = window.have(at, size, keep)
            assert count == min(size, len(DATA) - at)
            assert window.view(keep, at + count - keep) == DATA[keep : at + count]
            assert window.fetch(max(keep - 100, 0), 150) == DATA[max(keep - 100, 0) :][:150]


def test_what_was_given_up_is_read_again() -> None:
    """The memory begins with what lay elsewhere in it, so that what comes next lies even."""
    with Window(read_into, CAPACITY) as window:
        window.have(0, 700, 0)
        window.have(690, 900, 690)
        window.have(680, 10, 680)
        assert window.view(680, 10) == DATA[680:690]
