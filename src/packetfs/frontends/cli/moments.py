"""Times as people read them (local) and as programs do (ISO 8601, UTC)."""

from __future__ import annotations

import time

from packetfs.typing import Final

SECOND: Final = 1_000_000_000


def local_time(nanoseconds: int) -> str:
    """Return a local time to the second."""
    return _format("%Y-%m-%d %H:%M:%S", nanoseconds, local=True)


def iso_time(nanoseconds: int) -> str:
    """Return UTC with all nine digits."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return _format("%Y-%m-%dT%H:%M:%S", seconds * SECOND, local=False) + f".{rest:09}Z"


def _format(form: str, nanoseconds: int, *, local: bool) -> str:
    """Format a time; files from elsewhere may carry years that the C library refuses."""
    try:
        seconds = nanoseconds // SECOND
        return time.strftime(form, time.localtime(seconds) if local else time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"@{nanoseconds // SECOND}"
