"""What callers hand in and get back: attributes, changes of them, who asks, how full it is."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Final, NamedTuple

NOW: Final = 1 << 100
"""As a time: that of the clock. No second of 64 bits is so late."""
BLOCK: Final = 512
"""Bytes of a block as `blocks` counts them."""
DIRECTORY_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stat says of an inode. `blocks` are of 512 bytes, and holes take none."""

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    blocks: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int


class Caller(NamedTuple):
    """Who makes something: its owner, and the permissions that it shall not have."""

    uid: int
    gid: int
    umask: int = 0


class Changes(NamedTuple):
    """Attributes to set; None leaves one as it is."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None


class Statfs(NamedTuple):
    """How full it is, as statvfs has it: blocks are of `frsize` bytes."""

    bsize: int
    frsize: int
    blocks: int
    bfree: int
    bavail: int
    files: int
    ffree: int
    namelen: int = 255
