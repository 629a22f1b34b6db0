"""Threads beside a job whose work is in C libraries. None outlives the process: one that is inside LLVM while the end
of the process takes LLVM down dies with it, by a signal."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

from packetfs.typing import Final

_ending: Final = threading.Event()
_running: Final[set[threading.Thread]] = set()


def begin(work: Callable[[], None]) -> threading.Thread:
    """Do something in a thread. It should look at `is_ending` between long steps: the process waits for it to end."""
    thread = threading.Thread(target=_do, args=(work,), daemon=True)
    _running.add(thread)
    thread.start()
    return thread


def is_ending() -> bool:
    """Tell whether the process is about to end, so that nothing new should begin."""
    return _ending.is_set()


def _do(work: Callable[[], None]) -> None:
    try:
        if not is_ending():
            work()
    finally:
        _running.discard(threading.current_thread())


@atexit.register
def _settle() -> None:
    _ending.set()
    for thread in tuple(_running):
        thread.join()
