"""Ending a command by a signal as Ctrl-C ends it: what it keeps elsewhere goes, or is said to stay."""

from __future__ import annotations

from packetfs.contextlib import contextmanager
from packetfs.typing import TYPE_CHECKING, Final, Iterator, NoReturn

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what that is made of: itself makes enumerations of all its numbers, 2 ms of a run

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal that is not Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise Ended, unless whoever started this process wants them ignored, as nohup does."""
    taken = [number for number in _SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: object) -> NoReturn:
    del frame
    raise Ended(number)
