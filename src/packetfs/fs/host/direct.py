"""The content of a large staged file on its way to the disk past the page cache, much of it out of an old file's pages.

What is copied block by block from a file of this host is handed to the disk out of the pages that the old file has in
memory: nothing is copied by the processor, and no second set of pages is filled. A gigabyte with a small change every
400 KiB took 0.03 to 0.1 CPU seconds so; page to page within the kernel it took 0.3 to 0.9, and 3 where the machine, a
virtual one, had to be given each new page by its host (measured). Literals, and the ends of copies that share a block
with them, are put together in a small buffer of whole blocks.

The old pages are mapped for the kernel's own use; no byte of a mapping is read in this process, so a file that is cut
short meanwhile is an error of the call that writes, and no signal. On a disk that is slow the rest goes into the page
cache after all, by the same calls.
"""

from __future__ import annotations

import errno
import mmap
import os
import time

from packetfs.errors import Unverified
from packetfs.limits import MIB
from packetfs.packet.layout import Buffer
from packetfs.pool.past import BLOCK, Pace, open_past
from packetfs.pool.storage import behind
from packetfs.typing import Final, Self

_BUFFER: Final = MIB
_FLUSH: Final = 4 * MIB
"""Bytes written by one call: from here on a fast disk is busy."""
_PARTS: Final = 512
"""Pieces that one call takes, half of what the kernel allows."""
_WINDOW: Final = 16 * MIB
"""Bytes of the old file that are mapped at a time."""


class Direct:
    """Takes content in order, from a block's beginning on."""

    def __init__(self, fd: int, out: int, path: bytes, leaving: int, start: int) -> None:
        """`fd` writes through the page cache, `out` past it, to the same file. The others: see `open`."""
        self._fd, self._out, self._path = fd, out, path
        self._leaving = leaving
        self._at = start // BLOCK * BLOCK
        self._parts: list[memoryview] = []
        self._bytes = 0
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER))
        self._taken = self._filled = 0
        self._source = (-1, -1)
        self._window = memoryview(b"")
        self._pace = Pace()

    @classmethod
    def open(cls, fd: int, path: bytes, *, leaving: int = -1, start: int = 0) -> Self | None:
        """Return the way past the page cache to an open file that ends at `start`; None where there is none.

        `leaving` is an old file that will be gone: its pages go as soon as they are copied, and a little later, as
        bytes around changes are read again. So those that follow find memory, and what others have cached stays.
        """
        out = open_past(fd, os.O_WRONLY)
        if out < 0:
            return None
        direct = cls(fd, out, path, leaving, start)
        direct.write(os.pread(fd, start % BLOCK, start // BLOCK * BLOCK))
        return direct

    def write(self, data: Buffer) -> None:
        """Append bytes, which are copied."""
        view = memoryview(data).cast("B")
        while view:
            room = self._room(len(view))
            self._buffer[self._filled : self._filled + room] = view[:room]
            self._fill(room)
            view = view[room:]

    def skip(self, count: int) -> None:
        """Append zeros: whole blocks of them become a hole."""
        first = min(count, -self._partial % BLOCK)
        self.write(bytes(first))
        self.flush()
        self._at += (count - first) // BLOCK * BLOCK
        self.write(bytes((count - first) % BLOCK))

    def copy(self, fd: int, offset: int, length: int) -> None:
        """Append bytes of another file; Unverified where it has them no more."""
        end = offset + length
        first = min(length, -self._partial % BLOCK)
        self._read(fd, offset, offset + first)
        offset += first
        if not offset % BLOCK:
            whole = end // BLOCK * BLOCK
            while offset < whole:
                offset += self._refer(fd, offset, whole)
        self._read(fd, offset, end)

    @property
    def _partial(self) -> int:
        """Bytes of a block that is not whole yet."""
        return self._filled - self._taken

    def _read(self, fd: int, start: int, end: int) -> None:
        """Append bytes of another file by reading them."""
        while start < end:
            room = self._room(end - start)
            count = os.preadv(fd, [self._buffer[self._filled : self._filled + room]], start)
            if not count:
                raise Unverified(path=self._path)
            self._fill(count)
            start += count

    def _refer(self, fd: int, start: int, end: int) -> int:
        """Append whole blocks of another file where they are; return the bytes, as far as they are mapped."""
        window = start // _WINDOW
        if self._source != (fd, window):
            self._map(fd, window)
        skip = start - window * _WINDOW
        part = self._window[skip : min(end - window * _WINDOW, len(self._window) // BLOCK * BLOCK)]
        if not part:
            raise Unverified(path=self._path)
        self._append(part)
        return len(part)

    def _map(self, fd: int, window: int) -> None:
        self.flush()
        if self._source[0] == self._leaving and self._source[1]:
            os.posix_fadvise(fd, (self._source[1] - 1) * _WINDOW, _WINDOW, os.POSIX_FADV_DONTNEED)
        start = window * _WINDOW
        size = min(_WINDOW, os.fstat(fd).st_size - start)
        if size <= 0:
            raise Unverified(path=self._path)
        self._window.release()
        self._window = memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ, offset=start))
        self._source = fd, window
        os.posix_fadvise(fd, start, 2 * _WINDOW, os.POSIX_FADV_WILLNEED)

    def _room(self, wanted: int) -> int:
        if self._filled == _BUFFER:
            self.flush()
        return min(wanted, _BUFFER - self._filled)

    def _fill(self, count: int) -> None:
        """Take over bytes that were put into the buffer, as far as they make whole blocks."""
        self._filled += count
        whole = self._partial // BLOCK * BLOCK
        if whole:
            start = self._taken
            self._taken += whole
            self._append(self._buffer[start : start + whole])

    def _append(self, part: memoryview) -> None:
        self._parts.append(part)
        self._bytes += len(part)
        if self._bytes >= _FLUSH or len(self._parts) >= _PARTS:
            self.flush()

    def flush(self) -> None:
        """Write all whole blocks."""
        parts, self._parts, self._bytes = self._parts, [], 0
        while parts:
            parts = behind(parts, self._write(parts))
        rest = self._partial
        self._buffer[:rest] = self._buffer[self._taken : self._filled]
        self._taken, self._filled = 0, rest

    def _write(self, parts: list[memoryview]) -> int:
        begun = time.perf_counter()
        try:
            count = os.pwritev(self._out, parts, self._at)
        except OSError as error:
            if error.errno == errno.EFAULT:  # the old file was cut short
                raise Unverified(path=self._path) from error
            if error.errno != errno.EINVAL or self._out == self._fd:
                raise
            self._give_up()
            return 0
        self._at += count
        self._pace.add(count, time.perf_counter() - begun)
        if self._pace.is_slow:
            self._give_up()
        return count

    def _give_up(self) -> None:
        """Let the page cache have the rest."""
        if self._out != self._fd:
            os.close(self._out)
            self._out = self._fd

    def finish(self) -> None:
        """Write what is left; a last block that is not whole goes through the page cache, as it must."""
        self.flush()
        if self._partial:
            self._at += os.pwrite(self._fd, self._buffer[: self._filled], self._at)
            self._filled = 0

    def close(self) -> None:
        """Let go of everything; what was not finished is lost."""
        self._parts = []
        self._give_up()
        self._window.release()
