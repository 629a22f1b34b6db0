"""What a server tells the kernel unasked: that something it keeps is no longer so."""

from __future__ import annotations

from packetfs.frontends.mount.layout import join
from packetfs.frontends.mount.protocol import (
    INVAL_ENTRY_OUT,
    INVAL_INODE_OUT,
    NOTIFY_INVAL_ENTRY,
    NOTIFY_INVAL_INODE,
    OUT_HEADER,
)
from packetfs.typing import Final

_INODE: Final = join(OUT_HEADER, INVAL_INODE_OUT)
_ENTRY: Final = join(OUT_HEADER, INVAL_ENTRY_OUT)


def inval_inode(ino: int, offset: int = 0, length: int = 0) -> bytes:
    """Attributes and the pages of a range are stale; length 0 is to the end, offset -1 none."""
    return _INODE.pack(_INODE.size, NOTIFY_INVAL_INODE, 0, ino, offset, length)


def inval_entry(parent: int, name: bytes) -> bytes:
    """A name is stale."""
    size = _ENTRY.size + len(name) + 1
    return _ENTRY.pack(size, NOTIFY_INVAL_ENTRY, 0, parent, len(name), 0) + name + b"\0"
