"""SQLite with a checksum on every page. The only module of a frontend's process that imports apsw.

Plain SQLite served 2,754 of 5,852 flipped bytes as silently wrong data, with the checksum VFS none (measured). That VFS
is a loadable extension inside the apsw wheel; SQLite before 3.51.3 can lose commits in WAL mode and is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw

from packetfs.errors import (
    CorruptDatabase,
    DatabaseFailed,
    DatabaseUnavailable,
    PacketFSError,
    PoolAccess,
    PoolBusy,
    PoolFailed,
    PoolFull,
)
from packetfs.limits import DATABASE_BUSY, DATABASE_CACHE, DATABASE_WAL
from packetfs.typing import Final

Connection = apsw.Connection
Error = apsw.Error

_OLDEST: Final = 3051003
_RESERVED: Final = 8
"""Bytes at the end of every page that hold its checksum; any other number switches the checksums off."""
_VFS: Final = "cksmvfs"
_loaded: list[str] = []


def connect(path: str, *, writable: bool, durable: bool, vfs: str = "") -> Connection:
    """Open or create a database in WAL mode; over another `vfs` exclusively, since those have no shared memory.

    Exclusively too where the disk has no room for that memory: what makes room has to be able to begin.
    """
    load_checksums()
    with explained(path):
        try:
            return _connect(path, writable, durable, vfs or _VFS, exclusive=bool(vfs))
        except apsw.IOError as error:
            if not writable or not _is_full(error):
                raise
            return _connect(path, writable, durable, _VFS, exclusive=True)


def _connect(path: str, writable: bool, durable: bool, vfs: str, *, exclusive: bool) -> Connection:
    connection = _open(path, writable, vfs)
    try:
        _configure(connection, path, writable, durable, exclusive)
    except BaseException:
        connection.close()
        raise
    return connection


def load_checksums(extension: str | None = None) -> None:
    """Put the checksum VFS over the default one, once in a process, or again from a copy of the extension."""
    if _loaded and extension is None:
        return
    if apsw.SQLITE_VERSION_NUMBER < _OLDEST:
        raise DatabaseUnavailable(reason=f"SQLite {apsw.sqlite_lib_version()} can lose commits in WAL mode")
    path = extension or extension_path()
    try:
        carrier = apsw.Connection(":memory:")
        carrier.enable_load_extension(True)
        carrier.load_extension(path)
        carrier.close()
    except apsw.Error as error:
        raise DatabaseUnavailable(reason=f"the checksum extension {path} cannot be loaded: {error}") from error
    _loaded.append(path)


def extension_path() -> str:
    """Return where the apsw wheel keeps the extension (apsw.sqlite_extra would import json and pathlib to say it)."""
    return os.path.join(os.path.dirname(apsw.__file__), "sqlite_extra_binaries", "cksumvfs.so")


def check_database(connection: Connection, path: str) -> Iterator[str]:
    """Yield what SQLite and its checksums find wrong. Reads every page."""
    try:
        with explained(path):
            for (text,) in connection.execute("PRAGMA main.integrity_check(100)"):
                if text != "ok":
                    yield str(text)
    except CorruptDatabase as error:
        yield str(error.fields["reason"])


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what SQLite raises inside into the error of ours that says it."""
    try:
        yield
    except apsw.Error as error:
        raise explain_database(error, path) from error


def explain_database(error: apsw.Error, path: str) -> PacketFSError:
    """Return the error of ours that says what SQLite's error on the database at `path` means."""
    if isinstance(error, apsw.FullError) or _is_full(error):
        return PoolFull(path=path)
    if isinstance(error, apsw.CorruptError | apsw.NotADBError) or _is_checksum(error):
        return CorruptDatabase(path=path, reason=str(error))
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return PoolBusy(path=path, owner="another process")
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError | apsw.AuthError):
        return PoolAccess(path=path, reason=str(error))
    if isinstance(error, apsw.IOError):
        return PoolFailed(path=path, reason=str(error))
    return DatabaseFailed(path=path, reason=str(error))


def _is_checksum(error: apsw.Error) -> bool:
    return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA


def _is_full(error: apsw.Error) -> bool:
    """Say whether shared memory beside the database cannot be made longer: SQLite does not say that it is the disk."""
    return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE


def _open(path: str, writable: bool, vfs: str) -> Connection:
    if writable:
        if vfs == _VFS:
            _create(path)
        return apsw.Connection(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs)
    connection = apsw.Connection(path, apsw.SQLITE_OPEN_READONLY, vfs)
    try:
        connection.pragma("schema_version")
    except (apsw.CantOpenError, apsw.IOError) as error:
        connection.close()
        if not _is_at_rest(error, path + "-wal"):
            raise
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return apsw.Connection(f"file:{_quote(path)}?immutable=1", flags, vfs)
    return connection


def _create(path: str) -> None:
    """Make the file of a new database for its owner only, as all of a pool is; what is beside it gets its mode.

    One that is there is left alone: to close it would end the locks that this process has on it.
    """
    with suppress(OSError):  # it is there, or SQLite says what is wrong
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _is_at_rest(error: apsw.Error, log: str) -> bool:
    """Say whether nothing can change under a reader without shared memory, and the database has all that was written.

    In a directory that we cannot write: there is no log, so no writer. On a full disk: a writer would have the memory.
    """
    if isinstance(error, apsw.CantOpenError):
        return not os.path.exists(log)
    return _is_full(error) and not (os.path.exists(log) and os.path.getsize(log))


def _quote(path: str) -> str:
    return "".join(c if c.isalnum() or c in "/._-" else "".join(f"%{b:02X}" for b in os.fsencode(c)) for c in path)


def _configure(connection: Connection, path: str, writable: bool, durable: bool, exclusive: bool) -> None:
    connection.set_busy_timeout(DATABASE_BUSY)
    if exclusive:  # before anything that reads: the checksum VFS jumps to shared memory that is not there
        connection.pragma("locking_mode", "exclusive")
    connection.pragma("cache_size", -DATABASE_CACHE // 1024)
    if writable:
        if not connection.pragma("page_count"):
            connection.reserve_bytes("main", _RESERVED)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full" if durable else "off")
        connection.pragma("wal_autocheckpoint", DATABASE_WAL)
    connection.pragma("trusted_schema", 0)
    connection.pragma("schema_version")
    if connection.pragma("page_count") and connection.reserve_bytes("main") != _RESERVED:
        raise CorruptDatabase(path=path, reason="its pages have no checksums")
