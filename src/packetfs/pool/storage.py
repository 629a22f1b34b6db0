"""The one layer under every write of a pool: descriptors, bytes at offsets, and the barriers between them.

Arena, index, leases and, in tests, SQLite write through it, so that recording.py can record, tear, fail and replay all
of them. Errors of the system become one clear error each here; only "no such file" passes as it is, since callers ask.
"""

from __future__ import annotations

import errno
import mmap
import os

from packetfs.contextlib import suppress
from packetfs.errors import PacketFSError, PoolAccess, PoolFailed, PoolFull
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, NoReturn, Protocol, Sequence

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.EMFILE, errno.ENFILE)
_KEEP_SIZE: Final = 0x01
_PUNCH: Final = _KEEP_SIZE | 0x02
"""Modes of fallocate(2): FALLOC_FL_KEEP_SIZE, and FALLOC_FL_PUNCH_HOLE with it."""


class Storage(Protocol):
    """What a pool needs of a disk. Offsets and lengths are bytes; descriptors are those of the process."""

    vfs: str
    """The SQLite VFS that goes through this storage; empty: the system's, with checksums."""

    def open(self, path: str, flags: int) -> int: ...
    def close(self, fd: int) -> None: ...
    def size(self, fd: int) -> int: ...
    def free(self, fd: int) -> int: ...
    def read(self, fd: int, length: int, offset: int) -> bytes: ...
    def read_into(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int: ...
    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None: ...
    def write_past(self, fd: int, data: memoryview, offset: int) -> int: ...
    def truncate(self, fd: int, length: int) -> None: ...
    def reserve(self, fd: int, length: int) -> None: ...
    def allocate(self, fd: int, offset: int, length: int) -> None: ...
    def punch(self, fd: int, offset: int, length: int) -> None: ...
    def sync(self, fd: int) -> None: ...
    def map(self, fd: int, length: int) -> mmap.mmap: ...
    def sync_map(self, fd: int, mapping: mmap.mmap) -> None: ...
    def make_directory(self, path: str) -> None: ...
    def sync_directory(self, path: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def unlink(self, path: str) -> None: ...


def explain(error: OSError, path: str) -> PacketFSError:
    """Return the error of ours that says what the system's error means for a pool."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return PoolFull(path=path)
    if error.errno in _DENIED:
        return PoolAccess(path=path, reason=reason)
    return PoolFailed(path=path, reason=reason)


def fail(error: OSError, fd: int) -> NoReturn:
    """Raise what `error` on the descriptor means, with the path that the kernel knows for it."""
    raise explain(error, path_of(fd)) from error


def path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"descriptor {fd}"


class DiskStorage:
    """The disk itself."""

    vfs = ""

    def open(self, path: str, flags: int) -> int:
        try:
            return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise explain(error, path) from error

    def close(self, fd: int) -> None:
        os.close(fd)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def free(self, fd: int) -> int:
        """Return how many bytes this process may still add to the file's disk; root also what is kept for root."""
        found = os.fstatvfs(fd)
        return found.f_frsize * (found.f_bavail if os.geteuid() else found.f_bfree)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes: fewer only at the end of the file."""
        try:
            data = os.pread(fd, length, offset)
            while len(data) < length and (more := os.pread(fd, length - len(data), offset + len(data))):
                data += more
        except OSError as error:
            fail(error, fd)
        return data

    def read_into(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill the buffers, one after the other, from `offset` on and return how many bytes there were: fewer only at
        the end of the file."""
        try:
            done = count = os.preadv(fd, buffers, offset)
            while count and (rest := behind(buffers, done)):
                count = os.preadv(fd, rest, offset + done)
                done += count
        except OSError as error:
            fail(error, fd)
        return done

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        """Write all of the buffers, one after the other, or raise; then any part may have been written."""
        try:
            done = os.pwritev(fd, buffers, offset)
            total = sum(map(len, buffers))
            if done < total:
                _write_rest(fd, b"".join(buffers), offset, done)
        except OSError as error:
            fail(error, fd)

    def write_past(self, fd: int, data: memoryview, offset: int) -> int:
        """Write whole blocks past the page cache, from memory that begins where a page does; return how many bytes
        are: none where the filesystem cannot do this."""
        try:
            return os.pwrite(fd, data, offset)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return 0
            fail(error, fd)

    def truncate(self, fd: int, length: int) -> None:
        try:
            os.ftruncate(fd, length)
        except OSError as error:
            fail(error, fd)

    def reserve(self, fd: int, length: int) -> None:
        """Give the file `length` bytes that exist: a hole written through a mapping kills us when the disk is full."""
        try:
            os.posix_fallocate(fd, 0, length)
        except OSError as error:
            fail(error, fd)

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """Give a range blocks that exist, also beyond the end, which stays. Who writes there learns of a full disk."""
        with suppress(OSError):
            _fallocate(fd, _KEEP_SIZE, offset, length)

    def punch(self, fd: int, offset: int, length: int) -> None:
        """Free the blocks of a range, which reads as zeros then; where the filesystem cannot, write zeros."""
        try:
            if not _fallocate(fd, _PUNCH, offset, length):
                _write_zeros(fd, offset, length)
        except OSError as error:
            fail(error, fd)

    def sync(self, fd: int) -> None:
        """Make the file durable. The kernel forgets what it could not write: whatever the reason, that is final."""
        try:
            os.fdatasync(fd)
        except OSError as error:
            raise PoolFailed(path=path_of(fd), reason=os.strerror(error.errno or errno.EIO)) from error

    def map(self, fd: int, length: int) -> mmap.mmap:
        """Map the file for reading and writing; sync_map makes durable what was written through the mapping."""
        return mmap.mmap(fd, length)

    def sync_map(self, fd: int, mapping: mmap.mmap) -> None:
        try:
            mapping.flush()
        except OSError as error:
            raise PoolFailed(path=path_of(fd), reason=os.strerror(error.errno or errno.EIO)) from error

    def make_directory(self, path: str) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise explain(error, path) from error

    def sync_directory(self, path: str) -> None:
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        except OSError as error:
            raise PoolFailed(path=path, reason=os.strerror(error.errno or errno.EIO)) from error
        finally:
            os.close(fd)

    def rename(self, old: str, new: str) -> None:
        try:
            os.rename(old, new)
        except OSError as error:
            raise explain(error, new) from error

    def unlink(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise explain(error, path) from error


def behind(buffers: Sequence[memoryview], done: int) -> list[memoryview]:
    """Return what is left of the buffers behind their first `done` bytes."""
    for number, buffer in enumerate(buffers):
        if done < len(buffer):
            return [buffer[done:], *buffers[number + 1 :]]
        done -= len(buffer)
    return []


def _write_rest(fd: int, data: bytes, offset: int, done: int) -> None:
    view = memoryview(data)
    while done < len(data):
        done += os.pwrite(fd, view[done:], offset + done)


def _write_zeros(fd: int, offset: int, length: int) -> None:
    zeros = bytes(min(length, 1 << 20))
    for done in range(0, length, len(zeros)):
        _write_rest(fd, zeros[: length - done], offset + done, 0)


def _fallocate(fd: int, mode: int, offset: int, length: int) -> bool:
    """Call fallocate(2), whose modes Python does not offer; False where the filesystem does not know this one."""
    import ctypes  # only who collects, evicts or writes much pays for it

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if not libc.fallocate(fd, mode, offset, length):
        return True
    number = ctypes.get_errno()
    if number in (errno.EOPNOTSUPP, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number))


DISK: Final = DiskStorage()
