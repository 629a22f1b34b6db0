"""Inodes in memory: the ones used last, and all that are open or changed. The namespace learns of changes in groups.

What is in programs of directories (owner, mode, size, mtime, xattrs) makes all directories above dirty when it is
written back; access and change times do not.
"""

from __future__ import annotations

import errno
import stat
from operator import attrgetter

from packetfs.fs.namespace import Namespace
from packetfs.fs.posix.attributes import BLOCK, DIRECTORY_SIZE, Attributes
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.overlay import Overlay
from packetfs.fs.posix.programs import Programs
from packetfs.fs.posix.stream import Stream
from packetfs.limits import NAMES_PAGE, POSIX_NODES
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.typing import Any, Final, TypeAlias

LIVE, SHOWN = 1, 2
"""How a node differs from its row: in what only the live filesystem has, or in what programs have too."""
_WRAP: Final = 1 << 64
_SIGN: Final = 1 << 63
_TYPE: Final = 12
_DIRECTORY: Final = stat.S_IFDIR >> _TYPE
_FIELDS: Final = (
    "i.ino, i.mode, i.uid, i.gid, i.rdev, i.grp, i.size, i.root, i.mtime_ns, i.sparse, i.xattrs IS NOT NULL"
)
_TIMES: Final = {True: "i.atime_ns, i.ctime_ns, i.holes", False: "0, 0, -1"}
_INSERT: Final = (
    "INSERT INTO inode(ino, mode, uid, gid, mtime_ns, size, rdev, grp, sparse, dirty, root, target, atime_ns, ctime_ns,"
    " holes) VALUES(?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, 0)"
)
_UPDATE: Final = (
    "UPDATE inode SET mode=?, uid=?, gid=?, mtime_ns=?, grp=?, atime_ns=?, ctime_ns=?, seen=NULL WHERE ino=?"
)
_UPDATE_FILE: Final = (
    "UPDATE inode SET mode=?, uid=?, gid=?, mtime_ns=?, grp=?, atime_ns=?, ctime_ns=?, seen=NULL, size=?, root=?,"
    " sparse=?, holes=? WHERE ino=?"
)
_UPDATE_LIVE: Final = "UPDATE inode SET atime_ns=?, ctime_ns=?, holes=? WHERE ino=?"
_DIRECTORIES: Final = (
    "SELECT count(*) FROM entry e CROSS JOIN inode i ON i.ino = e.ino WHERE e.parent=? AND i.mode >> 12 = 4"
)
Content: TypeAlias = Stream | Overlay


class Node:
    """One inode. `size`, `root` and `holes` are those of its settled content; `content` is what is not yet settled.
    `version` counts the names that came to a directory or went. `linkable`: a file without a name may be given one."""

    __slots__ = (
        "atime_ns",
        "changed",
        "content",
        "ctime_ns",
        "gid",
        "group",
        "handles",
        "has_xattrs",
        "holes",
        "ino",
        "linkable",
        "mode",
        "mtime_ns",
        "nlink",
        "rdev",
        "root",
        "size",
        "uid",
        "version",
    )

    def __init__(self, ino: int, mode: int, uid: int, gid: int, rdev: int) -> None:
        self.ino = ino
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.rdev = rdev
        self.nlink = 1
        self.group = 0
        self.size = 0
        self.holes = 0
        self.root: Digest = NO_DIGEST
        self.atime_ns = self.mtime_ns = self.ctime_ns = 0
        self.has_xattrs = False
        self.handles = 0
        self.changed = 0
        self.linkable = False
        self.version = 0
        self.content: Content | None = None

    @property
    def is_dir(self) -> bool:
        return self.mode >> _TYPE == _DIRECTORY

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def length(self) -> int:
        """Bytes of the file as it is now."""
        return self.size if self.content is None else self.content.size


class Nodes:
    """The table of inodes in use, over the namespace."""

    def __init__(self, names: Namespace, programs: Programs) -> None:
        self._names = names
        self._programs = programs
        self._nodes: dict[int, Node] = {}
        self._changed: dict[int, Node] = {}
        self._limit = POSIX_NODES
        fields = f"{_FIELDS}, {_TIMES[names.version > 1]}"
        joined = f"SELECT {fields}, e.name FROM entry e CROSS JOIN inode i ON i.ino = e.ino"  # noqa: S608
        self._by_name = f"{joined} WHERE e.parent=? AND e.name=?"
        self._by_page = f"{joined} WHERE e.parent=? AND e.name>? ORDER BY e.name LIMIT {NAMES_PAGE}"
        self._by_number = f"SELECT {fields} FROM inode i WHERE i.ino=?"  # noqa: S608
        self._next = int(names.row("SELECT max(ino) FROM inode")[0]) + 1

    # finding

    def get(self, ino: int) -> Node:
        """Return an inode by its number; ESTALE where there is none."""
        node = self._nodes.get(ino)
        if node is not None:
            return node
        row = self._names.row(self._by_number, (ino,))
        return fail(errno.ESTALE) if row is None else self._make(row)

    def directory(self, ino: int) -> Node:
        """Return a directory by its number; ENOTDIR for anything else."""
        node = self.get(ino)
        return node if node.is_dir else fail(errno.ENOTDIR)

    def child(self, parent: int, name: bytes) -> Node | None:
        """Return what a name stands for."""
        row = self._names.row(self._by_name, (parent, name))
        if row is None:
            return None
        return self._nodes.get(row[0]) or self._make(row)

    def page(self, parent: int, after: bytes) -> list[tuple[bytes, int]]:
        """Return the next names of a directory and their inode numbers."""
        page = []
        for row in self._names.rows(self._by_page, (parent, after)):
            if row[0] not in self._nodes:
                self._make(row)
            page.append((row[-1], row[0]))
        return page

    def _make(self, row: Any) -> Node:
        node = Node(row[0], row[1], row[2], row[3], row[4] % _WRAP)
        node.group, node.size, node.root, node.mtime_ns = row[5] % _WRAP, row[6], row[7], row[8]
        node.has_xattrs = row[10] != 0
        node.atime_ns = row[11] or row[8]
        node.ctime_ns = row[12] or row[8]
        node.holes = row[13] if row[9] or row[13] >= 0 else 0
        if node.is_dir:
            node.nlink = 2 + int(self._names.row(_DIRECTORIES, (node.ino,))[0])
        elif node.group:
            node.nlink = int(self._names.row("SELECT count(*) FROM entry WHERE ino=?", (node.ino,))[0])
        return self.keep(node)

    def keep(self, node: Node) -> Node:
        """Have a node in the table, for which another one may go."""
        if len(self._nodes) >= self._limit:
            self._evict()
        self._nodes[node.ino] = node
        return node

    def _evict(self) -> None:
        """Drop the older half of what is neither open nor changed, directories last: to count in one takes long."""
        idle = [node for node in self._nodes.values() if not (node.handles or node.changed or node.content)]
        idle = [node for node in idle if node.nlink]
        idle.sort(key=attrgetter("is_dir"))
        for node in idle[: max(len(idle) // 2, 1)]:
            del self._nodes[node.ino]
        self._limit = max(POSIX_NODES, len(self._nodes) * 5 // 4)  # what must stay is not looked at each time

    def attributes(self, node: Node) -> Attributes:
        """Return what stat says of an inode."""
        if node.is_file:
            size, blocks = node.length, -(-self._allocated(node) // BLOCK)
        elif node.is_dir:
            size, blocks = DIRECTORY_SIZE, DIRECTORY_SIZE // BLOCK
        else:
            size, blocks = node.size, 0
        return Attributes(
            node.ino,
            node.mode,
            node.nlink,
            node.uid,
            node.gid,
            node.rdev,
            size,
            blocks,
            node.atime_ns,
            node.mtime_ns,
            node.ctime_ns,
        )

    def _allocated(self, node: Node) -> int:
        if node.content is not None:
            return node.content.allocated
        return node.size - self.holes(node)

    def holes(self, node: Node) -> int:
        """Return how many bytes of a file's settled content are in holes; counted once where nobody has."""
        if node.holes < 0:
            node.holes = self._programs.holes(node.root, node.size) if node.size else 0
        return node.holes

    # changing

    def add(self, parent: int, name: bytes | None, node: Node, target: bytes = b"") -> None:
        """Make a row for an inode, and its first name."""
        times = node.atime_ns, node.ctime_ns
        owner = node.ino, node.mode, node.uid, node.gid, node.mtime_ns
        rdev = node.rdev - _WRAP if node.rdev >= _SIGN else node.rdev
        self._names.write(_INSERT, (*owner, node.size, rdev, node.is_dir, node.root, target, *times))
        if name is not None:
            self._names.link(parent, name, node.ino)

    def number(self) -> int:
        """Return an inode number that was never used since this began: the kernel may still know one that went."""
        number = self._next
        self._next += 1
        return number

    def with_root(self, root: Digest) -> list[Node]:
        """Return the inodes in memory that have this program and no other content."""
        return [node for node in self._nodes.values() if node.root == root and node.content is None]

    def change(self, node: Node, kind: int = SHOWN) -> None:
        """Note that a node differs from its row."""
        node.changed |= kind
        self._changed[node.ino] = node

    def drop(self, node: Node) -> None:
        """Delete an inode that nobody uses and nothing names."""
        self._changed.pop(node.ino, None)
        self._nodes.pop(node.ino, None)
        self._names.erase(node.ino)

    @property
    def is_changed(self) -> bool:
        """Whether a node differs from its row."""
        return bool(self._changed)

    def forget(self) -> None:
        """Drop what is in memory, after the namespace forgot changes."""
        self._changed.clear()
        self._nodes.clear()

    def write_back(self) -> None:
        """Tell the namespace what changed."""
        for node in list(self._changed.values()):
            self._write(node)
            node.changed = 0
            del self._changed[node.ino]

    def _write(self, node: Node) -> None:
        names = self._names
        if not node.changed & SHOWN:
            names.write(_UPDATE_LIVE, (node.atime_ns, node.ctime_ns, node.holes, node.ino))
            return
        group = node.group - _WRAP if node.group >= _SIGN else node.group
        shown = node.mode, node.uid, node.gid, node.mtime_ns, group, node.atime_ns, node.ctime_ns
        if node.is_file:
            names.write(_UPDATE_FILE, (*shown, node.size, node.root, node.holes > 0, node.holes, node.ino))
        else:
            names.write(_UPDATE, (*shown, node.ino))
        for parent, name in names.names(node.ino):
            names.touch(parent, name)
