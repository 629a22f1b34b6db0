"""The temporary file that becomes a file of the destination: written from front to back, with holes where told.

A large one goes past the page cache where new pages of that are dear (`pool/dear.py`), or where most of it is copied.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing, suppress
from types import TracebackType

from packetfs.errors import DestinationFull
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.direct import Direct
from packetfs.fs.host.syscalls import clone
from packetfs.limits import DIRECT_MIN, MIB
from packetfs.packet.layout import Buffer
from packetfs.pool.ahead import STEP, Ahead
from packetfs.pool.dear import Dear
from packetfs.pool.past import BLOCK
from packetfs.pool.storage import DISK
from packetfs.typing import Final, Self

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_NOT_COPIED: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""What filesystems, old kernels and sandboxes say to a copy within the kernel."""
_GATHERED: Final = MIB
"""Bytes that are gathered for one call: chunks one by one cost the kernel 0.22 s a GB, these 0.18 (by hand)."""
_PARTS: Final = 64
"""Buffers that one call takes; more are joined first, as they are small."""


class full_disk_named:  # noqa: N801 (reads like the function it is: a generator would take five times as long)
    """Turn "no space" of whatever call into the error that names the file."""

    __slots__ = ("_path",)

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise DestinationFull(path=self._path) from error


class Writer:
    """New content for `path`, so far at `staged`. As a context manager it is discarded unless it was committed."""

    __slots__ = (
        "_ahead",
        "_beneath",
        "_bytes",
        "_dear",
        "_direct",
        "_ends_in_hole",
        "_gathered",
        "_shares",
        "committed",
        "fd",
        "path",
        "size",
        "staged",
    )

    def __init__(self, beneath: Beneath, path: bytes, staged: bytes) -> None:
        self._beneath = beneath
        self.path = path
        self.staged = staged
        self.size = 0
        self._gathered: list[Buffer] = []
        self._bytes = 0
        self._ahead: Ahead | None = None
        self._ends_in_hole = False
        self._dear: Dear | None = None
        self._direct: Direct | None = None
        self._shares = False
        self.committed = False
        with full_disk_named(path):
            self.fd = beneath.create(staged)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def expect(self, size: int) -> None:
        """Before anything is written: make ready for `size` bytes without holes."""
        if size >= STEP:
            self._ahead, self._dear = Ahead(DISK, 0, size), Dear()

    def expect_copies(self, fd: int, size: int) -> None:
        """Before anything is written: make ready for `size` bytes, most of them copied from another file.

        A filesystem that shares blocks is asked to, for all that is whole blocks at both ends; on others the disk gets
        a large file directly.
        """
        self._shares = clone(self.fd, fd, BLOCK)
        if self._shares:
            os.ftruncate(self.fd, 0)
        elif size >= DIRECT_MIN:
            self._direct = Direct.open(self.fd, self.path, leaving=fd if self._replaces(fd) else -1)

    def _replaces(self, fd: int) -> bool:
        """Tell whether a file has no name but the one that the new file gets."""
        old = os.fstat(fd)
        with suppress(OSError):
            return old.st_nlink == 1 and os.path.samestat(old, self._beneath.lstat(self.path))
        return False

    def write(self, data: Buffer) -> None:
        """Append bytes; their memory must stay as it is until `settle`."""
        if self._direct is not None:
            with full_disk_named(self.path):
                self._direct.write(data)
            self.size += len(data)
            return
        self._gathered.append(data)
        self._bytes += len(data)
        if self._bytes >= _GATHERED:
            self.settle()

    def settle(self) -> None:
        """Hand the kernel what was gathered: its memory is about to change."""
        if not self._bytes:
            return
        parts: list[Buffer] = self._gathered if len(self._gathered) <= _PARTS else [b"".join(self._gathered)]
        end = self.size + self._bytes
        self._gathered, self._bytes = [], 0
        if self._ahead is not None:
            self._ahead.reach(self.fd, self.size, end)
        with full_disk_named(self.path):
            if self._dear is None:
                self._write(parts, end)
            else:
                self._dear.watch(lambda: self._write(parts, end), end - self.size)
                if self._dear.is_so:
                    self._dear, self._direct = None, Direct.open(self.fd, self.path, start=self.size)
        self._ends_in_hole = False

    def _write(self, parts: list[Buffer], end: int) -> None:
        self.size += os.pwritev(self.fd, parts, self.size)
        while self.size < end:
            self.size += os.pwrite(self.fd, memoryview(b"".join(parts))[self.size - end :], self.size)

    def skip(self, count: int) -> None:
        """Append `count` zero bytes as a hole, which takes no space."""
        self.settle()
        if self._direct is not None:
            with full_disk_named(self.path):
                self._direct.skip(count)
        self.size += count
        self._ends_in_hole = True

    def copy(self, fd: int, offset: int, length: int) -> int:
        """Append bytes of another file without reading them; return how many, fewer where it ends or cannot be done.

        The kernel shares the blocks where the filesystem can, else it copies from page to page, once.
        """
        self.settle()
        with full_disk_named(self.path):
            if self._direct is not None:
                self._direct.copy(fd, offset, length)
                self.size += length
                return length
            copied = 0
            for part in self._parts_of(offset, length):
                done = self._copy(fd, offset + copied, part)
                copied += done
                if done < part:
                    break
        return copied

    def _parts_of(self, offset: int, length: int) -> tuple[int, ...]:
        """Return the lengths in which to copy: blocks that can be shared are, whatever lies beside them."""
        if not self._shares or (offset - self.size) % BLOCK:
            return (length,)
        first = min(-offset % BLOCK, length)
        whole = (length - first) // BLOCK * BLOCK
        return first, whole, length - first - whole

    def _copy(self, fd: int, offset: int, length: int) -> int:
        copied = 0
        while copied < length:
            try:
                count = os.copy_file_range(fd, self.fd, length - copied, offset + copied, self.size)
            except OSError as error:
                if error.errno not in _NOT_COPIED:
                    raise
                break
            if not count:
                break
            copied += count
            self.size += count
            self._ends_in_hole = False
        return copied

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes written before; short at the end."""
        self._end_direct()
        self.settle()
        return os.pread(self.fd, length, offset)

    def finish(self) -> None:
        """Write what is still gathered, and give the file its length, as a hole at the end has not."""
        self._end_direct()
        self.settle()
        if self._ends_in_hole:
            with full_disk_named(self.path):
                os.ftruncate(self.fd, self.size)

    def _end_direct(self) -> None:
        """Let what follows go through the page cache."""
        direct, self._direct = self._direct, None
        if direct is not None:
            with full_disk_named(self.path), closing(direct):
                direct.finish()

    def close(self) -> None:
        if self._direct is not None:
            self._direct.close()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with full_disk_named(self.path):
                os.close(fd)

    def discard(self) -> None:
        """Remove the temporary file; nothing happens after a commit, or a second time."""
        if self.committed:
            return
        with suppress(DestinationFull):
            self.close()
        with suppress(FileNotFoundError):
            self._beneath.unlink(self.staged)
