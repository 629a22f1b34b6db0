"""File objects. One that reads shows what the file was when it was opened; one that writes replaces it when it closes.

What is written is kept aside (in memory, then in an unnamed file beside the pool's), so any position can be written,
and the file that is there stays whole until the new one is. A `with` block that ends by an exception changes nothing.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from types import TracebackType

from packetfs.frontends.python.connection import Connection, disconnect, share
from packetfs.frontends.python.content import Contents, is_large, span
from packetfs.frontends.python.program import Program
from packetfs.limits import FILE_BUFFER, FILE_SPOOL
from packetfs.packet.digest import Digest
from packetfs.typing import Any, Final, NoReturn


class _Raw(io.RawIOBase):
    """The unbuffered file: reads go from the pool's files into the caller's memory."""

    def __init__(self, contents: Contents, root: Digest, at: int = 0) -> None:
        super().__init__()
        self._contents = contents
        self._root = root
        self._at = at
        self.size: Final = contents.size(root)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the start of the file")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        out = memoryview(buffer).cast("B")
        count = max(min(len(out), self.size - self._at), 0)
        if count:
            self._contents.read_into(self._root, self._at, out[:count])
        self._at += count
        return count

    def readall(self) -> bytes:
        rest = read_span(self._contents, self._root, self._at, max(self.size - self._at, 0))
        self._at += len(rest)
        return rest


def read_span(contents: Contents, root: Digest, offset: int, length: int) -> bytes:
    """Return bytes of a file. BufferedReader fills an object of the right size, which Python code cannot."""
    if not is_large(length):
        return contents.read(root, offset, length)
    return io.BufferedReader(_Raw(contents, root, offset)).read(length)


class ReadFile(io.BufferedReader):
    """A file of a pool open for reading."""

    def __init__(self, store: Connection, path: str, root: Digest) -> None:
        raw = _Raw(store.contents, root)
        super().__init__(raw, FILE_BUFFER)
        self.path: Final = path
        self.size: Final = raw.size
        self._store = share(store)
        self._root = root
        self._shares = True

    def close(self) -> None:
        """Let go of the file, and of the pool if nothing else has it open."""
        super().close()
        if getattr(self, "_shares", False):
            self._shares = False
            disconnect(self._store)

    @property
    def name(self) -> str:
        return self.path

    @property
    def root(self) -> str:
        """The digest of the program: files with equal roots are equal."""
        return self._root.hex()

    @property
    def program(self) -> Program:
        return Program(self._store, self.path, self._root)

    def view(self, start: int | None = None, end: int | None = None, *, copy: bool | None = None) -> memoryview:
        """Return bytes as a read-only buffer: without a copy where one extent has them all.

        `copy=False` is NotContiguous where several extents would have to be joined; `copy=True` always copies.
        """
        return self._store.contents.view(self.path, self._root, *span(self.size, start, end), copy=copy)

    def views(self, start: int | None = None, end: int | None = None) -> Iterator[memoryview]:
        """Yield the same bytes without a copy: one view for each extent."""
        return self._store.contents.views(self._root, *span(self.size, start, end))

    def __repr__(self) -> str:
        return f"<packetfs file {self.path!r}, {self.size} bytes, root {self.root[:12]}>"

    def _repr_html_(self) -> str:
        return self.program._repr_html_()

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


def _refuse_pickling() -> NoReturn:
    raise TypeError("a file object cannot be pickled; pickle its path, or use the fsspec filesystem")


class WriteFile(io.BufferedIOBase):
    """A file of a pool open for writing (and reading back); it becomes the file when it is closed."""

    def __init__(self, connection: Connection, path: str, wait: float, store: Callable[[WriteFile], None]) -> None:
        super().__init__()
        self.path: Final = path
        self._connection = connection
        self._wait = wait
        self._store = store
        self._spool = tempfile.SpooledTemporaryFile(FILE_SPOOL, dir=connection.path)  # noqa: SIM115 (closed in close)
        self._claimed = False
        self._kept = True

    @property
    def name(self) -> str:
        return self.path

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write at the position. The first write takes the lease: who cannot have it is told at once."""
        self._need_open()
        if not self._claimed:
            self._connection.claim(self._wait)
            self._claimed = True
        return self._spool.write(memoryview(data).cast("B"))

    def read(self, size: int | None = -1) -> bytes:
        self._need_open()
        return self._spool.read(-1 if size is None else size)

    def read1(self, size: int = -1) -> bytes:
        return self.read(size)

    def readinto(self, buffer: Any) -> int:
        self._need_open()
        return self._spool.readinto(memoryview(buffer).cast("B"))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._need_open()
        self._spool.seek(offset, whence)
        return self._spool.tell()

    def tell(self) -> int:
        self._need_open()
        return self._spool.tell()

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file; the position stays."""
        self._need_open()
        at = self._spool.tell() if size is None else size
        here = self._spool.tell()
        if at > self._spool.seek(0, os.SEEK_END):  # a spool in memory would not grow
            self._spool.seek(at - 1)
            self._spool.write(b"\0")
        self._spool.truncate(at)
        self._spool.seek(here)
        return at

    def read_at(self, offset: int, out: memoryview) -> int:
        """Fill `out` from an offset on: how what was written is stored."""
        self._spool.seek(offset)
        return self._spool.readinto(out)

    def discard(self) -> None:
        """Close, and leave the pool as it is."""
        self._kept = False
        self.close()

    def close(self) -> None:
        """Make what was written the file's content; it is durable when this returns, or with the transaction."""
        if self.closed:
            return
        try:
            super().close()
            if self._kept:
                self._store(self)
        finally:
            self._spool.close()
            if self._claimed:
                self._claimed = False
                self._connection.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._kept = False
        self.close()

    def __repr__(self) -> str:
        return f"<packetfs file {self.path!r}, open for writing>"

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()

    def _need_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a file that is closed")


class TextFile(io.TextIOWrapper):
    """Text over either of them: it, too, changes nothing when its `with` block ends by an exception."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        below = self.buffer
        if kind is not None and isinstance(below, WriteFile):
            below.discard()
        self.close()
