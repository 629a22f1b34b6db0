"""Whether new pages of the page cache are dear: in a virtual machine whose host must give it each one, often."""

from __future__ import annotations

import time
from collections.abc import Callable

from packetfs.limits import MIB
from packetfs.typing import Final

_WINDOW: Final = 16 * MIB
"""Bytes after which the cost is looked at."""
_SAMPLE: Final = MIB // 2
"""Bytes of which one write is timed: to ask for the time takes 1 % of what the write of one chunk does."""
_DEAR: Final = 0.6e-3
"""CPU seconds that a MiB costs there: twice what copying it into pages at hand takes."""
_WINDOWS: Final = 2
"""Windows that are dear one after the other, before it is believed: one may be by chance."""


class Dear:
    """Watches what writing through the page cache costs."""

    def __init__(self) -> None:
        self.is_so = False
        """Whether it was dear for long enough."""
        self._untimed = self._bytes = self._dear = 0
        self._passed = 0
        self._seconds = 0.0

    def watch(self, write: Callable[[], None], size: int) -> None:
        """Do what writes so many bytes."""
        self._untimed += size
        if self._untimed < _SAMPLE:
            write()
        else:
            before = time.thread_time()
            write()
            self._seconds += time.thread_time() - before
            self._bytes += size
            self._untimed = 0
        self._passed += size
        if self._passed >= _WINDOW:
            self._look()

    def _look(self) -> None:
        self._dear = self._dear + 1 if self._seconds * MIB > _DEAR * self._bytes else 0
        self.is_so = self.is_so or self._dear >= _WINDOWS
        self._passed, self._bytes, self._seconds = 0, 0, 0.0
