"""Whether the kernel keeps the pages of a file that is open: all who have it open at a time see it in one way."""

from __future__ import annotations

import os

from packetfs.frontends.mount.protocol import Fopen
from packetfs.typing import Final

_KEEP_CACHE: Final = int(Fopen.KEEP_CACHE)
_NOFLUSH: Final = int(Fopen.NOFLUSH)
_DIRECT_IO: Final = int(Fopen.DIRECT_IO)


class OpenFiles:
    """The files that are open, by inode number.

    One that is opened only to be written, while nobody else has it open, bypasses the kernel's pages, and so does
    everybody who opens it meanwhile. Its bytes are not copied into pages first that mostly nobody reads, and a write
    that ends inside a page stays one request. `alone`: no other process changes files, so pages outlive an opening.
    """

    def __init__(self, *, alone: bool) -> None:
        self._kept: Final = _KEEP_CACHE if alone else 0
        self._open: Final[dict[int, list[int]]] = {}

    def opened(self, ino: int, flags: int) -> int:
        """Count an opening, and return how the kernel is to treat it."""
        access = flags & os.O_ACCMODE
        found = self._open.setdefault(ino, [0, _DIRECT_IO if access == os.O_WRONLY else 0])
        found[0] += 1
        how = self._kept | found[1]
        return how | _NOFLUSH if access == os.O_RDONLY else how  # who only reads has nothing to flush

    def released(self, ino: int) -> None:
        """Count the end of an opening."""
        found = self._open.get(ino)
        if found is None:
            return
        found[0] -= 1
        if not found[0]:
            del self._open[ino]
