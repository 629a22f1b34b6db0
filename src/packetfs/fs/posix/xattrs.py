"""Extended attributes: read from the namespace when asked for, as few inodes have any."""

from __future__ import annotations

import errno
import stat
from contextlib import suppress

from packetfs.fs.namespace import Namespace, pack_xattrs, unpack_xattrs
from packetfs.fs.posix import acl
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.nodes import SHOWN, Node, Nodes
from packetfs.limits import ENTRY_TAIL_MAX, XATTR_VALUE_MAX

CREATE, REPLACE = 1, 2
_CAPABILITY = b"security.capability"
_SHOWN_BITS = 0o777
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
        """Set an attribute; an access control list changes the mode, and is kept where it says more than a mode can."""
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
        if name in acl.NAMES:
            self._check_acl(node, name, held)
        self._store(node, held)

    def _check_acl(self, node: Node, name: bytes, held: dict[bytes, bytes]) -> None:
        if stat.S_ISLNK(node.mode):
            fail(errno.EOPNOTSUPP)
        if name == acl.DEFAULT and not node.is_dir:
            fail(errno.EACCES)
        try:
            rules = acl.unpack(held[name])
        except ValueError:
            fail(errno.EINVAL)
        if name == acl.ACCESS:
            node.mode = node.mode & ~_SHOWN_BITS | acl.mode_of(rules)
            if acl.is_mode(rules):
                del held[name]

    def follow_mode(self, node: Node) -> None:
        """Bring an inode's access control list in line with its mode, after a chmod."""
        held = self.all(node)
        if acl.ACCESS in held:
            with suppress(ValueError):  # one that came with a sync and is none: the mode alone counts
                held[acl.ACCESS] = acl.pack(acl.with_mode(acl.unpack(held[acl.ACCESS]), node.mode))
                self._store(node, held)

    def default_of(self, directory: Node) -> list[acl.Rule]:
        """Return the list that what is made in a directory inherits; empty where there is none."""
        with suppress(ValueError):
            if found := self.all(directory).get(acl.DEFAULT):
                return acl.unpack(found)
        return []

    def inherit(self, node: Node, default: list[acl.Rule], mode: int) -> None:
        """Give a new inode what it has of its directory's default list; `mode` is the one it was made with."""
        held = {acl.DEFAULT: acl.pack(default)} if node.is_dir else {}
        rules = acl.inherited(default, mode)
        if not acl.is_mode(rules):
            held[acl.ACCESS] = acl.pack(rules)
        if held:
            self._store(node, held)

    def remove(self, node: Node, name: bytes) -> None:
        held = self.all(node)
        if held.pop(name, None) is None:
            fail(errno.ENODATA)
        self._store(node, held)

    def lose_capability(self, node: Node) -> None:
        """Take away what a file may do when it is run, as its bytes are no longer those that were trusted."""
        if node.has_xattrs:
            held = self.all(node)
            if held.pop(_CAPABILITY, None) is not None:
                self._store(node, held)

    def _store(self, node: Node, held: dict[bytes, bytes]) -> None:
        packed = pack_xattrs(tuple(held.items())) if held else None
        if packed and (len(packed) + _TAIL_REST > ENTRY_TAIL_MAX or len(held) > _COUNT_MAX):
            fail(errno.ENOSPC)
        self._names.write("UPDATE inode SET xattrs=? WHERE ino=?", (packed, node.ino))
        node.has_xattrs = packed is not None
        self._nodes.change(node, SHOWN)
