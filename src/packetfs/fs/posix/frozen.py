"""A snapshot with the operations of a filesystem: everything can be looked at, nothing changed.

A snapshot has no inode numbers. One is made of the directory's number and the name, or of the group where a file has
several names: so it is the same whenever it is asked for, and nothing needs to be kept for what was forgotten.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from packetfs.fs.derived import waits
from packetfs.fs.directory import entries_of, find_entry
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.posix.attributes import BLOCK, DIRECTORY_SIZE, Attributes, Caller, Changes, Statfs
from packetfs.fs.posix.errnos import fail, looks
from packetfs.fs.posix.programs import Programs
from packetfs.fs.schema import ROOT_INO
from packetfs.packet.digest import NO_DIGEST, Digest, digest_of
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.typing import Final, NoReturn

_IDLE_SECONDS: Final = 3600.0
_DOTS: Final = 2


class _Node:
    """An inode that somebody holds a reference to; `tree` is the directory that hard links in it belong to."""

    __slots__ = ("above", "entry", "ino", "references", "tree")

    def __init__(self, ino: int, entry: Entry, above: int, tree: int) -> None:
        self.ino = ino
        self.tree = ino if entry.is_dir and entry.group else tree
        self.entry = entry
        self.above = above
        self.references = 0


class _Listing:
    """An open directory: the entries that come next, as long as it is read in order."""

    __slots__ = ("node", "place", "rest")

    def __init__(self, node: _Node) -> None:
        self.node = node
        self.rest: Iterator[Entry] = iter(())
        self.place = -1

    def seek(self, pool: Pool, place: int) -> Iterator[Entry]:
        """Return the entries from a place on."""
        if place != self.place:
            root = Digest(self.node.entry.root)
            self.rest = entries_of(pool, root) if root != NO_DIGEST else iter(())
            for self.place in range(place):
                next(self.rest, None)
            self.place = place
        return self.rest


class FrozenOperations:
    """The operations of `Operations` on a snapshot. One thread at a time; all errors are OSError."""

    root: Final = ROOT_INO
    writable: Final = False

    def __init__(self, fs: FileSystem, snapshot: bytes) -> None:
        fs.need_snapshot(snapshot)
        self._pool = fs.pool
        self._programs = Programs(fs.pool)
        self._nodes = {ROOT_INO: _Node(ROOT_INO, fs.resolve(snapshot), ROOT_INO, ROOT_INO)}
        self._open: dict[int, _Node | _Listing] = {}
        self._next = 1

    def changed(self) -> None:
        """Nothing ever changes."""

    # inodes

    @looks
    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what a name stands for, and count a reference to it."""
        above = self._directory(parent)
        entry = find_entry(self._pool, Digest(above.entry.root), name) if above.entry.root != NO_DIGEST else None
        if entry is None:
            fail(errno.ENOENT)
        node = self._hold(above, entry)
        node.references += 1
        return self._attributes(node.ino, node.entry)

    def _hold(self, above: _Node, entry: Entry) -> _Node:
        ino = _number(above, entry)
        node = self._nodes.get(ino)
        if node is None:
            node = self._nodes[ino] = _Node(ino, entry, above.ino, above.tree)
        return node

    def reference(self, ino: int) -> None:
        """Count a reference to an inode that `readdir` named."""
        self._node(ino).references += 1

    def forget(self, ino: int, count: int) -> None:
        """Give references back."""
        node = self._nodes.get(ino)
        if node is None or ino == ROOT_INO:
            return
        node.references -= count
        if node.references <= 0:
            del self._nodes[ino]

    @looks
    def getattr(self, ino: int) -> Attributes:
        return self._attributes(ino, self._node(ino).entry)

    def _node(self, ino: int) -> _Node:
        return self._nodes.get(ino) or fail(errno.ESTALE)

    def _directory(self, ino: int) -> _Node:
        node = self._node(ino)
        return node if node.entry.is_dir else fail(errno.ENOTDIR)

    def _attributes(self, ino: int, entry: Entry) -> Attributes:
        """A directory has one link, which says that its subdirectories were not counted; so do other filesystems."""
        size = DIRECTORY_SIZE if entry.is_dir else len(entry.target) if entry.is_link else entry.size
        stored = size
        if entry.is_file and entry.sparse:
            stored -= self._programs.holes(Digest(entry.root), size)
        links = 2 if entry.group and not entry.is_dir else 1
        blocks = 0 if entry.is_link else -(-stored // BLOCK)
        moment = entry.mtime_ns
        owner = (entry.uid, entry.gid, entry.rdev)
        return Attributes(ino, entry.mode, links, *owner, size, blocks, moment, moment, moment)

    @looks
    def readlink(self, ino: int) -> bytes:
        entry = self._node(ino).entry
        return entry.target if entry.is_link else fail(errno.EINVAL)

    # directories

    @looks
    def opendir(self, ino: int) -> int:
        return self._add(_Listing(self._directory(ino)))

    def _add(self, opened: _Node | _Listing) -> int:
        number, self._next = self._next, self._next + 1
        self._open[number] = opened
        return number

    def readdir(self, handle: int, cookie: int = 0) -> Iterator[tuple[int, bytes, Attributes]]:
        """Yield (cookie of what follows, name, attributes); what it yields may be referred to until it goes on."""
        listing = self._open.get(handle)
        if not isinstance(listing, _Listing):
            fail(errno.EBADF)
        node = listing.node
        if cookie <= 0:
            yield 1, b".", self._attributes(node.ino, node.entry)
        if cookie <= 1:
            above = self._nodes.get(node.above, node)
            yield _DOTS, b"..", self._attributes(above.ino, above.entry)
        place = max(cookie - _DOTS, 0)
        for entry in listing.seek(self._pool, place):
            listing.place = -1  # until it goes on, the caller may stop here and come back
            place += 1
            held = self._hold(node, entry)
            try:
                yield place + _DOTS, entry.name, self._attributes(held.ino, entry)
            finally:
                if not held.references:
                    self._nodes.pop(held.ino, None)
            listing.place = place

    def releasedir(self, handle: int) -> None:
        self._open.pop(handle, None)

    # files

    @looks
    def open(self, ino: int, flags: int) -> int:
        node = self._node(ino)
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            fail(errno.EROFS)
        if not node.entry.is_file:
            fail(errno.EISDIR if node.entry.is_dir else errno.ENXIO)
        if waits(self._pool, node.entry):
            fail(errno.EOPNOTSUPP)
        return self._add(node)

    def making(self, ino: int) -> None:
        """Nothing is made here: a snapshot keeps content."""

    def release(self, handle: int) -> None:
        self._open.pop(handle, None)

    def flush(self, handle: int) -> None:
        """Nothing was written."""

    def _file(self, handle: int) -> Entry:
        node = self._open.get(handle)
        return node.entry if isinstance(node, _Node) else fail(errno.EBADF)

    @looks
    def read(self, handle: int, offset: int, size: int) -> list[Buffer]:
        """Return bytes as they lie in the arena."""
        entry = self._file(handle)
        stop = min(offset + size, entry.size)
        return self._programs.read(Digest(entry.root), offset, stop) if offset < stop else []

    @looks
    def lseek(self, handle: int, offset: int, whence: int) -> int:
        """Return where the next data (SEEK_DATA) or hole (SEEK_HOLE) begins."""
        entry = self._file(handle)
        if whence not in (os.SEEK_DATA, os.SEEK_HOLE):
            fail(errno.EINVAL)
        if not 0 <= offset < entry.size:
            fail(errno.ENXIO)
        wanted = whence == os.SEEK_HOLE
        while offset < entry.size:
            end, is_hole = self._programs.is_hole(Digest(entry.root), offset, entry.size)
            if is_hole == wanted:
                return offset
            offset = end
        return entry.size if wanted else fail(errno.ENXIO)

    # attributes of users, and the whole

    @looks
    def getxattr(self, ino: int, name: bytes) -> bytes:
        found = dict(self._node(ino).entry.xattrs).get(name)
        return found if found is not None else fail(errno.ENODATA)

    @looks
    def listxattr(self, ino: int) -> list[bytes]:
        return [name for name, _ in self._node(ino).entry.xattrs]

    @looks
    def statfs(self) -> Statfs:
        found = os.statvfs(self._pool.path)
        return Statfs(found.f_bsize, found.f_frsize, found.f_blocks, found.f_bfree, 0, 0, 0)

    def fsync(self, handle: int, datasync: bool = False) -> None:
        """Everything is durable."""

    def fsyncdir(self, handle: int, datasync: bool = False) -> None:
        """Everything is durable."""

    def syncfs(self) -> None:
        """Everything is durable."""

    def idle(self, now: float) -> float:  # noqa: ARG002
        """Nothing waits for a quiet moment."""
        return _IDLE_SECONDS

    def close(self) -> None:
        """Let go of the arena."""
        self._open.clear()
        self._programs.forget()

    # what would change something

    def setattr(self, ino: int, changes: Changes, handle: int | None = None) -> NoReturn:
        del ino, changes, handle
        fail(errno.EROFS)

    def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> NoReturn:
        del parent, name, mode, rdev, caller
        fail(errno.EROFS)

    def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> NoReturn:
        del parent, name, mode, caller
        fail(errno.EROFS)

    def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> NoReturn:
        del parent, name, target, caller
        fail(errno.EROFS)

    def link(self, ino: int, parent: int, name: bytes) -> NoReturn:
        del ino, parent, name
        fail(errno.EROFS)

    def unlink(self, parent: int, name: bytes) -> NoReturn:
        del parent, name
        fail(errno.EROFS)

    def rmdir(self, parent: int, name: bytes) -> NoReturn:
        del parent, name
        fail(errno.EROFS)

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int = 0) -> NoReturn:
        del parent, name, new_parent, new_name, flags
        fail(errno.EROFS)

    def create(self, parent: int, name: bytes, mode: int, flags: int, caller: Caller) -> NoReturn:
        del parent, name, mode, flags, caller
        fail(errno.EROFS)

    def tmpfile(self, parent: int, mode: int, flags: int, caller: Caller) -> NoReturn:
        del parent, mode, flags, caller
        fail(errno.EROFS)

    def write(self, handle: int, offset: int, data: Buffer) -> NoReturn:
        del handle, offset, data
        fail(errno.EROFS)

    def fallocate(self, handle: int, mode: int, offset: int, length: int) -> NoReturn:
        del handle, mode, offset, length
        fail(errno.EROFS)

    def copy_file_range(self, handle: int, offset: int, to: int, to_offset: int, length: int) -> NoReturn:
        del handle, offset, to, to_offset, length
        fail(errno.EROFS)

    def setxattr(self, ino: int, name: bytes, value: bytes, flags: int = 0) -> NoReturn:
        del ino, name, value, flags
        fail(errno.EROFS)

    def removexattr(self, ino: int, name: bytes) -> NoReturn:
        del ino, name
        fail(errno.EROFS)


def _number(above: _Node, entry: Entry) -> int:
    """Return an inode number for an entry: 63 bits of a digest, so that two files of one snapshot never share it."""
    if entry.group and not entry.is_dir:
        key = b"g" + above.tree.to_bytes(8, "little") + entry.group.to_bytes(8, "little")
    else:
        key = above.ino.to_bytes(8, "little") + entry.name
    return (int.from_bytes(digest_of(key)[:8], "little") >> 1) | 1 << 62
