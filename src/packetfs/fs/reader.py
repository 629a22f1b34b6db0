"""A file object on a program: what it produced when it was opened, whatever happens to the name later."""

from __future__ import annotations

import io
from collections.abc import Iterator

from packetfs.packet.digest import Digest
from packetfs.packet.execute import execute
from packetfs.packet.tree import Store, read_head
from packetfs.typing import Any


class ProgramReader(io.RawIOBase):
    """Read and seek in the output of a program. Sequential reads run the program once, not once a read."""

    def __init__(self, store: Store, root: Digest) -> None:
        super().__init__()
        self._store = store
        self._root = root
        self.size = read_head(store, root).length
        self._at = 0
        self._pieces: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the start of the file")
        if start + offset != self._at:
            self._at = start + offset
            self._pieces = None
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill as much of `buffer` as the file has; the one place where the io module's own types leave no choice."""
        out = memoryview(buffer).cast("B")
        done = 0
        while done < len(out) and self._have():
            part = self._rest[: len(out) - done]
            out[done : done + len(part)] = part
            self._rest = self._rest[len(part) :]
            done += len(part)
        self._at += done
        return done

    def _have(self) -> bool:
        """Make sure that bytes are at hand, unless the program has ended."""
        if self._pieces is None:
            self._pieces = execute(self._store, self._root, self._at)
            self._rest = memoryview(b"")
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        return True
