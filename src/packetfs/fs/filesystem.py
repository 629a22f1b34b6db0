"""The filesystem over a pool: paths, directory programs, snapshots. What the mount, the sync and the commands share.

Paths are bytes without a leading slash; b"" is the root directory. Changes belong to one transaction until `commit`,
which makes the pool's payloads durable before the names that point to them.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from types import TracebackType

from packetfs.dataclass import replace
from packetfs.errors import (
    BadNamespace,
    BadPacket,
    BadPath,
    BadSnapshotName,
    NoSnapshot,
    NotADirectory,
    NotAFile,
    NotFound,
    SnapshotExists,
    SnapshotMounted,
)
from packetfs.fs.namespace import Inode, Namespace
from packetfs.fs.paths import Paths
from packetfs.fs.schema import ROOT_INO
from packetfs.fs.snapshot import Snapshot, decode_root_entry, encode_snapshot
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry, check_name
from packetfs.packet.execute import read_program
from packetfs.packet.layout import Mark
from packetfs.pool.pool import Pool
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.fs.reader import ProgramReader
    from packetfs.fs.streams.window import ReadInto

NAMES: Final = "names"
_NEW_DIRECTORY: Final = 0o40755


class FileSystem:
    """Names and files of one pool. Not for several threads at a time."""

    def __init__(self, pool: Pool) -> None:
        self.pool: Final = pool
        self.names: Final = Namespace(pool.database(NAMES))
        self.paths: Final = Paths(self.names)

    def __enter__(self) -> FileSystem:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was not committed. The pool stays open."""
        self.rollback()

    # reading

    def entry(self, path: bytes) -> Entry | None:
        """Return what a path stands for; a directory that changed since `tree_root` has no root."""
        found = self.paths.find(path)
        return None if found is None else found.entry

    def children(self, path: bytes) -> Iterator[Entry]:
        """Yield the entries of a directory, by name."""
        return (entry for entry, _ in self.children_with_seen(path))

    def children_with_seen(self, path: bytes) -> Iterator[tuple[Entry, bytes | None]]:
        """Yield (entry, packed signature of its host file), by name. The caller may set and remove meanwhile."""
        return self.names.children(self.paths.directory(path))

    def seen(self, path: bytes) -> bytes | None:
        """Return the packed signature that was kept with a path."""
        return self.paths.need(path).seen

    def read(self, path: bytes, offset: int = 0, length: int | None = None) -> bytes:
        """Return bytes of a file."""
        return read_program(self.pool, self.content_root(path), offset, length)

    def open_read(self, path: bytes) -> ProgramReader:
        """Return a file object on the content that a file has now; later changes do not touch it."""
        from packetfs.fs.reader import ProgramReader  # most processes read otherwise

        return ProgramReader(self.pool, self.content_root(path))

    def content_root(self, path: bytes) -> Digest:
        """Return the root of a file that must exist."""
        entry = self.paths.need(path).entry
        if not entry.is_file or entry.root == NO_DIGEST:
            raise NotAFile(path=path)
        return Digest(entry.root)

    # changing

    def set(self, path: bytes, entry: Entry, seen: bytes | None = None, *, within: bytes | None = None) -> None:
        """Make `path` stand for `entry` (its name is the path's). The directory of `path` must exist.

        A directory keeps what is in it; its root and size follow from that. Where `within` names the directory that
        an entry's hard-link group belongs to, the path becomes one more name of the group's inode.
        """
        if not path:
            self._set_root(entry, seen)
            return
        parent, name = self.paths.place(path)
        if entry.name != name:
            entry = replace(entry, name=name)
        old = self.names.child(parent, name)
        linked = self._find_link(path, entry, within)
        if old is not None:
            if linked in (None, old.ino) and self._changes_in_place(old, entry):
                self.names.update(old, entry, seen)
                return
            self._drop(parent, name)
        if linked is None:
            self.names.add(parent, entry, seen)
        else:
            self._join(parent, linked, entry, seen)

    def add(self, path: bytes, entry: Entry, seen: bytes | None = None) -> None:
        """Do the same where nothing is at `path`, which saves looking: a third of the statements of a first import."""
        parent, name = self.paths.place(path)
        self.names.add(parent, entry if entry.name == name else replace(entry, name=name), seen)

    def _set_root(self, entry: Entry, seen: bytes | None) -> None:
        if not entry.is_dir:
            raise NotADirectory(path=entry.name)
        self.names.update(self.names.inode(ROOT_INO), replace(entry, name=b""), seen)

    def _changes_in_place(self, old: Inode, entry: Entry) -> bool:
        """An inode keeps its kind; one with other names keeps its group too, or those names would change with it."""
        return _kind(old.entry) == _kind(entry) and (
            old.entry.group == entry.group or len(self.names.names(old.ino)) == 1
        )

    def _find_link(self, path: bytes, entry: Entry, within: bytes | None) -> int | None:
        """Return the inode that an entry's group has below `within` already, if it is of the same kind."""
        if not entry.group or entry.is_dir or within is None:
            return None
        ino = self.names.find_group(entry.group, self._tree_of(path, within))
        if ino is None or _kind(self.names.inode(ino).entry) != _kind(entry):
            return None
        return ino

    def _tree_of(self, path: bytes, within: bytes) -> int:
        """Return the innermost directory around `path` that is a tree of its own; `within` is one."""
        above = path.rpartition(b"/")[0]
        while above != within:
            found = self.paths.need(above)
            if found.entry.group:
                return found.ino
            above = above.rpartition(b"/")[0]
        return self.paths.directory(within)

    def _join(self, parent: int, linked: int, entry: Entry, seen: bytes | None) -> None:
        """Make an entry one more name of an inode, which takes its fields."""
        self.names.link(parent, entry.name, linked)
        self.names.update(self.names.inode(linked), replace(entry, name=b""), seen)

    def put_file(self, path: bytes, source: ReadInto, entry: Entry) -> Entry:
        """Store a stream as the content of a file; return its entry, with root and size. The old content helps."""
        from packetfs.fs.streams.ingest import ingest  # who reads needs none of it

        old = self.paths.find(path)
        known = Digest(old.entry.root) if old is not None and old.entry.is_file else NO_DIGEST
        done = ingest(self.pool, source, None if known == NO_DIGEST else known)
        made = replace(entry, root=done.root, size=done.size)
        self.set(path, made)
        return made

    def set_seen(self, path: bytes, seen: bytes | None) -> None:
        """Keep the packed signature of the host file behind a path. No program changes by it."""
        self.names.see(self.paths.need(path).ino, seen)

    def remove(self, path: bytes) -> None:
        """Take a name away, with everything below it; of the root directory, only what is in it."""
        if not path:
            for inode in self.names.inodes(ROOT_INO):
                self._drop(ROOT_INO, inode.entry.name)
            return
        parent, name = self.paths.place(path)
        if self.names.lookup(parent, name) is None:
            raise NotFound(path=path)
        self._drop(parent, name)

    def _drop(self, parent: int, name: bytes) -> None:
        self.names.remove(parent, name)
        self.paths.forget()

    def rename(self, old: bytes, new: bytes) -> None:
        """Give what is at `old` the path `new`, in place of what is there."""
        found = self.paths.need(old)
        if not old or not new or new.startswith(old + b"/"):
            raise BadPath(path=new, reason="a directory cannot be moved into itself")
        before, after = self.paths.place(old), self.paths.place(new)
        existing = self.names.lookup(*after)
        if existing == found.ino:
            return
        if existing is not None:
            self._drop(*after)
        self.names.move(*before, *after)
        self.paths.forget()

    def link(self, old: bytes, new: bytes, group: int) -> None:
        """Give a file one more path. `group` marks all its names in the programs of their directories."""
        found = self.paths.need(old)
        if found.entry.is_dir or not group:
            raise BadPath(path=new, reason="a directory has one name, and links have a group")
        parent, name = self.paths.place(new)
        if self.names.lookup(parent, name) is not None:
            self._drop(parent, name)
        self.names.link(parent, name, found.ino)
        self.names.update(found, replace(found.entry, group=group), found.seen)

    def leader(self, path: bytes, entry: Entry, *, within: bytes) -> bytes | None:
        """Return a path that an entry's hard-link group has below `within` already: `path` would join its inode."""
        ino = self._find_link(path, entry, within)
        if ino is None:
            return None
        from packetfs.fs.survey import first_path

        return first_path(self, ino, within)

    def is_same(self, one: bytes, other: bytes) -> bool:
        """Tell whether two paths, which both stand for something, are names of one file."""
        return self.paths.need(one).ino == self.paths.need(other).ino

    def make_parents(self, path: bytes) -> None:
        """Make the directories above a path that are missing."""
        missing = []
        above = path.rpartition(b"/")[0]
        while above and self.paths.find(above) is None:
            missing.append(above)
            above = above.rpartition(b"/")[0]
        for directory in reversed(missing):
            name = directory.rpartition(b"/")[2]
            self.set(directory, Entry(name, _NEW_DIRECTORY, mtime_ns=time.time_ns()))

    # programs and transactions

    def tree_root(self, path: bytes = b"") -> Digest:
        """Return the root of a directory, building the programs of what changed in and below it."""
        from packetfs.fs.build import build_directory  # nor of this

        return build_directory(self.pool, self.names, self.paths.directory(path), self.pool.mean)

    def commit(self) -> None:
        """Make everything since the last commit durable: payloads first, then the names that need them."""
        self.pool.flush()
        self.names.commit()

    def rollback(self) -> None:
        """Forget the changes since the last commit; payloads stay until gc."""
        self.names.rollback()
        self.paths.forget()

    def note(self, key: bytes) -> bytes | None:
        """Return what `set_note` kept under a key: the state of a sync, say."""
        found = self.names.row("SELECT value FROM note WHERE key=?", (key,))
        return None if found is None else bytes(found[0])

    def set_note(self, key: bytes, value: bytes | None) -> None:
        """Keep a value under a key, in the transaction of the names; None forgets it."""
        if value is None:
            self.names.write("DELETE FROM note WHERE key=?", (key,))
        else:
            self.names.write("INSERT OR REPLACE INTO note VALUES(?, ?)", (key, value))

    def drop_notes(self, prefix: bytes) -> None:
        """Drop the notes whose keys are a prefix and the number of an inode that is gone."""
        after = prefix[:-1] + bytes([prefix[-1] + 1])
        self.names.write(
            "DELETE FROM note WHERE key >= ? AND key < ? AND NOT EXISTS"
            "(SELECT 1 FROM inode WHERE ino = CAST(CAST(substr(key, ?) AS TEXT) AS INTEGER))",
            (prefix, after, len(prefix) + 1),
        )

    # snapshots

    def snapshot(self, name: bytes, path: bytes = b"", time_ns: int | None = None) -> Snapshot:
        """Keep a directory as it is now under a name, and commit."""
        self.need_free(name)
        root = self.tree_root(path)
        moment = time.time_ns() if time_ns is None else time_ns
        program = encode_snapshot(name, replace(self.paths.need(path).entry, root=root), path, moment, self.pool.mean)
        taken = Snapshot(name, root, path, moment, self.pool.put(program, mark=Mark.SNAPSHOT))
        self.adopt_snapshot(taken)
        self.commit()
        return taken

    def need_free(self, name: bytes) -> None:
        """Refuse what cannot be the name of a new snapshot; whoever does much before taking one asks first."""
        try:
            check_name(name)
        except BadPacket:
            raise BadSnapshotName(name=name) from None
        if self.names.row("SELECT 1 FROM snapshot WHERE name=?", (name,)):
            raise SnapshotExists(name=name)

    def adopt_snapshot(self, taken: Snapshot) -> None:
        """List a snapshot whose record is in the pool."""
        values = (taken.name, taken.root, taken.path, taken.time_ns, taken.record)
        self.names.write("INSERT OR REPLACE INTO snapshot VALUES(?, ?, ?, ?, ?)", values)

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots, oldest first."""
        rows = self.names.rows("SELECT name, root, path, time_ns, record FROM snapshot ORDER BY time_ns, name")
        return [Snapshot(*row) for row in rows]

    def drop_snapshot(self, name: bytes) -> None:
        """Forget a snapshot, and commit; what it alone held is freed by gc."""
        from packetfs.pool.gc import evict  # most processes let go of nothing

        taken = self._snapshot(name)
        with self.pool.leases.give_up(taken.record) as unneeded:
            if not unneeded:
                raise SnapshotMounted(name=name)
            self.names.write("DELETE FROM snapshot WHERE name=?", (name,))
            self.commit()
        evict(self.pool, taken.record)

    def need_snapshot(self, name: bytes) -> None:
        """Let no other process drop a snapshot until the pool is closed here."""
        self.pool.leases.need(self._snapshot(name).record)
        self._snapshot(name)  # it may have been dropped just before

    def resolve(self, snapshot: bytes, path: bytes = b"") -> Entry:
        """Return what a path stood for in a snapshot, relative to the directory that it was taken of."""
        from packetfs.fs.directory import find_entry  # most paths are live ones

        record = self._snapshot(snapshot).record
        entry = decode_root_entry(record, self.pool.read(record))
        for name in path.split(b"/") if path else ():
            found = find_entry(self.pool, Digest(entry.root), name) if entry.is_dir else None
            if found is None:
                raise NotFound(path=snapshot + b"@" + path)
            entry = found
        return entry

    def _snapshot(self, name: bytes) -> Snapshot:
        found = self.names.row("SELECT name, root, path, time_ns, record FROM snapshot WHERE name=?", (name,))
        if found is None:
            raise NoSnapshot(name=name)
        return Snapshot(*found)


def _kind(entry: Entry) -> int:
    return stat.S_IFMT(entry.mode)


def open_names(pool: Pool) -> FileSystem:
    """Open the filesystem in a pool. Names that vanished are an error: fresh ones would hide every file there is."""
    path = f"{pool.path}/{NAMES}.db"
    if not os.path.exists(path) or not os.path.getsize(path):
        raise BadNamespace(reason="their database is missing or empty")
    return FileSystem(pool)
