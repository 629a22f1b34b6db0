"""One open file of the arena."""

from __future__ import annotations

import os

from packetfs.pool.past import open_past
from packetfs.pool.storage import Storage


class SegmentFile:
    """A descriptor that closes with its last user, so that no thread reads through a number that was given away."""

    __slots__ = ("_flags", "_past", "_storage", "fd")

    def __init__(self, storage: Storage, fd: int, flags: int) -> None:
        """`flags`: how it was opened."""
        self._storage = storage
        self._flags = flags
        self._past: int | None = None
        self.fd = fd

    @property
    def past(self) -> int:
        """The same file past the page cache; -1 where there is no such way."""
        if self._past is None:
            self._past = open_past(self.fd, self._flags)
        return self._past

    def __del__(self) -> None:
        if self._past is not None and self._past >= 0:
            os.close(self._past)
        self._storage.close(self.fd)
