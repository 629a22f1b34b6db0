"""The live namespace: inodes and their names in SQLite. Nothing here knows paths or programs, only inode numbers.

All statements run on one cursor and are read to their end at once (directories in pages), so none stays open while the
caller changes what it walks over. Unsigned 64-bit fields are stored as SQLite's signed integers.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import apsw

from packetfs.errors import BadNamespace
from packetfs.fs.schema import prepare
from packetfs.limits import NAMES_PAGE
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry

_SIGN: Final = 1 << 63
_WRAP: Final = 1 << 64
_PAIR: Final = struct.Struct("<HI")
_Row: TypeAlias = "tuple[bytes, int, int, int, int, int, bytes, bytes, int, int, bytes | None, int, int, bytes | None, int]"

_COLUMNS: Final = (
    "i.mode, i.uid, i.gid, i.mtime_ns, i.size, i.root, i.target, i.rdev, i.grp, i.xattrs, i.sparse, i.dirty, i.seen, i.ino"
)
_JOIN: Final = "FROM entry e CROSS JOIN inode i ON i.ino = e.ino WHERE e.parent = ?"
_CHILD: Final = f"SELECT e.name, {_COLUMNS} {_JOIN} AND e.name = ?"  # noqa: S608 - fixed text
_PAGE: Final = f"SELECT e.name, {_COLUMNS} {_JOIN} AND e.name > ? ORDER BY e.name LIMIT {NAMES_PAGE}"  # noqa: S608
_INODE: Final = f"SELECT x'', {_COLUMNS} FROM inode i WHERE i.ino = ?"  # noqa: S608
_INSERT: Final = (
    "INSERT INTO inode(mode, uid, gid, mtime_ns, size, root, target, rdev, grp, xattrs, sparse, dirty, seen)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE: Final = (
    "UPDATE inode SET mode=?, uid=?, gid=?, mtime_ns=?, size=?, root=?, target=?, rdev=?, grp=?, xattrs=?, sparse=?,"
    " dirty=?, seen=? WHERE ino=?"
)


@dataclass(frozen=True, slots=True)
class Inode:
    """One row: an entry, its inode number, the packed signature of its host file, and whether its program is out of date.

    The entry of a dirty directory has no root; `base` is the program that was built last.
    """

    ino: int
    entry: Entry
    seen: bytes | None
    dirty: bool
    base: Digest


class Namespace:
    """Inodes and names, with the marks that tell which directory programs are out of date."""

    def __init__(self, database: apsw.Connection) -> None:
        prepare(database)
        self.database = database
        self._cursor = database.cursor()
        self._writing = False
        self._soiled = 0
        self._recording = False

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        if self._writing:
            self._cursor.execute("COMMIT")
            self._writing = False

    def rollback(self) -> None:
        """Forget everything since the last commit."""
        self._soiled = 0
        if self._writing:
            self._cursor.execute("ROLLBACK")
            self._writing = False

    def write(self, sql: str, values: tuple[apsw.SQLiteValue, ...] = ()) -> int:
        """Run a statement that changes something, in the open transaction; return how many rows it changed."""
        if not self._writing:
            self._cursor.execute("BEGIN IMMEDIATE")
            self._writing = True
        self._cursor.execute(sql, values)
        return self.database.changes()

    def rows(self, sql: str, values: tuple[apsw.SQLiteValue, ...] = ()) -> list[tuple[apsw.SQLiteValue, ...]]:
        """Return all rows of a query."""
        return self._cursor.execute(sql, values).fetchall()

    def lookup(self, parent: int, name: bytes) -> int | None:
        """Return the inode number of a name."""
        row = self._cursor.execute("SELECT ino FROM entry WHERE parent=? AND name=?", (parent, name)).fetchone()
        return None if row is None else row[0]

    def child(self, parent: int, name: bytes) -> Inode | None:
        """Return what a name stands for."""
        row = self._cursor.execute(_CHILD, (parent, name)).fetchone()
        return None if row is None else _inode(row)

    def inode(self, ino: int) -> Inode:
        """Return one inode; its entry has no name."""
        row = self._cursor.execute(_INODE, (ino,)).fetchone()
        if row is None:
            raise BadNamespace(reason=f"inode {ino} is missing")
        return _inode(row)

    def children(self, parent: int, after: bytes = b"") -> Iterator[Inode]:
        """Yield a directory by name; what is set at or before the name just yielded does not come again."""
        while page := self._cursor.execute(_PAGE, (parent, after)).fetchall():
            yield from map(_inode, page)
            after = page[-1][0]

    def names(self, ino: int) -> list[tuple[int, bytes]]:
        """Return every (parent, name) of an inode: one for a directory, several for hard links."""
        return self._cursor.execute("SELECT parent, name FROM entry WHERE ino=?", (ino,)).fetchall()

    def add(self, parent: int, entry: Entry, seen: bytes | None = None) -> int:
        """Make an inode and its first name."""
        self.write(_INSERT, (*_values(entry), entry.is_dir, seen))
        ino = self.database.last_insert_rowid()
        self.link(parent, entry.name, ino)
        return ino

    def link(self, parent: int, name: bytes, ino: int) -> None:
        """Give an inode a name."""
        self.write("INSERT INTO entry VALUES(?, ?, ?)", (parent, name, ino))
        self.touch(parent, name)

    def update(self, old: Inode, entry: Entry, seen: bytes | None) -> None:
        """Change an inode's fields under all its names. A directory keeps its program: names alone change that."""
        values = _values(entry)
        if old.entry.is_dir:
            values = (*values[:4], _signed(old.entry.size), old.base, *values[6:])
        self.write(_UPDATE, (*values, old.dirty, seen, old.ino))
        for parent, name in self.names(old.ino):
            self.touch(parent, name)

    def see(self, ino: int, seen: bytes | None) -> None:
        """Remember the host file's signature; it belongs to this machine, so no program changes."""
        self.write("UPDATE inode SET seen=? WHERE ino=?", (seen, ino))

    def built(self, ino: int, root: Digest, size: int) -> None:
        """Note the program of a directory, which is clean from now on."""
        self._soiled = 0
        self.write("UPDATE inode SET root=?, size=?, dirty=0 WHERE ino=?", (root, size, ino))
        self.write("DELETE FROM touched WHERE parent=?", (ino,))

    def touched(self, ino: int) -> list[bytes]:
        """Return the names of a directory that changed after its program was built."""
        return [row[0] for row in self._cursor.execute("SELECT name FROM touched WHERE parent=?", (ino,))]

    def touch(self, parent: int, name: bytes) -> None:
        """Note that a name of a directory changed: the directory and all above it are dirty."""
        if parent != self._soiled:
            self._soil(parent)
        if self._recording:
            self.write("INSERT OR IGNORE INTO touched VALUES(?, ?)", (parent, name))

    def _soil(self, ino: int) -> None:
        """Mark a directory and its ancestors dirty, and remember it: walks change one directory after the other."""
        at = ino
        while self.write("UPDATE inode SET dirty=1 WHERE ino=? AND dirty=0", (at,)):
            above = self.names(at)
            if not above:
                break
            at = above[0][0]
            self.write("INSERT OR IGNORE INTO touched VALUES(?, ?)", above[0])
        row = self._cursor.execute("SELECT root FROM inode WHERE ino=?", (ino,)).fetchone()
        self._soiled, self._recording = ino, row[0] != NO_DIGEST

    def remove(self, parent: int, name: bytes) -> None:
        """Take a name away, with everything below it; an inode goes with its last name."""
        ino = self.lookup(parent, name)
        self.write("DELETE FROM entry WHERE parent=? AND name=?", (parent, name))
        self.touch(parent, name)
        doomed = [] if ino is None else [ino]
        while doomed:
            doomed += self._forget(doomed.pop())
        self._soiled = 0

    def _forget(self, ino: int) -> list[int]:
        """Delete an inode that has lost its last name; return the inodes that a directory named."""
        if self.names(ino):
            return []
        row = self._cursor.execute("DELETE FROM inode WHERE ino=? RETURNING mode", (ino,)).fetchone()
        if row is None or not stat.S_ISDIR(row[0]):
            return []
        inner = [found[0] for found in self._cursor.execute("SELECT ino FROM entry WHERE parent=?", (ino,))]
        self.write("DELETE FROM entry WHERE parent=?", (ino,))
        self.write("DELETE FROM touched WHERE parent=?", (ino,))
        return inner


def _inode(row: _Row) -> Inode:
    name, mode, uid, gid, mtime, size, root, target, rdev, group, xattrs, sparse, dirty, seen, ino = row
    entry = Entry(
        name,
        mode,
        uid,
        gid,
        mtime,
        0 if dirty else size % _WRAP,
        NO_DIGEST if dirty else root,
        target,
        rdev % _WRAP,
        group % _WRAP,
        unpack_xattrs(xattrs) if xattrs else (),
        sparse != 0,
    )
    return Inode(ino, entry, seen, dirty != 0, Digest(root))


def _values(entry: Entry) -> tuple[int, int, int, int, int, bytes, bytes, int, int, bytes | None, int]:
    if entry.is_dir:
        size, root = 0, NO_DIGEST
    else:
        size, root = entry.size, Digest(entry.root)
    xattrs = pack_xattrs(entry.xattrs) if entry.xattrs else None
    return (
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        _signed(size),
        root,
        entry.target,
        _signed(entry.rdev),
        _signed(entry.group),
        xattrs,
        entry.sparse,
    )


def _signed(number: int) -> int:
    return number - _WRAP if number >= _SIGN else number


def pack_xattrs(pairs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return extended attributes as one value: most inodes have none, so a table of their own would only cost."""
    return b"".join(_PAIR.pack(len(name), len(value)) + name + value for name, value in sorted(pairs))


def unpack_xattrs(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return what `pack_xattrs` packed."""
    pairs = []
    at = 0
    while at < len(data):
        name, value = _PAIR.unpack_from(data, at)
        at += _PAIR.size
        pairs.append((data[at : at + name], data[at + name : at + name + value]))
        at += name + value
    return tuple(pairs)
