"""One pool as this process has it open: a reader always, a writer while something is written.

All handles on one pool share it, because two writers exclude each other in one process too. Changes take turns: a turn
is one operation, or a transaction with all that is done in it. Readers see what is committed; whoever has the turn sees
its own changes. The writer goes when nothing was written for a while, so that other processes get theirs.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from packetfs.errors import MissingExtent, PacketFSError, PoolBusy, PoolClosed, PoolReadOnly
from packetfs.frontends.python.content import Contents
from packetfs.fs.filesystem import FileSystem, open_names
from packetfs.limits import WRITER_HOLD, WRITER_IDLE, WRITER_PAUSE, WRITER_POLL, WRITER_TURN
from packetfs.packet.digest import Digest
from packetfs.pool.pool import Pool
from packetfs.typing import Final, TypeVar

T = TypeVar("T")


class Connection:
    """A reader and, at times, a writer of one pool."""

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self.key: object = path
        self.handles = 0
        self._reader: FileSystem | None = None
        self._writer: FileSystem | None = None
        self.contents: Final = Contents(self)
        self._renew()

    def _renew(self) -> None:
        self._reading = threading.RLock()
        self._writing = threading.RLock()
        self._state = threading.RLock()
        self._turn = threading.Lock()
        self._uses = 0
        self._deadline = 0.0
        self._opened = self._away_until = 0.0
        self._timer: threading.Timer | None = None

    # reading

    @contextmanager
    def reading(self) -> Iterator[FileSystem]:
        """Give the committed names; another process may have moved directories since the last time."""
        with self._reading:
            fs = self._open_reader()
            fs.paths.forget()
            yield fs

    def _open_reader(self) -> FileSystem:
        reader = self._reader
        if reader is None:
            with self._reading:
                reader = self._reader = self._reader or open_names(Pool.open(self.path))
        return reader

    def extent(self, take: Callable[[Pool], T]) -> T:
        """Take something of an extent out of the pool; what was put and not yet committed, the writer alone has."""
        try:
            return take(self._open_reader().pool)
        except MissingExtent:
            writer = self._writer
        try:
            if writer is not None:
                return take(writer.pool)
        except PoolClosed:  # it has gone meanwhile, and what it had is durable
            pass
        return take(self._open_reader().pool)  # once more: a writer may have just come or gone

    # Store, as programs read it

    def read(self, digest: Digest) -> bytes:
        """Return a payload."""
        return self.extent(lambda pool: pool.read(digest))

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of a payload."""
        return self.extent(lambda pool: pool.read_range(digest, offset, length))

    def read_into(self, digest: Digest, offset: int, out: memoryview) -> None:
        """Fill memory with part of a payload."""
        self.extent(lambda pool: pool.read_into(digest, offset, out))

    def view(self, digest: Digest) -> memoryview:
        """Return a payload where it lies in the mapped arena."""
        return self.extent(lambda pool: pool.view(digest))

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:
        """Refuse: what is stored goes through a turn."""
        del payload, digest, mark
        raise PoolReadOnly(path=self.path)

    # writing

    @contextmanager
    def changes(self) -> Iterator[FileSystem]:
        """Give the names as the turn has them, to one thread at a time."""
        with self._writing:
            writer = self._writer
            if writer is None:
                raise PoolClosed(path=self.path)
            yield writer

    def begin(self, wait: float) -> None:
        """Take the turn; PoolBusy says who writes when that is another process for longer than `wait` seconds."""
        if not self._turn.acquire(timeout=max(wait, WRITER_TURN)):
            raise PoolBusy(path=self.path, owner="another transaction of this process")
        try:
            self.claim(wait)
        except BaseException:
            self._turn.release()
            raise

    def end(self, *, commit: bool) -> None:
        """Make the changes of the turn durable, or forget them, and give the turn to the next."""
        try:
            with self._writing:
                self._finish(commit)
        finally:
            self._turn.release()
            self.release()

    def _finish(self, commit: bool) -> None:
        writer = self._writer
        if writer is None:
            return
        try:
            if commit:
                writer.commit()
        except BaseException:
            writer.rollback()
            raise
        if not commit:
            writer.rollback()

    def claim(self, wait: float) -> None:
        """Be the writer until `release`."""
        with self._state:
            if self._writer is None:
                time.sleep(max(self._away_until - time.monotonic(), 0))
                self._writer = open_names(_open_writer(self.path, wait))
                self._opened = time.monotonic()
            self._uses += 1

    def release(self) -> None:
        """Undo one `claim`; the lease is kept a little longer, as the next change may be near, but not for ever."""
        with self._state:
            self._uses -= 1
            now = time.monotonic()
            self._deadline = now + WRITER_IDLE
            if not self._uses and now - self._opened > WRITER_HOLD:
                self._give_back()
                self._away_until = now + WRITER_PAUSE
            elif not self._uses and self._timer is None:
                self._wait_idle(WRITER_IDLE)

    def _wait_idle(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._when_idle)
        self._timer.daemon = True
        self._timer.start()

    def _when_idle(self) -> None:
        with self._state:
            self._timer = None
            left = self._deadline - time.monotonic()
            if self._uses == 0 and left <= 0:
                self._give_back()
            elif self._uses == 0:
                self._wait_idle(left)

    def _give_back(self) -> None:
        """Close the writer, whose changes are all committed: what is wrong now, whoever opens it next is told."""
        with suppress(PacketFSError, OSError):
            self._close_writer()

    def settle(self) -> None:
        """Give the writer's lease back now, unless something is being written."""
        with self._state:
            if self._uses == 0:
                self._close_writer()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            finally:
                writer.pool.close()

    def close(self) -> None:
        """Forget what is not committed and let go of everything; views live on."""
        with self._state:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._close_writer()
        with self._reading:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.pool.close()

    def abandon(self) -> None:
        """In a forked child: leave the parent's files alone, and open them anew when they are needed."""
        if self._writer is not None:
            self._writer.pool.leases.close()  # or the child would hold the lease when the parent has gone
        _abandoned.extend(fs for fs in (self._reader, self._writer) if fs is not None)
        self._reader = self._writer = None
        self._renew()


def _open_writer(path: str, wait: float) -> Pool:
    deadline = time.monotonic() + wait
    while True:
        try:
            return Pool.open(path, writable=True)
        except PoolBusy:
            if time.monotonic() >= deadline:
                raise
        time.sleep(WRITER_POLL)


_open: Final[dict[object, Connection]] = {}
_lock = threading.Lock()
_abandoned: Final[list[FileSystem]] = []
"""What a parent had open: SQLite must not be closed in a forked child."""


def connect(path: str) -> Connection:
    """Return the connection of this process to a pool, which must exist."""
    with _lock:
        key = _identity(path)
        found = _open.get(key)
        if found is None:
            found = Connection(path)
            with found.reading():  # a pool that is not there is told now
                pass
            found.key = key
            _open[key] = found
        found.handles += 1
        return found


def share(connection: Connection) -> Connection:
    """Count one more handle: an open file, which outlives the pool object that it came from."""
    with _lock:
        connection.handles += 1
    return connection


def disconnect(connection: Connection) -> None:
    """Close a connection with its last handle."""
    with _lock:
        connection.handles -= 1
        if connection.handles:
            return
        _open.pop(connection.key, None)
    connection.close()


def _identity(path: str) -> object:
    """Return what tells a pool from another one that is made later at the same path: we keep this file open."""
    try:
        found = os.stat(f"{path}/leases")
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _close_all() -> None:
    for connection in list(_open.values()):
        connection.close()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for connection in _open.values():
        connection.abandon()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
