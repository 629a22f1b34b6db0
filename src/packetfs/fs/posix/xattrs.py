"""Extended attributes: read from the namespace when asked for, as few inodes have any."""

from __future__ import annotations

import errno

from packetfs.fs.namespace import Namespace, pack_xattrs, unpack_xattrs
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.nodes import SHOWN, Node, Nodes
from packetfs.limits import ENTRY_TAIL_MAX, XATTR_VALUE_MAX

CREATE, REPLACE = 1, 2
_NAME_MAX = 255
_COUNT_MAX = (1 << 16) - 1
_TAIL_REST = 8192
"""Bytes of an entry's tail that are left for its name, target and numbers."""


class Xattrs:
    """The attributes of inodes, by name."""

    def __init__(self, names: Namespace, nodes: Nodes) -> None:
        self._names = names
        self._nodes = nodes

    def all(self, node: Node) -> dict[bytes, bytes]:
        """Return every attribute of an inode."""
        if not node.has_xattrs:
            return {}
        row = self._names.row("SELECT xattrs FROM inode WHERE ino=?", (node.ino,))
        return dict(unpack_xattrs(row[0])) if row and row[0] else {}

    def get(self, node: Node, name: bytes) -> bytes:
        value = self.all(node).get(name)
        return fail(errno.ENODATA) if value is None else value

    def set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        if not name or len(name) > _NAME_MAX:
            fail(errno.ERANGE)
        if len(value) > XATTR_VALUE_MAX:
            fail(errno.E2BIG)
        if flags & ~(CREATE | REPLACE):
            fail(errno.EINVAL)
        held = self.all(node)
        if flags & CREATE and name in held:
            fail(errno.EEXIST)
        if flags & REPLACE and name not in held:
            fail(errno.ENODATA)
        held[name] = value
        self._store(node, held)

    def remove(self, node: Node, name: bytes) -> None:
        held = self.all(node)
        if held.pop(name, None) is None:
            fail(errno.ENODATA)
        self._store(node, held)

    def _store(self, node: Node, held: dict[bytes, bytes]) -> None:
        packed = pack_xattrs(tuple(held.items())) if held else None
        if packed and (len(packed) + _TAIL_REST > ENTRY_TAIL_MAX or len(held) > _COUNT_MAX):
            fail(errno.ENOSPC)
        self._names.write("UPDATE inode SET xattrs=? WHERE ino=?", (packed, node.ino))
        node.has_xattrs = packed is not None
        self._nodes.change(node, SHOWN)
