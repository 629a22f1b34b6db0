"""What a cache takes in leaves the page cache again, where new pages are dear.

A first copy fills a cache with all that it sends, beside the pages of the source, and reads little of that soon. Mostly
those pages are welcome. But a virtual machine whose host must give it each new page pays for them several times what
copying takes: a gigabyte then cost 1.3 CPU seconds and more instead of 0.3, and 0.3 again where the same pages were
used over and over (measured by hand). What is let go is read from the disk when it is next needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from packetfs.limits import MIB, SEGMENT
from packetfs.typing import Final

_WINDOW: Final = 16 * MIB
"""Bytes after which the cost is looked at, and that are let go at a time."""
_SAMPLE: Final = MIB // 2
"""Bytes of which one write is timed: to ask for the time takes 1 % of what the write of one chunk does."""
_DEAR: Final = 0.6e-3
"""CPU seconds that a MiB costs there: twice what copying it into pages at hand takes."""
_WINDOWS: Final = 2
"""Windows that are dear one after the other, before it is believed: one may be by chance."""


class Passing:
    """Watches what writing costs; where it is dear for long enough, it lets go of each window soon after it is full."""

    def __init__(self, descriptor: Callable[[int], int], end: int) -> None:
        """`descriptor` opens a segment by number; `end`: the position from which on is written."""
        self._descriptor = descriptor
        self._first = self._looked = end // _WINDOW
        self._end = end
        self._untimed = self._bytes = self._dear = 0
        self._seconds = 0.0
        self._is_dear = False

    def write(self, write: Callable[[], None], end: int) -> None:
        """Do what writes up to the position `end`."""
        size, self._end = end - self._end, end
        self._untimed += size
        if self._is_dear or self._untimed < _SAMPLE:
            write()
        else:
            before = time.thread_time()
            write()
            self._seconds += time.thread_time() - before
            self._bytes += size
            self._untimed = 0
        if end // _WINDOW > self._looked:
            self._look(end // _WINDOW)

    def _look(self, window: int) -> None:
        self._dear = self._dear + 1 if self._seconds * MIB > _DEAR * self._bytes else 0
        self._is_dear = self._is_dear or self._dear >= _WINDOWS
        if self._is_dear:
            self._let_go(window - 1)  # begins to be written out
            self._let_go(window - 2)  # is written by now, and goes
        self._looked, self._bytes, self._seconds = window, 0, 0.0

    def _let_go(self, window: int) -> None:
        if window >= self._first:
            number, start = divmod(window * _WINDOW, SEGMENT)
            os.posix_fadvise(self._descriptor(number), start, _WINDOW, os.POSIX_FADV_DONTNEED)
