"""What is done with open files and with attributes: the rules of POSIX around bytes that `contents` keeps."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from packetfs.fs.posix.attributes import NOW, Changes, Statfs
from packetfs.fs.posix.contents import SIZE_MAX, Contents
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.handles import FileHandle, Handles
from packetfs.fs.posix.nodes import LIVE, SHOWN, Node, Nodes
from packetfs.fs.posix.programs import Later
from packetfs.fs.posix.room import Room
from packetfs.packet.entry import nearest_time
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.typing import Final

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10
_COPY_STEP: Final = 1 << 20
_FILES: Final = 1 << 32
"""Files that there may be: nothing but the disk bounds them."""


class Files:
    """Reading, writing and changing files, by handle where there is one."""

    def __init__(
        self, pool: Pool, nodes: Nodes, contents: Contents, handles: Handles, clock: Callable[[], int], room: Room
    ) -> None:
        self._pool = pool
        self._nodes = nodes
        self._contents = contents
        self._handles = handles
        self._clock = clock
        self._room = room

    def readable(self, handle: int) -> FileHandle:
        opened = self._handles.file(handle)
        return opened if opened.readable else fail(errno.EBADF)

    def writable(self, handle: int) -> FileHandle:
        opened = self._handles.file(handle)
        return opened if opened.writable else fail(errno.EBADF)

    # attributes

    def set_attributes(self, node: Node, changes: Changes) -> None:
        """Change attributes, and the change time with any of them."""
        now = self._clock()
        if changes.size is not None:
            self._resize(node, changes.size)
            node.mtime_ns = now
        if changes.mode is not None:
            node.mode = stat.S_IFMT(node.mode) | (changes.mode & 0o7777)
        if changes.uid is not None or changes.gid is not None:
            _give(node, changes.uid, changes.gid)
        if changes.atime_ns is not None:
            node.atime_ns = _chosen(changes.atime_ns, now)
        if changes.mtime_ns is not None:
            node.mtime_ns = _chosen(changes.mtime_ns, now)
        node.ctime_ns = now if changes.ctime_ns is None else _chosen(changes.ctime_ns, now)
        only_live = changes[:4] == (None,) * 4 and changes.mtime_ns is None
        self._nodes.change(node, LIVE if only_live else SHOWN)

    def _resize(self, node: Node, size: int) -> None:
        if not node.is_file:
            fail(errno.EISDIR if node.is_dir else errno.EINVAL)
        self._contents.truncate(node, size)

    def _written(self, node: Node) -> None:
        node.mtime_ns = node.ctime_ns = self._clock()
        self._nodes.change(node)

    # bytes

    def read(self, handle: int, offset: int, size: int) -> list[Buffer] | Later:
        return self._contents.find(self.readable(handle).node, offset, size)

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        opened = self.writable(handle)
        node = opened.node
        if data:
            self._room.take(len(data))
            self._contents.write(node, node.length if opened.append else offset, data)
            self._written(node)
        return len(data)

    def allocate(self, handle: int, mode: int, offset: int, length: int) -> None:
        """Do what fallocate does; room is made as a hole, so there must only be enough of it now."""
        node = self.writable(handle).node
        kind, end = mode & ~KEEP_SIZE, offset + length
        if offset < 0 or length <= 0:
            fail(errno.EINVAL)
        if kind not in (0, PUNCH_HOLE, ZERO_RANGE) or (kind == PUNCH_HOLE and not mode & KEEP_SIZE):
            fail(errno.EOPNOTSUPP)
        if end > SIZE_MAX:
            fail(errno.EFBIG)
        if kind:
            self._contents.clear(node, offset, end)
        else:
            self._require_room(length)
        if not mode & KEEP_SIZE and end > node.length:
            self._contents.truncate(node, end)
        self._written(node)

    def _require_room(self, length: int) -> None:
        space = self.space()
        if length > space.bavail * space.frsize:
            fail(errno.ENOSPC)

    def seek(self, handle: int, offset: int, whence: int) -> int:
        node = self._handles.file(handle).node
        if whence not in (os.SEEK_DATA, os.SEEK_HOLE):
            fail(errno.EINVAL)
        return self._contents.seek(node, offset, whence)

    def copy(self, handle: int, offset: int, to: int, to_offset: int, length: int) -> int:
        """Copy within the filesystem and return how many bytes there were."""
        node, target = self.readable(handle).node, self.writable(to)
        other = target.node
        if target.append:
            fail(errno.EBADF)
        length = max(min(length, node.length - offset), 0)
        if node is other and offset < to_offset + length and to_offset < offset + length:
            fail(errno.EINVAL)
        if not length:
            return 0
        if node is not other and not offset and not to_offset and length == node.length >= other.length:
            self._contents.replace(other, node)
        else:
            self._copy(node, offset, other, to_offset, length)
        self._written(other)
        return length

    def _copy(self, node: Node, offset: int, other: Node, to_offset: int, length: int) -> None:
        done = 0
        while done < length:
            parts = self._contents.read(node, offset + done, min(_COPY_STEP, length - done))
            data = memoryview(b"".join(parts))
            self._contents.write(other, to_offset + done, data)
            done += len(data)

    def space(self) -> Statfs:
        """Return how full the disk is that the pool lies on."""
        found = os.statvfs(self._pool.path)
        free = min(found.f_bavail, found.f_bfree)
        return Statfs(found.f_bsize, found.f_frsize, found.f_blocks, found.f_bfree, free, _FILES, _FILES - 1)


def _chosen(time_ns: int, now: int) -> int:
    return now if time_ns == NOW else nearest_time(time_ns)


def _give(node: Node, uid: int | None, gid: int | None) -> None:
    """Change the owner; a file no longer runs with the rights of the old one."""
    node.uid = node.uid if uid is None else uid
    node.gid = node.gid if gid is None else gid
    if node.is_dir:
        return
    node.mode &= ~stat.S_ISUID
    if node.mode & stat.S_IXGRP:
        node.mode &= ~stat.S_ISGID
