"""Threads beside a job whose work is in C libraries. None outlives the process: one that is inside LLVM while the end
of the process takes LLVM down dies with it, by a signal."""

from __future__ import annotations

import atexit

from packetfs.threading import Event, Thread
from packetfs.typing import Callable, Final

_ending: Final = Event()
_running: Final[set[Thread]] = set()


def begin(work: Callable[[], None]) -> Thread:
    """Do something in a thread. It should look at `is_ending` between long steps: the process waits for it to end."""

    def do() -> None:
        try:
            if not is_ending():
                work()
        finally:
            _running.discard(thread)

    thread = Thread(target=do, daemon=True)
    _running.add(thread)
    try:
        thread.start()
    except RuntimeError:  # the system lets no more begin: the job does without
        _running.discard(thread)
    return thread


def is_ending() -> bool:
    """Tell whether the process is about to end, so that nothing new should begin."""
    return _ending.is_set()


@atexit.register
def _settle() -> None:
    _ending.set()
    for thread in tuple(_running):
        if thread.is_alive():
            thread.join()
