"""Serving on the processor of whoever asks, as long as one program asks and waits, again and again.

Only one of the two runs at a time then, and waking each other across processors costs more than all else that a small
request takes: `tar x` of 5,000 files took 6.7 s on two processors and 1.8 s on one (measured, in a virtual machine).

To be there is not enough: who asks is woken while the server runs, and Linux sends it to a processor that is idle. One
that runs nothing but SCHED_IDLE counts as such. So a server that follows takes that policy while requests come in quick
succession, and whoever it wakes stays: stats that the kernel cannot answer are twice as fast (`python -m bench.mount`:
17,300 a second before, 34,300 since). Where others compute there it waits for them; then requests are no longer quick.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection

from packetfs.typing import Final

_EVERY: Final = 32
"""Requests in a row of one thread before its processor is looked at, and between two looks."""
_QUICK: Final = 0.001
"""Seconds within which the next request follows, or gives way no more."""
_TRUST_MAX: Final = 4096
"""Quick requests in a row before it gives way again, where that did not last."""
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
        self,
        where: Callable[[int], int] = processor_of,
        stay: Callable[[Collection[int]], None] = stay_on,
        give_way: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`give_way` lets others of a processor come first, or ends that; None where there would be no way back."""
        self._where: Final = where
        self._stay: Final = stay
        self._give_way: Final = give_way
        self._clock: Final = clock
        self._gives_way = False
        self._last = 0.0
        self._quick = 0
        self._trusted_after = _EVERY
        self.everywhere: Final = os.sched_getaffinity(0)
        self._thread = 0
        self._count = 0
        self._near: int | None = None

    def asked(self, thread: int) -> None:
        """Count a request whose thread waits for the answer; 0 is the kernel, for which nobody waits."""
        now = self._clock()
        self._quick = self._quick + 1 if now - self._last <= _QUICK else 0
        self._last = now
        if self._gives_way and not self._quick:
            self._come_first()
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
        if self._gives_way:
            self._come_first()
        if self._near is not None:
            self._near = None
            self._stay(self.everywhere)

    def _follow(self) -> None:
        try:
            found = self._where(self._thread)
            if found != self._near and found in self.everywhere:
                self._stay((found,))
                self._near = found
            if self._near is not None and self._give_way is not None and self._quick >= self._trusted_after:
                self._trusted_after = _EVERY if self._gives_way else min(2 * self._trusted_after, _TRUST_MAX)
                if not self._gives_way:
                    self._gives_way = True
                    self._give_way(True)
        except (OSError, ValueError, IndexError):  # it is gone, or not ours to see
            self.part()

    def _come_first(self) -> None:
        self._gives_way = False
        if self._give_way is not None:
            self._give_way(False)
