"""Sorted ranges that do not overlap, each of a kind: what an overlay has in place of the old bytes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from packetfs.enum import IntEnum


class Kind(IntEnum):
    """What is in a range: bytes that were written, or a hole."""

    DATA = 1
    HOLE = 2


class Ranges:
    """Ranges [start, end) by position; neighbours of one kind are one range."""

    __slots__ = ("_ends", "_kinds", "_limit", "_starts", "below", "data")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._kinds: list[Kind] = []
        self.data = 0
        """Bytes in DATA ranges."""
        self.below = 0
        """Bytes in ranges, before the limit."""

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int, Kind]]:
        return iter(list(zip(self._starts, self._ends, self._kinds, strict=True)))

    def at(self, offset: int) -> tuple[int, Kind | None]:
        """Return where what is at an offset ends, and its kind: None up to the next range (-1: there is none)."""
        index = bisect_right(self._starts, offset) - 1
        if index >= 0 and offset < self._ends[index]:
            return self._ends[index], self._kinds[index]
        return (self._starts[index + 1] if index + 1 < len(self._starts) else -1), None

    def mark(self, start: int, end: int, kind: Kind) -> None:
        """Make [start, end) a range of this kind, in place of what is there."""
        if start >= end:
            return
        ends = self._ends
        if kind is Kind.DATA and ends and start == ends[-1] and self._kinds[-1] is kind:  # most writes go on
            ends[-1] = end
            self.data += end - start
            self.below += self._below(start, end)
            return
        self.clear(start, end)
        index = bisect_left(self._starts, start)
        if index < len(ends) and self._starts[index] == end and self._kinds[index] is kind:
            end = ends[index]
            self._delete(index, index + 1)
        if index and ends[index - 1] == start and self._kinds[index - 1] is kind:
            index -= 1
            start = self._starts[index]
            self._delete(index, index + 1)
        self._insert(index, start, end, kind)

    def clear(self, start: int, end: int) -> None:
        """Take ranges and parts of them out of [start, end)."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last or start >= end:
            return
        left = self._starts[first], self._kinds[first]
        right = self._ends[last - 1], self._kinds[last - 1]
        self._delete(first, last)
        if right[0] > end:
            self._insert(first, end, right[0], right[1])
        if left[0] < start:
            self._insert(first, left[0], start, left[1])

    def _delete(self, first: int, last: int) -> None:
        for index in range(first, last):
            start, end = self._starts[index], self._ends[index]
            self.below -= self._below(start, end)
            if self._kinds[index] is Kind.DATA:
                self.data -= end - start
        del self._starts[first:last], self._ends[first:last], self._kinds[first:last]

    def _insert(self, index: int, start: int, end: int, kind: Kind) -> None:
        self._starts.insert(index, start)
        self._ends.insert(index, end)
        self._kinds.insert(index, kind)
        self.below += self._below(start, end)
        if kind is Kind.DATA:
            self.data += end - start

    def _below(self, start: int, end: int) -> int:
        return max(min(end, self._limit) - start, 0)

    def lower(self, limit: int) -> None:
        """Take what is from a limit on out, and let it be the limit from now on."""
        if self._ends and self._ends[-1] > limit:
            self.clear(limit, self._ends[-1])
        if limit < self._limit:
            self.below = sum(map(self._below, self._starts, self._ends))
            self._limit = limit
