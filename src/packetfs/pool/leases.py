"""Who uses a pool: one writer, the readers whose views show a segment, and mounts of snapshots.

They are locks of open file descriptions on the file `leases`, which the kernel drops when their holder dies, however it
dies. What cannot be locked is told in the file itself: who the writer is, its epoch, and how often payload was punched.

    bytes 0..63        writer: pid u32, start time u64 (clock ticks since boot), epoch u64, command (40 bytes)
    bytes 64..71       punches: u64, counted up before payload is punched
    lock of byte 0     held by the writer
    lock of 4096 + n   shared: views of segment n are live; exclusive: segment n is being punched
    lock of 2**56 + d  shared: somebody needs what has the digest whose first 7 bytes are d; exclusive: it is given up
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from packetfs.errors import PacketFSError, PoolBusy, PoolClosed
from packetfs.packet.digest import Digest
from packetfs.pool.storage import Storage, explain
from packetfs.typing import Final

_OWNER: Final = struct.Struct("<IxxxxQQ40s")
_PUNCHES: Final = struct.Struct("<Q")
_PUNCHES_AT: Final = 64
_FLOCK: Final = struct.Struct("@hhqqi4x")
_WRITER: Final = 0
_SEGMENTS: Final = 4096
_NEEDED: Final = 1 << 56


class Leases:
    """The lease file of a pool, through one descriptor: locks of other descriptors, of this process too, conflict."""

    def __init__(self, storage: Storage, path: str, writable: bool) -> None:
        self._storage = storage
        self._path = path
        self._fd = _open(storage, path, writable)
        self.epoch = 0
        self._punches = 0

    def acquire_writer(self) -> None:
        """Become the writer, or raise PoolBusy with the name of the one there is."""
        if not _lock(self._fd, fcntl.F_WRLCK, _WRITER, wait=False):
            raise PoolBusy(path=os.path.dirname(self._path), owner=self._describe_owner())
        _, _, epoch, _ = self._owner()
        self.epoch = epoch + 1
        owner = _OWNER.pack(os.getpid(), _start_time(os.getpid()), self.epoch, _command()[:40])
        self._storage.write(self._fd, [owner], 0)
        self._punches = self._read_punches()

    def live_epoch(self) -> int:
        """Return the epoch of the writer at work in any process, 0 when there is none."""
        query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _WRITER, 1, 0)
        kind = _FLOCK.unpack(fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, query))[0]
        own = self.epoch
        return own if own else 0 if kind == fcntl.F_UNLCK else self._owner()[2]

    def exclude(self, segment: int) -> AbstractContextManager[bool]:
        """Keep new views off a segment; gives False when views of it are live, in this process or another."""
        return self._exclude(_SEGMENTS + segment)

    def need(self, digest: Digest) -> None:
        """Keep everybody from giving up a digest until this is closed; waits for one who is about to."""
        _lock(self._fd, fcntl.F_RDLCK, _needed_place(digest), wait=True)

    def give_up(self, digest: Digest) -> AbstractContextManager[bool]:
        """Let nobody need a digest meanwhile; gives False when somebody does, through another descriptor."""
        return self._exclude(_needed_place(digest))

    @contextmanager
    def _exclude(self, place: int) -> Iterator[bool]:
        held = _lock(self._fd, fcntl.F_WRLCK, place, wait=False)
        try:
            yield held
        finally:
            if held:
                _lock(self._fd, fcntl.F_UNLCK, place, wait=False)

    def punches(self) -> int:
        """Return how often payload was punched: equal before and after a read, nothing vanished under it.

        Only the writer punches, so it need not ask the file.
        """
        if self._fd < 0:
            raise PoolClosed(path=os.path.dirname(self._path))
        return self._punches if self.epoch else self._read_punches()

    def _read_punches(self) -> int:
        return int.from_bytes(os.pread(self._fd, _PUNCHES.size, _PUNCHES_AT), "little")

    def count_punch(self) -> None:
        self._punches = self.punches() + 1
        self._storage.write(self._fd, [_PUNCHES.pack(self._punches)], _PUNCHES_AT)

    def close(self) -> None:
        """Give up the writer lease, if this is its holder."""
        if self._fd >= 0:
            self._storage.close(self._fd)
            self._fd = -1

    def _owner(self) -> tuple[int, int, int, bytes]:
        raw = os.pread(self._fd, _OWNER.size, 0).ljust(_OWNER.size, b"\0")
        pid, started, epoch, command = _OWNER.unpack(raw)
        return pid, started, epoch, command.rstrip(b"\0")

    def _describe_owner(self) -> str:
        pid, started, _, command = self._owner()
        if _start_time(pid) != started:
            return "a process on another machine or in another container"
        return f"process {pid} ({command.decode('utf-8', 'backslashreplace')})"


class Shares:
    """The segments that this process's views show. Lives as long as the last view, also beyond the pool's close."""

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage = storage
        self._fd = storage.open(path, os.O_RDONLY)
        self._counts: dict[int, int] = {}
        self._closing = False
        self._lock = threading.RLock()  # a view may die, and end its share, anywhere, in here too

    def begin(self, segment: int) -> None:
        """Keep every collector off a segment; waits for one that is punching it just now."""
        with self._lock:
            if not self._counts.get(segment):
                _lock(self._fd, fcntl.F_RDLCK, _SEGMENTS + segment, wait=True)
            self._counts[segment] = self._counts.get(segment, 0) + 1

    def end(self, segment: int) -> None:
        with self._lock:
            self._counts[segment] -= 1
            if not self._counts[segment] and self._fd >= 0:  # a collected cycle may have ended this object first
                _lock(self._fd, fcntl.F_UNLCK, _SEGMENTS + segment, wait=False)
            self._end_if_unused()

    def close(self) -> None:
        """End with the last view, now if there is none: a process that serves for long cannot wait for a collection."""
        with self._lock:
            self._closing = True
            self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._closing and not any(self._counts.values()):
            self._end()

    def _end(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._storage.close(fd)

    def __del__(self) -> None:
        self._end()


def _open(storage: Storage, path: str, writable: bool) -> int:
    flags = os.O_RDWR if writable else os.O_RDONLY
    try:
        return storage.open(path, flags)
    except FileNotFoundError:
        return storage.open(path, os.O_RDWR | os.O_CREAT)


def _needed_place(digest: Digest) -> int:
    return _NEEDED + int.from_bytes(digest[:7], "little")


def _lock(fd: int, kind: int, start: int, *, wait: bool) -> bool:
    """Take, convert or drop the lock of one byte; False when another holder is in the way."""
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(fd, command, _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise _explain_lock(error, fd) from error
    return True


def _explain_lock(error: OSError, fd: int) -> PacketFSError:
    return explain(error, f"the lock of descriptor {fd}")


def _start_time(pid: int) -> int:
    """Return when a process began, which tells it from a later one with the same pid; 0 when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _command() -> bytes:
    try:
        with open("/proc/self/comm", "rb") as file:
            return file.read().strip()
    except OSError:
        return b"?"
