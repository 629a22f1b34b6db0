"""Long reads beside the loop: a few threads that begin when they are needed."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from packetfs.frontends.mount.operations import Later
from packetfs.frontends.mount.slices import USUAL, ask_for_slices
from packetfs.limits import MOUNT_THREADS
from packetfs.typing import Final


class Workers:
    """Threads that run jobs by the number of their request. A request that was abandoned is not answered twice."""

    def __init__(self, finish: Callable[[int, Later], None]) -> None:
        self._finish: Final = finish
        self._waiting: Final[deque[tuple[int, Later]]] = deque()
        self._open: Final[set[int]] = set()
        self._change: Final = threading.Condition()
        self._everywhere: Final = os.sched_getaffinity(0)
        self._free = 0
        self._threads = 0
        self._closed = False

    def start(self, unique: int, job: Later) -> None:
        """Run `job`, at once unless all threads are busy; here and now where there is none, and none can begin."""
        with self._change:
            self._open.add(unique)
            if self._free <= len(self._waiting) and self._threads < MOUNT_THREADS:
                self._begin()
            alone = not self._threads
            if not alone:
                self._waiting.append((unique, job))
                self._change.notify()
        if alone:
            self._finish(unique, job)

    def _begin(self) -> None:
        """Begin one more thread, unless the system lets none."""
        with suppress(RuntimeError):
            threading.Thread(target=self._work, daemon=True).start()
            self._threads += 1

    def end(self, unique: int) -> bool:
        """Tell whether the request is still to be answered, and forget it."""
        with self._change:
            held = unique in self._open
            self._open.discard(unique)
            return held

    abandon = end

    def close(self) -> None:
        """Let the threads end; one that computes is not waited for."""
        with self._change:
            self._closed = True
            self._open.clear()
            self._waiting.clear()
            self._change.notify_all()

    def _work(self) -> None:
        os.sched_setaffinity(0, self._everywhere)  # the loop, which began this thread, may stay on one processor
        ask_for_slices(USUAL)
        while True:
            with self._change:
                self._free += 1
                while not self._waiting and not self._closed:
                    self._change.wait()
                self._free -= 1
                if self._closed:
                    return
                unique, job = self._waiting.popleft()
                wanted = unique in self._open
            if wanted:
                self._finish(unique, job)
