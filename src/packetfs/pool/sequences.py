"""Where in the arena the chunks of one stream lie one behind the other, as this process put them there.

Of such chunks two things are known that no header tells: that they have the digests that their headers name, and that
the cutter made each of them with the next ones behind it. So who meets the same bytes again need not cut and hash them
(`following.py`). It is kept in memory alone: what another process stored is found by digest, as ever.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from packetfs.limits import SEQUENCES_MAX


class Sequences:
    """Ranges of arena positions, in order; the oldest are forgotten where there are too many."""

    def __init__(self) -> None:
        self._starts: Final[list[int]] = []
        self._ends: Final[list[int]] = []
        self._single = False
        self._window = memoryview(b"")

    def window(self, size: int) -> memoryview:
        """Return memory to read the arena into, of `size` bytes at the least; under the pool's lock."""
        if len(self._window) < size:
            self._window = memoryview(bytearray(size))
        return self._window

    def add(self, position: int, end: int, behind: int) -> None:
        """Add a chunk that was appended; `behind` is where the stream's last one ended, -1 where that is unknown."""
        if self._ends and self._ends[-1] == position == behind:
            self._ends[-1] = end
            self._single = False
        elif self._single:  # nothing follows from one chunk alone, and streams that take turns leave many
            self._starts[-1], self._ends[-1] = position, end
        else:
            self._starts.append(position)
            self._ends.append(end)
            self._single = True
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
            self._single = False
