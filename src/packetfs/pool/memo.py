"""Results that a pool remembers: values by digest in a database of their own, `memo.db`, which is a cache. What is
long, output and large values, lies beside it (outputs.py).

Nothing depends on it: it can be deleted at any time, what is damaged in it counts as not remembered, and a database
that cannot be read is begun anew. It never leaves the pool and is never taken from a peer: a result is a claim that
only the one who computed it can vouch for.

Reading needs nothing. Writing needs the lease of the pool's writer, which is taken for the moment of writing alone;
while somebody else has it, nothing is remembered.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.errors import CorruptDatabase, PacketFSError, PoolFull
from packetfs.limits import (
    MEMO_BYTES,
    MEMO_LOG,
    MEMO_OUTPUT_MIN,
    MEMO_OUTPUTS,
    MEMO_SLACK,
    MEMO_VALUE_INLINE,
    MEMO_WAITING,
)
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.layout import Buffer
from packetfs.pool.database import Connection, connect, explained
from packetfs.pool.leases import Leases
from packetfs.pool.outputs import Outputs, Place, Written, remove_outputs
from packetfs.pool.pool import Pool
from packetfs.typing import Any, Final

NAME: Final = "memo"
VERSION: Final = 3
_TABLES: Final = """
CREATE TABLE result(key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE output(
    file INTEGER PRIMARY KEY, size INTEGER NOT NULL, digest BLOB NOT NULL, stamp BLOB NOT NULL, used INTEGER NOT NULL
) STRICT;
CREATE TABLE count(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO count VALUES('recalled', 0), ('run', 0);
"""
_FIND: Final = "SELECT value, used FROM result WHERE key=?"
_KEEP: Final = "INSERT OR REPLACE INTO result VALUES(?, ?, ?)"
_TOUCH: Final = "UPDATE result SET used=? WHERE key=?"
_ADD: Final = "UPDATE count SET value=value+? WHERE name=?"
_OLDEST: Final = "SELECT key, length(value) + length(key) FROM result ORDER BY used"
_FORGET: Final = "DELETE FROM result WHERE key=?"
_KEEP_OUTPUT: Final = "INSERT INTO output VALUES(?, ?, ?, ?, ?)"
_FIND_OUTPUT: Final = "SELECT size, digest, stamp FROM output WHERE file=?"
_TOUCH_OUTPUT: Final = "UPDATE output SET used=?2, stamp=?3 WHERE file=?1 AND (used<?2 OR stamp<>?3)"
_OLDEST_OUTPUT: Final = "SELECT file, size FROM output ORDER BY used"
_OUTPUT_FILES: Final = "SELECT file FROM output"
_FORGET_OUTPUT: Final = "DELETE FROM output WHERE file=?"
_DAY: Final = 86_400
"""Seconds in which a result is marked as used once: marking is a write."""
_LOG_STAYS: Final = 1006
"""SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE: or the end of each run would wait for the disk, some 60 ms."""
_CHECK: Final = 8
"""Bytes of digest over key and value, before each value: a mixture of pages of two moments shows."""
_HERE, _THERE = b"\0", b"\1"
"""Before a value, or the place of one that is long."""
_PLACE: Final = Struct("<qQQ")


@dataclass(frozen=True, slots=True)
class MemoStatus:
    """What is remembered. `size`: bytes on disk. `recalled`, `run`: shards that were, and were not, remembered."""

    results: int = 0
    size: int = 0
    recalled: int = 0
    run: int = 0


class MemoStore:
    """What a pool remembers, while something runs over it. Several threads may ask."""

    def __init__(self, pool: Pool, limit: int = MEMO_BYTES, outputs: int = MEMO_OUTPUTS) -> None:
        """`limit`, `outputs`: bytes of results and of output that are kept at the most."""
        self._pool = pool
        self._limits = limit, outputs
        self._lock = threading.Lock()
        self._today = int(time.time()) // _DAY
        self._waiting: dict[bytes, bytes] = {}
        self._size = 0
        self._outputs = Outputs(pool.storage, _outputs(pool), self._written)
        self._used: set[bytes] = set()
        self._counts = (0, 0)
        self.refused: PacketFSError | None = None
        """Why something was not remembered."""
        self._reading = _look(pool)

    def recall(self, key: Digest) -> Buffer | None:
        """Return the value of a key, None where there is none. A long one is not copied out of its file."""
        with self._lock:
            found = self._waiting.get(key) or self._read(key)
        if found is None or found[:_CHECK] != digest_of(key + found[_CHECK:])[:_CHECK]:
            return None
        kind, value = found[_CHECK : _CHECK + 1], found[_CHECK + 1 :]
        if kind == _HERE:
            return value
        return self.find(Place(*_PLACE.unpack(value)))

    def _read(self, key: bytes) -> bytes | None:
        row = self._look(_FIND, key)
        if row is None:
            return None
        if row[1] < self._today:
            self._used.add(key)
        return bytes(row[0])

    def _written(self, file: int) -> Written | None:
        row = self._look(_FIND_OUTPUT, file)
        return None if row is None else Written(*row)

    def _look(self, query: str, key: bytes | int) -> tuple[Any, ...] | None:
        if self._reading is None:
            return None
        try:
            with explained(_path(self._pool)):
                return self._reading.execute(query, (key,)).fetchone()
        except PacketFSError:  # a cache that cannot be read is none
            self._reading = None
            return None

    def remember(self, key: Digest, value: bytes) -> None:
        """Keep a value; it is written with others, at the latest by `close`."""
        if len(value) <= MEMO_VALUE_INLINE:
            kept = _HERE + value
        else:
            place = self.keep(value)
            kept = _THERE + _PLACE.pack(place.file, place.start, place.length)
        with self._lock:
            self._waiting[key] = digest_of(key + kept)[:_CHECK] + kept
            self._size += len(kept)
            if self._size > MEMO_WAITING:
                self._write()

    def keep(self, output: Buffer) -> Place:
        """Keep output, which must not change any more, and return where it will be found."""
        with self._lock:
            place = self._outputs.add(output)
            if self._outputs.waiting > MEMO_WAITING:
                self._write()
        return place

    def find(self, place: Place) -> memoryview | None:
        """Return the output that is kept there, None where there is none."""
        with self._lock:
            return self._outputs.find(place)

    def count(self, recalled: int, shards: int) -> None:
        """Count the shards of a run, and those of them that were remembered."""
        self._counts = (recalled, shards - recalled)

    def close(self) -> None:
        """Write what waits."""
        with self._lock:
            if self._reading is not None:
                self._reading.close()
                self._reading = None
            outputs = self._outputs
            if any((self._waiting, self._used, outputs.waiting, outputs.used, *self._counts)):
                self._write()

    def _write(self) -> None:
        (recalled, run), self._counts = self._counts, (0, 0)
        waiting, self._waiting, self._size = self._waiting, {}, 0
        used, self._used = self._used - waiting.keys(), set()
        try:
            with writing(self._pool) as database:
                database.executemany(_ADD, ((recalled, "recalled"), (run, "run")))
                database.executemany(_KEEP, ((key, value, self._today) for key, value in waiting.items()))
                database.executemany(_TOUCH, ((self._today, key) for key in used))
                self._write_outputs(database)
                _make_room(database, *self._limits)
                files = [file for (file,) in database.execute(_OUTPUT_FILES)]
                remove_outputs(self._pool.storage, _outputs(self._pool), but=files)
        except PacketFSError as error:
            self._outputs.forget()
            self.refused = error

    def _write_outputs(self, database: Connection) -> None:
        """Write the output that waits; who reads of it in the database finds it."""
        used, self._outputs.used = self._outputs.used, {}
        database.executemany(_TOUCH_OUTPUT, ((file, self._today, stamp) for file, stamp in used.items()))
        if self._outputs.waiting:
            file, written = self._outputs.write()
            database.execute(_KEEP_OUTPUT, (file, written.size, written.digest, written.stamp, self._today))


@contextmanager
def writing(pool: Pool) -> Iterator[Connection]:
    """Let the database be changed in one transaction, as the writer of the pool; PoolBusy while there is another.

    On a full disk the cache goes, and PoolFull is raised: the last room is for what cannot be computed again.
    """
    with _lease(pool):
        try:
            database = _connect(pool)
        except PacketFSError:
            _remove(pool)
            database = _connect(pool)
        try:
            with explained(_path(pool)), database:
                yield database
            _shorten_log(database, _path(pool))
        except (CorruptDatabase, PoolFull):
            _remove(pool)
            raise
        finally:
            database.close()


def _shorten_log(database: Connection, path: str) -> None:
    """Copy a long log into the database, unless somebody else reads it just now."""
    with suppress(OSError, PacketFSError), explained(path):
        if os.path.getsize(f"{path}-wal") > MEMO_LOG:
            database.set_busy_timeout(0)
            database.pragma("wal_checkpoint", "truncate")


@contextmanager
def _lease(pool: Pool) -> Iterator[None]:
    """Be the writer of the pool for a moment, unless it was opened as that."""
    if pool.writable:
        yield
        return
    leases = Leases(pool.storage, f"{pool.path}/leases", writable=True)
    try:
        leases.acquire_writer()
        yield
    finally:
        leases.close()


def memo_status(pool: Pool) -> MemoStatus:
    """Return what a pool remembers; nothing where that cannot be read."""
    database = _look(pool)
    if database is None:
        return MemoStatus()
    try:
        with explained(_path(pool)):
            counts = dict(database.execute("SELECT name, value FROM count"))
            results = sum(count for (count,) in database.execute("SELECT count(*) FROM result"))
            size = _bytes_of(database) + sum(size for (size,) in database.execute("SELECT size FROM output"))
            return MemoStatus(results, size, counts["recalled"], counts["run"])
    except PacketFSError:
        return MemoStatus()
    finally:
        database.close()


def clear_memo(pool: Pool) -> int:
    """Forget everything and return the bytes that this freed."""
    before = memo_status(pool).size
    with _lease(pool):
        _remove(pool)
    return before


def _outputs(pool: Pool) -> str:
    return f"{pool.path}/{NAME}"


def _path(pool: Pool) -> str:
    return f"{pool.path}/{NAME}.db"


def _look(pool: Pool) -> Connection | None:
    """Open the database for reading; None where it is not there, or not good."""
    path = _path(pool)
    if not os.path.exists(path):
        return None
    try:
        database = connect(path, writable=False, durable=False, vfs=pool.storage.vfs)
        with explained(path):
            database.execute("BEGIN")  # or each look would take the locks anew: 5 us instead of 25
            if database.pragma("user_version") == VERSION:
                return database
    except PacketFSError:
        return None
    database.close()
    return None


def _connect(pool: Pool) -> Connection:
    """Open the database for writing."""
    path = _path(pool)
    database = connect(path, writable=True, durable=pool.durable, vfs=pool.storage.vfs)
    try:
        with explained(path):
            database.config(_LOG_STAYS, 1)
            if pool.durable:
                database.pragma("synchronous", "normal")  # a crash may lose the last results, not the others
            if database.pragma("user_version") != VERSION:
                _create(database)
    except BaseException:
        database.close()
        raise
    return database


def _create(database: Connection) -> None:
    with database:
        database.execute("DROP TABLE IF EXISTS result; DROP TABLE IF EXISTS output; DROP TABLE IF EXISTS count")
        database.execute(_TABLES)
        database.pragma("user_version", VERSION)


def _remove(pool: Pool) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            pool.storage.unlink(_path(pool) + end)
    remove_outputs(pool.storage, _outputs(pool))


def _bytes_of(database: Connection) -> int:
    pages = database.pragma("page_count") - database.pragma("freelist_count")
    return int(pages * database.pragma("page_size"))


def _make_room(database: Connection, limit: int, outputs: int) -> None:
    """Forget what was not used for longest, if there is too much."""
    if (over := _bytes_of(database) - limit) > 0:
        _forget(database, over + limit // MEMO_SLACK, database.execute(_OLDEST), _FORGET)
    files = [(file, max(size, MEMO_OUTPUT_MIN)) for file, size in database.execute(_OLDEST_OUTPUT)]
    if (over := sum(size for _, size in files) - outputs) > 0:
        _forget(database, over + outputs // MEMO_SLACK, files, _FORGET_OUTPUT)


def _forget(database: Connection, wanted: int, oldest: Iterable[tuple[Any, int]], forget: str) -> None:
    """Forget the oldest, until so many bytes are free."""
    found = []
    for key, size in oldest:
        found.append((key,))
        wanted -= size
        if wanted <= 0:
            break
    database.executemany(forget, found)
