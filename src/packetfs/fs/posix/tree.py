"""Names: making, linking, moving and removing them, with what POSIX says of times, counts and what is in the way."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from packetfs.fs.filesystem import FileSystem
from packetfs.fs.posix import acl
from packetfs.fs.posix.attributes import Caller
from packetfs.fs.posix.contents import Contents
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.nodes import LIVE, SHOWN, Node, Nodes
from packetfs.fs.posix.references import References
from packetfs.fs.posix.room import NAME, Room
from packetfs.fs.posix.xattrs import Xattrs
from packetfs.fs.schema import ROOT_INO
from packetfs.limits import SYMLINK_MAX
from packetfs.packet.digest import digest_of
from packetfs.typing import Final

NOREPLACE, EXCHANGE = 1, 2
_NAME_MAX: Final = 255
_MODE: Final = 0o7777
_RWXRWXRWX: Final = 0o777


class Tree:
    """The directories of a filesystem, and the inodes in them that lost their last name."""

    def __init__(
        self,
        fs: FileSystem,
        nodes: Nodes,
        contents: Contents,
        xattrs: Xattrs,
        clock: Callable[[], int],
        room: Room,
    ) -> None:
        self._fs = fs
        self._names = fs.names
        self._nodes = nodes
        self._contents = contents
        self._xattrs = xattrs
        self._clock = clock
        self._room = room
        self.references = References()
        self._orphans: set[int] = set()

    # finding

    def find(self, parent: int, name: bytes) -> Node:
        """Return what a name stands for; ENOENT where there is none."""
        above = self._nodes.directory(parent)
        if name == b".":
            return above
        if name == b"..":
            return self._nodes.get(self.parent_of(parent))
        return self._find(parent, name) or fail(errno.ENOENT)

    def _find(self, parent: int, name: bytes) -> Node | None:
        if len(name) > _NAME_MAX:
            fail(errno.ENAMETOOLONG)
        return self._nodes.child(parent, name)

    def parent_of(self, ino: int) -> int:
        """Return the directory that a directory is in; the root is in itself, and so is one that was removed."""
        above = self._names.names(ino)
        return above[0][0] if above else ino

    def _place(self, parent: int, name: bytes) -> Node:
        """Return a directory in which a name is about to come or go."""
        above = self._nodes.directory(parent)
        if len(name) > _NAME_MAX:
            fail(errno.ENAMETOOLONG)
        if not name or b"/" in name or b"\0" in name:
            fail(errno.EINVAL)
        if not above.nlink:
            fail(errno.ENOENT)
        return above

    # making

    def make(self, parent: int, name: bytes | None, mode: int, caller: Caller, rdev: int = 0) -> Node:
        """Make an inode: with a name, or for whoever opens it now."""
        above = self._nodes.directory(parent) if name is None else self._free_place(parent, name)
        default = self._xattrs.default_of(above)
        if default:
            caller = caller._replace(umask=~acl.mode_of(acl.inherited(default, mode)) & _RWXRWXRWX)
        node = self._new(above, mode, caller, rdev)
        if node.is_file:
            node.root = self._contents.empty
        self._add(above, name, node)
        if default:
            self._xattrs.inherit(node, default, mode)
        return node

    def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Node:
        if not target:
            fail(errno.ENOENT)
        if len(target) > SYMLINK_MAX:
            fail(errno.ENAMETOOLONG)
        above = self._free_place(parent, name)
        node = self._new(above, stat.S_IFLNK | 0o777, Caller(caller.uid, caller.gid), 0)
        node.size = len(target)
        return self._add(above, name, node, target)

    def _free_place(self, parent: int, name: bytes) -> Node:
        above = self._place(parent, name)
        if name in (b".", b"..") or self._names.lookup(parent, name) is not None:
            fail(errno.EEXIST)
        return above

    def _new(self, above: Node, mode: int, caller: Caller, rdev: int) -> Node:
        """Return a node with the owner and permissions that a new inode has in a directory."""
        self._room.take(NAME)
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        mode = kind | (mode & _MODE & ~caller.umask)
        gid = caller.gid
        if above.mode & stat.S_ISGID:
            gid = above.gid
            mode |= stat.S_ISGID if kind == stat.S_IFDIR else 0
        node = Node(self._nodes.number(), mode, caller.uid, gid, rdev)
        node.atime_ns = node.mtime_ns = node.ctime_ns = self._clock()
        return node

    def _add(self, above: Node, name: bytes | None, node: Node, target: bytes = b"") -> Node:
        node.nlink = 0 if name is None else 1 + node.is_dir
        self._nodes.add(above.ino, name, node, target)
        self._nodes.keep(node)
        if name is None:
            self._orphans.add(node.ino)
        else:
            above.nlink += node.is_dir
            self._note(above, node.mtime_ns)
        return node

    def _note(self, directory: Node, now: int) -> None:
        """Note that names of a directory changed."""
        directory.mtime_ns = directory.ctime_ns = now
        directory.version += 1
        self._nodes.change(directory, SHOWN)

    def _mark(self, node: Node, now: int, kind: int = LIVE) -> None:
        node.ctime_ns = now
        self._nodes.change(node, kind)

    def link(self, ino: int, parent: int, name: bytes) -> Node:
        """Give an inode one more name. All its names carry a group, so that programs tell that they are one."""
        node = self._nodes.get(ino)
        if node.is_dir:
            fail(errno.EPERM)
        if not node.nlink and not node.linkable:
            fail(errno.ENOENT)
        above = self._free_place(parent, name)
        self._names.link(parent, name, ino)
        node.group = node.group or self._group_of(ino)
        node.nlink += 1
        node.linkable = False
        self._orphans.discard(ino)
        now = self._clock()
        self._mark(node, now, SHOWN)
        self._note(above, now)
        return node

    def _group_of(self, ino: int) -> int:
        seed = self._fs.pool.identity + ino.to_bytes(8, "little")
        return int.from_bytes(digest_of(seed)[:8], "little") or 1

    # removing

    def unlink(self, parent: int, name: bytes) -> None:
        above = self._place(parent, name)
        node = self._find(parent, name) or fail(errno.ENOENT)
        if node.is_dir:
            fail(errno.EISDIR)
        self._names.unlink(parent, name)
        now = self._clock()
        self._note(above, now)
        self._lose(node, now)

    def rmdir(self, parent: int, name: bytes) -> None:
        above = self._place(parent, name)
        if name == b".":
            fail(errno.EINVAL)
        if name == b"..":
            fail(errno.ENOTEMPTY)
        node = self._find(parent, name) or fail(errno.ENOENT)
        if not node.is_dir:
            fail(errno.ENOTDIR)
        self._require_empty(node)
        self._names.unlink(parent, name)
        now = self._clock()
        above.nlink -= 1
        self._note(above, now)
        self._lose(node, now)

    def _require_empty(self, node: Node) -> None:
        if node.nlink > 2 or self._names.row("SELECT 1 FROM entry WHERE parent=? LIMIT 1", (node.ino,)):
            fail(errno.ENOTEMPTY)

    def _lose(self, node: Node, now: int) -> None:
        """Note that an inode lost a name; without any it stays for those who use it."""
        node.nlink = 0 if node.is_dir else max(node.nlink - 1, 0)
        self._mark(node, now)
        if node.is_dir:
            self._fs.paths.forget()
        if not node.nlink:
            self._orphans.add(node.ino)
            self.collect(node.ino)

    def collect(self, ino: int) -> None:
        """Delete an inode that has no name, when nobody uses it."""
        if ino not in self._orphans or self.references.count(ino):
            return
        node = self._nodes.get(ino)
        if node.handles:
            return
        self._orphans.discard(ino)
        self._contents.discard(node)
        self._nodes.drop(node)

    def write_back(self) -> None:
        """Tell the namespace which inodes without a name are in use."""
        for ino in self._orphans:
            self._names.orphan(ino)

    def collect_all(self) -> None:
        """Delete every inode without a name: nobody is left who could use one."""
        for ino in list(self._orphans):
            node = self._nodes.get(ino)
            node.handles = 0
            self.references.drop(ino, self.references.count(ino))
            self.collect(ino)

    # moving

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        if flags not in (0, NOREPLACE, EXCHANGE):
            fail(errno.EINVAL)
        above, below = self._place(parent, name), self._place(new_parent, new_name)
        dots = (b".", b"..")
        if name in dots or new_name in dots:
            fail(errno.EBUSY)
        node = self._find(parent, name) or fail(errno.ENOENT)
        other = self._find(new_parent, new_name)
        if flags == NOREPLACE and other is not None:
            fail(errno.EEXIST)
        if flags == EXCHANGE:
            self._exchange((above, name, node), (below, new_name, other or fail(errno.ENOENT)))
            return
        self._refuse_inside(node, new_parent)
        if other is node:
            return
        if other is not None:
            self._prepare_to_replace(other, node)
        if other is not None:
            self._names.unlink(new_parent, new_name)
        self._names.move(parent, name, new_parent, new_name)
        now = self._clock()
        self._settle_move(above, below, node, now)
        if other is not None:
            below.nlink -= other.is_dir
            self._lose(other, now)

    def _prepare_to_replace(self, other: Node, node: Node) -> None:
        """Refuse what cannot take another's place, and settle what does: its bytes must not be lost in a crash."""
        if other.is_dir:
            if not node.is_dir:
                fail(errno.EISDIR)
            self._require_empty(other)
        elif node.is_dir:
            fail(errno.ENOTDIR)
        self._contents.settle(node)

    def _settle_move(self, above: Node, below: Node, node: Node, now: int) -> None:
        if node.is_dir:
            above.nlink -= 1
            below.nlink += 1
            self._fs.paths.forget()
        self._mark(node, now)
        self._note(above, now)
        self._note(below, now)

    def _exchange(self, one: tuple[Node, bytes, Node], two: tuple[Node, bytes, Node]) -> None:
        (above, name, node), (below, new_name, other) = one, two
        self._refuse_inside(node, below.ino)
        self._refuse_inside(other, above.ino)
        self._names.unlink(below.ino, new_name)
        self._names.move(above.ino, name, below.ino, new_name)
        self._names.link(above.ino, name, other.ino)
        now = self._clock()
        self._settle_move(above, below, node, now)
        self._settle_move(below, above, other, now)

    def _refuse_inside(self, node: Node, directory: int) -> None:
        """Refuse to move a directory into itself."""
        if not node.is_dir:
            return
        while directory != node.ino:
            if directory == ROOT_INO:
                return
            above = self.parent_of(directory)
            if above == directory:
                return
            directory = above
        fail(errno.EINVAL)

    def readlink(self, ino: int) -> bytes:
        row = self._names.row("SELECT mode, target FROM inode WHERE ino=?", (ino,))
        if row is None:
            fail(errno.ESTALE)
        return bytes(row[1]) if stat.S_ISLNK(row[0]) else fail(errno.EINVAL)


def is_opened_for_writing(flags: int) -> bool:
    """Tell whether open flags ask for writing."""
    return flags & os.O_ACCMODE != os.O_RDONLY
