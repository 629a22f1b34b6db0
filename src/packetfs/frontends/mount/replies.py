"""Put replies together: each is one buffer with its header, so that one write answers."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from packetfs.frontends.mount.layout import join
from packetfs.frontends.mount.operations import Attributes, Parts, Statfs
from packetfs.frontends.mount.protocol import (
    DIRENT,
    DIRENTPLUS,
    GETXATTR_OUT,
    OUT_HEADER,
    REPLY_ATTR,
    REPLY_CREATED,
    REPLY_ENTRY,
    REPLY_HEAD,
    REPLY_OPEN,
    REPLY_STATFS,
    REPLY_U64,
    REPLY_WRITE,
)
from packetfs.limits import MOUNT_BLOCK
from packetfs.typing import Final

_SECOND: Final = 1_000_000_000
_PARTS_MAX: Final = 1000
"""Buffers of one writev; the kernel takes 1,024 (IOV_MAX)."""
_SIZE: Final = join(OUT_HEADER, GETXATTR_OUT)
_DIRENT: Final = DIRENT.struct
_HEAD_SIZE: Final = REPLY_HEAD.size
_NAME_ALIGNMENT: Final = 8


class Replies:
    """Replies of one session: what the kernel may keep, and for how long, is its own."""

    def __init__(self, valid_seconds: int) -> None:
        self._valid = valid_seconds

    def entry(self, unique: int, found: Attributes) -> bytes:
        """A name was found or made."""
        valid = self._valid
        return REPLY_ENTRY.pack(REPLY_ENTRY.size, 0, unique, found.ino, 0, valid, valid, 0, 0, *attribute_fields(found))

    def missing(self, unique: int) -> bytes:
        """There is no such name, and the kernel may remember that."""
        return REPLY_ENTRY.pack(REPLY_ENTRY.size, 0, unique, 0, 0, self._valid, 0, 0, 0, *_NO_ATTRIBUTES)

    def attributes(self, unique: int, found: Attributes) -> bytes:
        """What stat asked for."""
        return REPLY_ATTR.pack(REPLY_ATTR.size, 0, unique, self._valid, 0, *attribute_fields(found))

    def created(self, unique: int, found: Attributes, handle: int, flags: int) -> bytes:
        """A file was made and opened."""
        valid, size = self._valid, REPLY_CREATED.size
        fields = attribute_fields(found)
        return REPLY_CREATED.pack(size, 0, unique, found.ino, 0, valid, valid, 0, 0, *fields, handle, flags)

    def plus_entry(self, cookie: int, name: bytes, found: Attributes, known: bool) -> bytes:
        """One entry of a directory with its attributes; `known` says that the kernel now holds a reference to it."""
        node, valid = (found.ino, self._valid) if known else (0, 0)
        start = DIRENTPLUS.pack(
            node, 0, valid, valid, 0, 0, *attribute_fields(found), found.ino, cookie, len(name), found.mode >> 12 & 15
        )
        return start + name + bytes(-len(name) % _NAME_ALIGNMENT)


def attribute_fields(found: Attributes) -> tuple[int, ...]:
    """Return the fields of struct fuse_attr."""
    accessed, accessed_part = divmod(found.atime_ns, _SECOND)
    modified, modified_part = divmod(found.mtime_ns, _SECOND)
    changed, changed_part = divmod(found.ctime_ns, _SECOND)
    return (
        found.ino,
        found.size,
        found.blocks,
        accessed,
        modified,
        changed,
        accessed_part,
        modified_part,
        changed_part,
        found.mode,
        found.nlink,
        found.uid,
        found.gid,
        found.rdev & 0xFFFFFFFF,
        MOUNT_BLOCK,
        0,
    )


_NO_ATTRIBUTES: Final = (0,) * 16


def plain_entry(cookie: int, name: bytes, found: Attributes) -> bytes:
    """One entry of a directory."""
    start = _DIRENT.pack(found.ino, cookie, len(name), found.mode >> 12 & 15)
    return start + name + bytes(-len(name) % _NAME_ALIGNMENT)


def done(unique: int) -> bytes:
    """It is done, and there is nothing to tell."""
    return REPLY_HEAD.pack(_HEAD_SIZE, 0, unique)


def failed(unique: int, code: int) -> bytes:
    """It failed with an errno."""
    return REPLY_HEAD.pack(_HEAD_SIZE, -code, unique)


def data(unique: int, content: bytes | bytearray) -> bytes:
    """Bytes of a few kilobytes."""
    return REPLY_HEAD.pack(_HEAD_SIZE + len(content), 0, unique) + content


def parts(unique: int, content: Parts) -> Parts:
    """Bytes where they lie: nothing is joined, unless there are more parts than the kernel takes at once."""
    if len(content) > _PARTS_MAX:
        content = [*content[: _PARTS_MAX - 1], b"".join(content[_PARTS_MAX - 1 :])]
    size = sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in content)
    return [REPLY_HEAD.pack(_HEAD_SIZE + size, 0, unique), *content]


def opened(unique: int, handle: int, flags: int) -> bytes:
    """A file or directory is open."""
    return REPLY_OPEN.pack(REPLY_OPEN.size, 0, unique, handle, flags)


def written(unique: int, size: int) -> bytes:
    """So much was written, or copied."""
    return REPLY_WRITE.pack(REPLY_WRITE.size, 0, unique, size)


def number(unique: int, value: int) -> bytes:
    """A position, or a count in 64 bits."""
    return REPLY_U64.pack(REPLY_U64.size, 0, unique, value)


def space(unique: int, found: Statfs) -> bytes:
    """What statvfs shows."""
    counts = (found.blocks, found.bfree, found.bavail, found.files, found.ffree)
    return REPLY_STATFS.pack(REPLY_STATFS.size, 0, unique, *counts, found.bsize, found.namelen, found.frsize)


def attribute_value(unique: int, value: bytes, size: int) -> bytes:
    """An extended attribute or the list of them; a caller with no room asks how much it needs."""
    if not size:
        return _SIZE.pack(_SIZE.size, 0, unique, len(value))
    return data(unique, value) if len(value) <= size else failed(unique, errno.ERANGE)


def gather(entries: Iterable[bytes], size: int) -> bytearray:
    """Join entries of a directory as long as they fit."""
    out = bytearray()
    for entry in entries:
        if len(out) + len(entry) > size:
            break
        out += entry
    return out
