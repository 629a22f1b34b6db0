"""Paths that changed and were not imported yet: one entry each, and no more than there is room for."""

from __future__ import annotations

from packetfs.dataclass import dataclass, field
from packetfs.fs.host.watches import Kind, Note
from packetfs.limits import WATCH_LONGEST, WATCH_PENDING, WATCH_QUIET


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be imported now: paths, True for a directory with all that is in it, and when each changed first.

    `all`: look at everything instead.
    """

    paths: dict[bytes, bool] = field(default_factory=dict)
    times: dict[bytes, float] = field(default_factory=dict)
    all: bool = False


@dataclass(slots=True)
class _Waiting:
    """A path: since when it changes, when it is due, and whether it is a directory that came."""

    since: float
    due: float
    deep: bool


class Pending:
    """Gathers notes; `now` is the caller's clock, in seconds."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, _Waiting] = {}
        self._all = False

    def note(self, note: Note, now: float) -> None:
        """Take one note. A file that is still written to waits until it is quiet, but not for ever."""
        if note.kind is Kind.ALL or (len(self._waiting) >= WATCH_PENDING and note.path not in self._waiting):
            self._all = True
            self._waiting.clear()
        if self._all:
            return
        found = self._waiting.setdefault(note.path, _Waiting(now, now, deep=False))
        found.deep |= note.kind is Kind.TREE
        found.due = min(now + WATCH_QUIET, found.since + WATCH_LONGEST) if note.kind is Kind.WRITING else now

    def take(self, now: float) -> Due | None:
        """Return what is due, which then is no longer pending; None where nothing is."""
        if self._all:
            self._all = False
            return Due(all=True)
        due = {path: waiting for path, waiting in self._waiting.items() if waiting.due <= now}
        if not due:
            return None
        for path in due:
            del self._waiting[path]
        paths = {path: waiting.deep for path, waiting in due.items()}
        return Due(paths, {path: waiting.since for path, waiting in due.items()})

    def wait(self, now: float) -> float | None:
        """Return the seconds until something is due, None where nothing waits."""
        if self._all:
            return 0.0
        return (
            max(0.0, min((waiting.due for waiting in self._waiting.values()), default=now) - now)
            if (self._waiting)
            else None
        )
