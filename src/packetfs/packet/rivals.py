"""Chunks that changed inside: whether they are chunks still, and what is to be compared with the ends of those before.

A chunk ends at the first window with the least hash of its range, and no run starts there. Where the edges of a chunk
are as before, and no run is new in it, its own end and those of chunks before it whose range reaches into it hold
unless a window that changed has a lesser hash: all others were no rivals before. So no more than those are hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packetfs.accel import native
from packetfs.packet.cut import WINDOW, find_least, find_least_python, hash_window, hash_window_python
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, TypeAlias

NO_RIVAL: Final = 1 << 32
"""Greater than the hash of any window."""
_SPANS: Final = 8
"""Stretches that are looked at one by one; of more, all from the first to the last are: that takes 20 us at most."""
_BLOCK: Final = 8192
"""Windows that are hashed at a time where one will do."""

Span: TypeAlias = tuple[int, int]
"""[start, end) of bytes that may differ from the old ones."""


def rivals_python(new: Buffer, spans: Sequence[Span], mean: int, seen: Sequence[int], /) -> list[int] | None:
    """Return, for each number of bytes that a chunk before `new` has seen of it, the least hash of the windows in these
    that changed, NO_RIVAL where none did; None where `new`, other in these spans alone, may be no chunk as it was."""
    view = memoryview(new).cast("B")
    if mean < 4096 or mean & (mean - 1):
        raise ValueError("mean must be a power of two, 4 KiB at the least")
    _check(spans, len(view))
    if not are_inside(spans, len(view)) or _is_constant(view[:WINDOW]) or _is_constant(view[-WINDOW:]):
        return None
    if len(spans) > _SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    if _may_have_run(view, spans, mean // 8):
        return None
    if _least(view, spans, mean // 2, len(view) - 1) <= hash_window_python(view[-WINDOW:]):
        return None
    return [_least(view, spans, WINDOW, min(count, len(view))) for count in seen]


def are_inside(spans: Sequence[Span], length: int) -> bool:
    """Tell whether something changed in a chunk of this length, but for its edges."""
    return bool(spans) and spans[0][0] >= WINDOW and spans[-1][1] <= length - WINDOW


def has_less(data: memoryview, high: int, bound: int) -> bool:
    """Tell whether a window that ends in the first `high` bytes has a lesser hash: of one that is the least
    of thousands the first few thousand tell."""
    for first in range(WINDOW, high + 1, _BLOCK):
        place = find_least(data, 0, first, min(first + _BLOCK - 1, high))
        if hash_window(data[place - WINDOW : place]) < bound:
            return True
    return False


def _check(spans: Iterable[Span], length: int) -> None:
    done = 0
    for start, end in spans:
        if not done <= start <= end <= length:
            raise ValueError("spans lie one behind the other in the new bytes")
        done = end


def _least(new: memoryview, spans: Iterable[Span], low: int, high: int) -> int:
    """Return the least hash of the windows that changed and end in [low, high]."""
    least = NO_RIVAL
    for start, end in spans:
        first, last = max(low, start + 1), min(high, end + WINDOW - 1)
        if first <= last:
            place = find_least_python(new, 0, first, last)
            least = min(least, hash_window_python(new[place - WINDOW : place]))
    return least


def _may_have_run(new: memoryview, spans: Iterable[Span], shortest: int) -> bool:
    """Tell whether there may be a run of so many bytes in which some changed: it has a whole block of half as many."""
    block = shortest // 2
    for start, end in spans:
        for at in range(max(start - shortest, 0) // block * block, min(end + shortest, len(new) - block + 1), block):
            if new[at] == new[at + block // 2] == new[at + block - 1] and _is_constant(new[at : at + block]):
                return True
    return False


def _is_constant(view: memoryview) -> bool:
    return view[1:] == view[:-1]


rivals = rivals_python if native is None else native.rivals
