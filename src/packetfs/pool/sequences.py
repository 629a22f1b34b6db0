"""Where in the arena extents lie as one stream had them, one behind the other, as this process saw when it cut them.

Of such extents two things are known that no header tells: that their bytes have the digests that the headers name, and
that the cutter makes each of them where the next ones follow. So who meets the same bytes again need not cut and hash
them (`following.py`). It is kept in memory alone: of what another process stored, digests are the first to tell.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from packetfs.limits import SEQUENCES_MAX
from packetfs.pages import pages
from packetfs.typing import Final


class Sequences:
    """Ranges of arena positions that do not overlap, in order. Two that touch are not one: no stream had both."""

    def __init__(self) -> None:
        self._starts: Final[list[int]] = []
        self._ends: Final[list[int]] = []
        self._window = memoryview(b"")

    def window(self, size: int) -> memoryview:
        """Return memory to read the arena into, of `size` bytes at the least; under the pool's lock."""
        if len(self._window) < size:
            self._window = pages(size)
        return self._window

    def add(self, start: int, end: int) -> None:
        """Add what one stream had without a break; of others, what overlaps it is given up."""
        if self.end(start) >= end:
            return
        first = bisect_left(self._starts, start)
        if first and self._ends[first - 1] > start:
            self._ends[first - 1] = start
        last = bisect_left(self._starts, end, first)
        if last > first and self._ends[last - 1] > end:
            last -= 1
            self._starts[last] = end
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        if len(self._starts) > SEQUENCES_MAX:
            del self._starts[: SEQUENCES_MAX // 2], self._ends[: SEQUENCES_MAX // 2]

    def end(self, position: int) -> int:
        """Return where the sequence ends that a position is in; -1 where it is in none."""
        at = bisect_right(self._starts, position) - 1
        return self._ends[at] if at >= 0 and position < self._ends[at] else -1

    def drop(self, position: int) -> None:
        """Forget the sequence that a position is in: the extent there is no more."""
        at = bisect_right(self._starts, position) - 1
        if at >= 0 and position < self._ends[at]:
            del self._starts[at], self._ends[at]
