"""Extents that changed inside and end where they did: no cut is looked for again, in them or in those before them.

A chunk ends at the first window with the least hash of its range, and no run starts there. Where the edges of an extent
are as before, and all of it is still one chunk, its own end holds. An extent before it whose range reaches into it
keeps its end unless a window that changed has a lesser hash; and if the least of those that it can see did not change,
that was no rival before, so nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable

from packetfs.fs.streams.oldprogram import Segment
from packetfs.fs.streams.window import ReadInto
from packetfs.packet.cut import WINDOW, cut, find_least, hash_window
from packetfs.typing import Protocol


class Known(Protocol):
    """What somebody knows of a stream before it is read: nothing moved, and some of it changed."""

    @property
    def size(self) -> int:
        """Bytes of the stream."""

    def unchanged(self, at: int) -> int:
        """Return where the bytes end that are, from `at` on, those of the old program: `at` where none are."""

    def zeros(self, at: int) -> int:
        """Return where the zeros end that are known to begin at `at`: `at` where none are."""


class Amender:
    """Reads extents that changed, and says which of them are chunks still."""

    def __init__(self, known: Known, read_into: ReadInto, mean: int) -> None:
        self._known = known
        self._read_into = read_into
        self._mean = mean
        self._most = mean + mean // 2
        self._memory = memoryview(bytearray(self._most))

    def amend(self, old: Segment, before: Iterable[Segment]) -> memoryview | None:
        """Return the new bytes of an extent, good until the next call; None where its end, or one of an extent
        `before` it that is not settled yet, may be another."""
        end = old.start + old.length
        if not 2 * WINDOW < old.length <= self._most or end > self._known.size:
            return None
        if self._known.unchanged(old.start) < old.start + WINDOW:
            return None
        view = self._read(old.start, self._memory[: old.length])
        if view is None or _is_constant(view[:WINDOW]) or _is_constant(view[-WINDOW:]):
            return None  # a run may reach across an edge
        if cut(view, self._mean, True) != [old.length]:
            return None
        if not all(self._is_end(segment, old.start, view) for segment in before):
            return None
        return view if self._known.unchanged(end - WINDOW) >= end else None

    def _is_end(self, segment: Segment, start: int, view: memoryview) -> bool:
        """Tell whether an extent before the place `start` ends where it did, with these bytes there."""
        seen = min(segment.start + self._most - start, len(view))
        if segment.digest is None or seen < WINDOW:
            return True
        place = find_least(view, 0, WINDOW, seen)
        if self._known.unchanged(start + place - WINDOW) >= start + place:
            return True
        last = self._read(segment.start + segment.length - WINDOW, memoryview(bytearray(WINDOW)))
        return last is not None and hash_window(last) <= hash_window(view[place - WINDOW : place])

    def _read(self, start: int, memory: memoryview) -> memoryview | None:
        """Fill memory from the stream; None where that ends before."""
        filled = 0
        while filled < len(memory):
            count = self._read_into(start + filled, memory[filled:])
            if not count:
                return None
            filled += count
        return memory


def _is_constant(view: memoryview) -> bool:
    return view[1:] == view[:-1]
