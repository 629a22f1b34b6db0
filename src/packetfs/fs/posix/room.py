"""Refusing in time what a disk has no room for: SQLite that meets a full disk gives up all that was not committed."""

from __future__ import annotations

import errno
import os

from packetfs.fs.posix.errnos import fail
from packetfs.limits import POSIX_RESERVE, POSIX_RESERVE_SHARE, POSIX_ROOM_STEP, ROOM_KEPT

NAME = 4096
"""Bytes that a new name is counted as."""


class Room:
    """What may be written before the disk is looked at again."""

    __slots__ = ("_left", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._left = 0

    def take(self, size: int) -> None:
        """Count bytes that are about to be written; ENOSPC where only the reserve is left."""
        self._left -= size
        if self._left < 0:
            self._look(size)

    def _look(self, size: int) -> None:
        self._left = 0
        found = os.statvfs(self._path)
        reserve = ROOM_KEPT + min(POSIX_RESERVE, found.f_blocks * found.f_frsize // POSIX_RESERVE_SHARE)
        free = found.f_bavail * found.f_frsize - reserve
        if free < size:
            fail(errno.ENOSPC)
        self._left = min(POSIX_ROOM_STEP, (free - size) // 2)
