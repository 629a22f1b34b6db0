"""Serving on the processor of whoever asks, as long as one program asks and waits, again and again.

Only one of the two runs at a time then, and waking each other across processors costs more than all else that a small
request takes: `tar x` of 5,000 files took 6.7 s on two processors and 1.8 s on one (measured, in a virtual machine).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Final

_EVERY: Final = 32
"""Requests in a row of one thread before its processor is looked at, and between two looks."""
_FIELD: Final = 36
"""Which word behind the name in /proc/PID/stat is the processor."""


def processor_of(thread: int) -> int:
    """Return the processor on which a thread ran last."""
    with open(f"/proc/{thread}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[_FIELD])


def stay_on(processors: Collection[int]) -> None:
    """Let the calling thread run on these processors alone."""
    os.sched_setaffinity(0, processors)


class Nearness:
    """Which thread asks, and how often it did in a row. To be made by the thread that serves."""

    def __init__(
        self, where: Callable[[int], int] = processor_of, stay: Callable[[Collection[int]], None] = stay_on
    ) -> None:
        self._where: Final = where
        self._stay: Final = stay
        self.everywhere: Final = os.sched_getaffinity(0)
        self._thread = 0
        self._count = 0
        self._near: int | None = None

    def asked(self, thread: int) -> None:
        """Count a request whose thread waits for the answer; 0 is the kernel, for which nobody waits."""
        if thread == self._thread:
            self._count += 1
            if not self._count % _EVERY:
                self._follow()
        elif thread:
            self._thread = thread
            self.part()

    def part(self) -> None:
        """Run anywhere: several ask, or one that has others work for it."""
        self._count = 0
        if self._near is not None:
            self._near = None
            self._stay(self.everywhere)

    def _follow(self) -> None:
        try:
            found = self._where(self._thread)
            if found != self._near and found in self.everywhere:
                self._stay((found,))
                self._near = found
        except (OSError, ValueError, IndexError):  # it is gone, or not ours to see
            self.part()
