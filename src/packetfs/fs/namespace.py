"""The live namespace: inodes and their names in SQLite. Nothing here knows paths or programs, only inode numbers.

All statements run on one cursor and are read to their end at once (directories in pages), so none stays open while the
caller changes what it walks over. Unsigned 64-bit fields are stored as SQLite's signed integers.
"""

from __future__ import annotations

import stat
import struct
import time
from collections.abc import Iterator

from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadNamespace, PacketFSError
from packetfs.fs.schema import prepare
from packetfs.limits import NAMES_PAGE
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.pool.database import Connection, Error, explain_database, explained
from packetfs.typing import Any, Final, TypeAlias

_SIGN: Final = 1 << 63
_WRAP: Final = 1 << 64
_PAIR: Final = struct.Struct("<HI")
Value: TypeAlias = int | bytes | None
_Row: TypeAlias = (
    "tuple[bytes, int, int, int, int, int, bytes, bytes, int, int, bytes | None, int, int, bytes | None, int]"
)

_COLUMNS: Final = (
    "i.mode, i.uid, i.gid, i.mtime_ns, i.size, i.root, i.target, i.rdev, i.grp, i.xattrs, i.sparse,"
    " i.dirty, i.seen, i.ino"
)
_JOIN: Final = "FROM entry e CROSS JOIN inode i ON i.ino = e.ino WHERE e.parent = ?"
_CHILD: Final = f"SELECT e.name, {_COLUMNS} {_JOIN} AND e.name = ?"
_PAGE: Final = f"SELECT e.name, {_COLUMNS} {_JOIN} AND e.name > ? ORDER BY e.name LIMIT {NAMES_PAGE}"
_INODE: Final = f"SELECT x'', {_COLUMNS} FROM inode i WHERE i.ino = ?"  # noqa: S608
_INSERT: Final = (
    "INSERT INTO inode(mode, uid, gid, mtime_ns, size, root, target, rdev, grp, xattrs, sparse, seen, dirty)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE: Final = (
    "UPDATE inode SET mode=?, uid=?, gid=?, mtime_ns=?, size=?, root=?, target=?, rdev=?, grp=?, xattrs=?, sparse=?,"
    " seen=?, ctime_ns=?, holes=-1 WHERE ino=?"
)


@dataclass(frozen=True, slots=True)
class Inode:
    """One row: an entry, its inode number, the packed signature of its host file, whether its program is out of date.

    The entry of a dirty directory has no root; `base` is the program that was built last.
    """

    ino: int
    entry: Entry
    seen: bytes | None
    dirty: bool
    base: Digest


class Namespace:
    """Inodes and names, with the marks that tell which directory programs are out of date."""

    def __init__(self, database: Connection) -> None:
        self._database = database
        self._cursor = database.cursor()
        self._writing = False
        self._soiled = 0
        self._recording = False
        self.is_lost = False
        """Whether SQLite gave up a transaction by itself, as on a full disk, and with it all that was not committed."""
        with explained(database.filename):
            self.version: Final = prepare(database)

    @property
    def is_changed(self) -> bool:
        """Whether anything waits for a commit."""
        return self._writing

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        if self._writing:
            try:
                self.rows("COMMIT")
            except PacketFSError:
                self._look_for_loss()
                raise
            self._writing = False

    def rollback(self) -> None:
        """Forget everything since the last commit."""
        self._soiled = 0
        if self._writing:
            self._writing = False
            self.rows("ROLLBACK")

    def write(self, sql: str, values: tuple[Value, ...] = ()) -> int:
        """Run a statement that changes something, in the open transaction; return how many rows it changed."""
        try:
            if not self._writing:
                self._cursor.execute("BEGIN IMMEDIATE")
                self._writing = True
            self._cursor.execute(sql, values)
        except Error as error:
            self._look_for_loss()
            raise explain_database(error, self._database.filename) from error
        return self._database.changes()

    def _look_for_loss(self) -> None:
        if self._writing and not self._database.in_transaction:
            self._writing, self.is_lost, self._soiled = False, True, 0

    def rows(self, sql: str, values: tuple[Value, ...] = ()) -> list[Any]:
        """Return all rows of a query."""
        try:
            return self._cursor.execute(sql, values).fetchall()
        except Error as error:
            raise explain_database(error, self._database.filename) from error

    def row(self, sql: str, values: tuple[Value, ...] = ()) -> Any:
        """Return the one row of a query, or None."""
        try:
            return self._cursor.execute(sql, values).fetchone()
        except Error as error:
            raise explain_database(error, self._database.filename) from error

    def lookup(self, parent: int, name: bytes) -> int | None:
        """Return the inode number of a name."""
        row = self.row("SELECT ino FROM entry WHERE parent=? AND name=?", (parent, name))
        return None if row is None else row[0]

    def child(self, parent: int, name: bytes) -> Inode | None:
        """Return what a name stands for."""
        row = self.row(_CHILD, (parent, name))
        return None if row is None else _inode(row)

    def inode(self, ino: int) -> Inode:
        """Return one inode; its entry has no name."""
        row = self.row(_INODE, (ino,))
        if row is None:
            raise BadNamespace(reason=f"inode {ino} is missing")
        return _inode(row)

    def inodes(self, parent: int) -> Iterator[Inode]:
        """Yield what is in a directory, by name; what is set at or before the name just yielded does not come again."""
        for page in self._pages(parent):
            yield from map(_inode, page)

    def children(self, parent: int) -> Iterator[tuple[Entry, bytes | None]]:
        """Yield (entry, signature) of a directory, by name: `inodes` for those who need no more, at 2/3 of the time."""
        for page in self._pages(parent):
            for row in page:
                yield _entry(row), row[-2]

    def _pages(self, parent: int) -> Iterator[list[_Row]]:
        after = b""
        while page := self.rows(_PAGE, (parent, after)):
            yield page
            after = page[-1][0]

    def names(self, ino: int) -> list[tuple[int, bytes]]:
        """Return every (parent, name) of an inode: one for a directory, several for hard links."""
        return self.rows("SELECT parent, name FROM entry WHERE ino=?", (ino,))

    def add(self, parent: int, entry: Entry, seen: bytes | None = None) -> int:
        """Make an inode and its first name."""
        if entry.is_dir:
            entry = replace(entry, size=0, root=NO_DIGEST)
        self.write(_INSERT, (*_values(entry), seen, entry.is_dir))
        ino = self._database.last_insert_rowid()
        self.link(parent, entry.name, ino)
        return ino

    def link(self, parent: int, name: bytes, ino: int) -> None:
        """Give an inode a name."""
        self.write("INSERT INTO entry VALUES(?, ?, ?)", (parent, name, ino))
        self.touch(parent, name)

    def update(self, old: Inode, entry: Entry, seen: bytes | None) -> None:
        """Change an inode's fields under all its names. A directory keeps its program: names alone change that."""
        if entry.is_dir:
            entry = replace(entry, size=old.entry.size, root=old.entry.root)
        if entry == old.entry:
            self.see(old.ino, seen)
            return
        values = _values(entry if not old.dirty else replace(entry, root=old.base))
        self.write(_UPDATE, (*values, seen, time.time_ns(), old.ino))
        for parent, name in self.names(old.ino):
            self.touch(parent, name)

    def move(self, parent: int, name: bytes, new_parent: int, new_name: bytes) -> None:
        """Give a name's inode another name in its place."""
        self.write("UPDATE entry SET parent=?, name=? WHERE parent=? AND name=?", (new_parent, new_name, parent, name))
        self.touch(parent, name)
        self.touch(new_parent, new_name)
        self._soiled = 0

    def find_group(self, group: int, top: int) -> int | None:
        """Return the inode of a hard-link group below a directory, and below none in it that is a tree of its own."""
        for row in self.rows("SELECT ino FROM inode WHERE grp=? AND grp!=0", (_signed(group),)):
            if self._is_below(int(row[0]), top):
                return int(row[0])
        return None

    def _is_below(self, ino: int, top: int) -> bool:
        while above := self.names(ino):
            ino = above[0][0]
            if ino == top:
                return True
            if self.row("SELECT grp FROM inode WHERE ino=?", (ino,))[0]:
                return False
        return False

    def see(self, ino: int, seen: bytes | None) -> None:
        """Remember the host file's signature; it belongs to this machine, so no program changes."""
        self.write("UPDATE inode SET seen=? WHERE ino=?", (seen, ino))

    def built(self, ino: int, root: Digest, size: int) -> None:
        """Note the program of a directory, which is clean from now on."""
        self._soiled = 0
        self.write("UPDATE inode SET root=?, size=?, dirty=0 WHERE ino=?", (root, size, ino))
        self.write("DELETE FROM touched WHERE parent=?", (ino,))

    def unbuild(self, ino: int) -> None:
        """Forget the program of a directory: it is built whole, whatever changed."""
        self._soil(ino)
        self.write("UPDATE inode SET root=? WHERE ino=?", (NO_DIGEST, ino))
        self._soiled = 0

    def touched(self, ino: int) -> list[bytes]:
        """Return the names of a directory that changed after its program was built, in order."""
        return [row[0] for row in self.rows("SELECT name FROM touched WHERE parent=? ORDER BY name", (ino,))]

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
        row = self.row("SELECT root FROM inode WHERE ino=?", (ino,))
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

    def unlink(self, parent: int, name: bytes) -> None:
        """Take a name away and nothing else: an inode without a name is the caller's to `erase`."""
        self.write("DELETE FROM entry WHERE parent=? AND name=?", (parent, name))
        self.touch(parent, name)

    def erase(self, ino: int) -> None:
        """Delete an inode that has no name, and is no directory with something in it."""
        self.write("DELETE FROM inode WHERE ino=?", (ino,))
        self.write("DELETE FROM touched WHERE parent=?", (ino,))
        self.write("DELETE FROM orphan WHERE ino=?", (ino,))
        if ino == self._soiled:
            self._soiled = 0

    def orphan(self, ino: int) -> None:
        """Note that an inode without a name is in use, so that `erase_orphans` finds it should nobody erase it."""
        self.write("INSERT OR IGNORE INTO orphan VALUES(?)", (ino,))

    def erase_orphans(self) -> int:
        """Delete the inodes that were in use without a name when the last user vanished; return how many."""
        found = self.rows("SELECT ino FROM orphan")
        for (ino,) in found:
            if not self.names(ino):
                self.erase(ino)
        if found:
            self.write("DELETE FROM orphan")
        return len(found)

    def _forget(self, ino: int) -> list[int]:
        """Delete an inode that has lost its last name; return the inodes that a directory named."""
        if self.names(ino):
            return []
        row = self.row("DELETE FROM inode WHERE ino=? RETURNING mode", (ino,))
        if row is None or not stat.S_ISDIR(row[0]):
            return []
        inner = [found[0] for found in self.rows("SELECT ino FROM entry WHERE parent=?", (ino,))]
        self.write("DELETE FROM entry WHERE parent=?", (ino,))
        self.write("DELETE FROM touched WHERE parent=?", (ino,))
        return inner


def _inode(row: _Row) -> Inode:
    return Inode(row[-1], _entry(row), row[-2], row[-3] != 0, Digest(row[6]))


def _entry(row: _Row) -> Entry:
    name, mode, uid, gid, mtime, size, root, target, rdev, group, xattrs, sparse, dirty, _, _ = row
    return Entry(
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


def _values(entry: Entry) -> tuple[int, int, int, int, int, bytes, bytes, int, int, bytes | None, int]:
    return (
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        _signed(entry.size),
        entry.root,
        entry.target,
        _signed(entry.rdev),
        _signed(entry.group),
        pack_xattrs(entry.xattrs) if entry.xattrs else None,
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
