"""The progress bar: one line on stderr of a terminal, painted at most ten times a second, with plain ANSI codes."""

from __future__ import annotations

import os
import time

from packetfs.events import Progress
from packetfs.frontends.cli.sizes import counted, format_size
from packetfs.limits import PROGRESS_SECONDS
from packetfs.typing import BinaryIO, Callable, Final

CLEAR: Final = b"\r\x1b[K"
WIDTH: Final = 24
"""Characters of the bar itself; the words beside it need 50."""


class Pace:
    """Let something happen at most once in `seconds`."""

    __slots__ = ("_clock", "_next", "_seconds")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = clock() + seconds

    def due(self) -> bool:
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class Bar:
    """Paint progress on a terminal. A job that ends within the first tick shows nothing."""

    def __init__(self, stream: BinaryIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._pace = Pace(PROGRESS_SECONDS, clock)
        self._start = clock()
        self._painted = False

    def show(self, progress: Progress) -> None:
        if not self._pace.due():
            return
        words = describe(progress, self._clock() - self._start)
        self._stream.write(CLEAR + words[: _columns(self._stream) - 1].encode())
        self._stream.flush()
        self._painted = True

    def clear(self) -> None:
        """Take the bar off the terminal, so that words can stand there."""
        if self._painted:
            self._stream.write(CLEAR)
            self._stream.flush()
            self._painted = False


def describe(progress: Progress, seconds: float) -> str:
    """Return the line: share and bar where the end is known, then bytes, files, rate and what is left."""
    rate = progress.done / seconds if seconds > 0 else 0.0
    words = f"{format_size(progress.done)}, {counted(progress.files, 'file')}, {format_size(int(rate))}/s"
    if progress.total <= 0:
        return words
    share = min(progress.done / progress.total, 1.0)
    full = int(share * WIDTH)
    left = f", {_clock_time((progress.total - progress.done) / rate)} left" if rate and share < 1 else ""
    return f"{share:4.0%} [{'=' * full}{' ' * (WIDTH - full)}] {words}{left}"


def _clock_time(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _columns(stream: BinaryIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
