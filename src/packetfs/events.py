"""What happens while a job runs, as frozen records: frontends turn them into words, JSON lines or a bar."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Callable


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file that could not be handled; the job goes on and ends with exit code 3."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One name that a sync changes: action is `new`, `content`, `metadata`, `link` or `delete`."""

    path: bytes
    action: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, in files and logical bytes."""

    files: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A change that a standing connection brought to its destination, `seconds` after it happened.

    `moved`: bytes on the wire, both ways, of all changes that went together.
    """

    path: bytes
    action: str
    size: int
    destination: str
    moved: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Connection:
    """A standing connection: `lost`, with the reason and the seconds until the next attempt, or there."""

    destination: str
    lost: str = ""
    seconds: float = 0.0


Event = Trouble | Changed | Progress | Delivered | Connection
Listener = Callable[[Event], None]


class Counted:
    """Passes events on to a listener, and counts the files that could not be handled."""

    def __init__(self, listener: Listener) -> None:
        self.troubles = 0
        self._listener = listener

    def __call__(self, event: Event) -> None:
        self.troubles += isinstance(event, Trouble)
        self._listener(event)


class Troubles:
    """Keeps the files that could not be handled, the first `limit` of them, until they are taken."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[Trouble] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Trouble) and len(self._kept) < self._limit:
            self._kept.append(event)

    def take(self) -> list[Trouble]:
        """Return those that nobody was told of yet."""
        kept, self._kept = self._kept, []
        return kept


def ignore(event: Event) -> None:
    """Be the listener of a job that nobody watches."""
