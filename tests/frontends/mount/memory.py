"""A small filesystem in memory with the interface of the operations core: the peer of the tests of the mount alone."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

from packetfs.frontends.mount.operations import Parts, Statfs
from packetfs.fs.posix.attributes import NOW, Caller, Changes
from packetfs.packet.layout import Buffer

NOREPLACE, EXCHANGE = 1, 2
KEEP_SIZE, PUNCH = 1, 2


@dataclass
class Node:
    ino: int
    mode: int
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    nlink: int = 1
    atime_ns: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    data: bytearray = field(default_factory=bytearray)
    names: dict[bytes, int] = field(default_factory=dict)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    parent: int = 1
    known: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def blocks(self) -> int:
        return -(-len(self.data) // 512)


class MemoryOperations:
    """POSIX as far as the tests of the wire need it."""

    def __init__(self) -> None:
        self.nodes = {1: Node(1, stat.S_IFDIR | 0o755, nlink=2)}
        self.handles: dict[int, int] = {}
        self.last = 1
        self.calls: list[str] = []
        self.slow: Callable[[], Parts] | None = None
        self.closed = False
        self.idles = 0

    def node(self, ino: int) -> Node:
        try:
            return self.nodes[ino]
        except KeyError:
            raise OSError(errno.ESTALE, "stale") from None

    def find(self, parent: int, name: bytes) -> Node:
        names = self.node(parent).names
        if name not in names:
            raise OSError(errno.ENOENT, "missing")
        return self.nodes[names[name]]

    def lookup(self, parent: int, name: bytes) -> Node:
        node = self.find(parent, name)
        node.known += 1
        return node

    def reference(self, ino: int) -> None:
        self.node(ino).known += 1

    def forget(self, ino: int, count: int) -> None:
        self.nodes[ino].known -= count
        assert self.nodes[ino].known >= 0 or ino == 1
        self._collect(ino)

    def _collect(self, ino: int) -> None:
        node = self.nodes[ino]
        if node.nlink == 0 and node.known <= 0 and ino not in self.handles.values():
            del self.nodes[ino]

    def getattr(self, ino: int) -> Node:
        return self.node(ino)

    def setattr(self, ino: int, changes: Changes, handle: int | None = None) -> Node:  # noqa: ARG002
        node, now = self.node(ino), time.time_ns()
        if changes.mode is not None:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(changes.mode)
        node.uid = node.uid if changes.uid is None else changes.uid
        node.gid = node.gid if changes.gid is None else changes.gid
        if changes.size is not None:
            if changes.size > 1 << 28:
                raise OSError(errno.EFBIG, "too big")
            del node.data[changes.size :]
            node.data.extend(bytes(changes.size - len(node.data)))
            node.mtime_ns = now
        for name in ("atime_ns", "mtime_ns", "ctime_ns"):
            value = getattr(changes, name)
            if value is not None:
                setattr(node, name, now if value == NOW else value)
        node.ctime_ns = now
        return node

    def readlink(self, ino: int) -> bytes:
        return bytes(self.node(ino).data)

    def _make(self, parent: int, name: bytes, mode: int, caller: Caller, rdev: int = 0) -> Node:
        if len(name) > 255:
            raise OSError(errno.ENAMETOOLONG, "long")
        above = self.node(parent)
        if name in above.names:
            raise OSError(errno.EEXIST, "there")
        node = self._new(mode, caller, rdev)
        node.parent = parent
        above.names[name] = node.ino
        above.mtime_ns = above.ctime_ns = node.ctime_ns
        if stat.S_ISDIR(mode):
            node.nlink = 2
            above.nlink += 1
        node.known += 1
        return node

    def _new(self, mode: int, caller: Caller, rdev: int = 0) -> Node:
        self.last += 1
        now = time.time_ns()
        node = Node(self.last, mode, caller.uid, caller.gid, rdev, 1, now, now, now)
        self.nodes[node.ino] = node
        return node

    def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Node:
        return self._make(parent, name, mode, caller, rdev)

    def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Node:
        return self._make(parent, name, stat.S_IFDIR | mode, caller)

    def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Node:
        node = self._make(parent, name, stat.S_IFLNK | 0o777, caller)
        node.data[:] = target
        return node

    def link(self, ino: int, parent: int, name: bytes) -> Node:
        above, node = self.node(parent), self.node(ino)
        if name in above.names:
            raise OSError(errno.EEXIST, "there")
        above.names[name] = ino
        node.nlink += 1
        node.known += 1
        return node

    def unlink(self, parent: int, name: bytes) -> None:
        node = self.find(parent, name)
        del self.node(parent).names[name]
        node.nlink -= 1
        self._collect(node.ino)

    def rmdir(self, parent: int, name: bytes) -> None:
        node = self.find(parent, name)
        if node.names:
            raise OSError(errno.ENOTEMPTY, "not empty")
        del self.node(parent).names[name]
        self.node(parent).nlink -= 1
        node.nlink = 0
        self._collect(node.ino)

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        node, there = self.find(parent, name), self.node(new_parent).names.get(new_name)
        if flags & ~(NOREPLACE | EXCHANGE):
            raise OSError(errno.EINVAL, "flags")
        if flags & EXCHANGE:
            if there is None:
                raise OSError(errno.ENOENT, "missing")
            self.node(parent).names[name] = there
            self.node(new_parent).names[new_name] = node.ino
            return
        if there is not None:
            if flags & NOREPLACE:
                raise OSError(errno.EEXIST, "there")
            if stat.S_ISDIR(self.nodes[there].mode):
                self.rmdir(new_parent, new_name)
            else:
                self.unlink(new_parent, new_name)
        del self.node(parent).names[name]
        self.node(new_parent).names[new_name] = node.ino
        if stat.S_ISDIR(node.mode):
            self.node(parent).nlink -= 1
            self.node(new_parent).nlink += 1
        node.parent = new_parent

    def opendir(self, ino: int) -> int:
        return self.open(ino, 0)

    def readdir(self, handle: int, cookie: int) -> Iterator[tuple[int, bytes, Node]]:
        node = self.nodes[self.handles[handle]]
        listed = [(1, b".", node), (2, b"..", self.nodes[node.parent])]
        listed += [(ino + 2, name, self.nodes[ino]) for name, ino in sorted(node.names.items(), key=lambda one: one[1])]
        return (entry for entry in listed if entry[0] > cookie)

    def releasedir(self, handle: int) -> None:
        self.release(handle)

    def making(self, ino: int) -> None:
        """Every file is made already."""

    def open(self, ino: int, flags: int) -> int:
        node = self.node(ino)
        if flags & os.O_TRUNC:
            self.setattr(ino, Changes(size=0))
        handle = max(self.handles, default=0) + 1
        self.handles[handle] = node.ino
        return handle

    def create(self, parent: int, name: bytes, mode: int, flags: int, caller: Caller) -> tuple[Node, int]:
        node = self._make(parent, name, mode, caller)
        return node, self.open(node.ino, flags)

    def tmpfile(self, parent: int, mode: int, flags: int, caller: Caller) -> tuple[Node, int]:
        self.node(parent)
        node = self._new(mode, caller)
        node.nlink, node.known = 0, 1
        return node, self.open(node.ino, flags)

    def release(self, handle: int) -> None:
        self._collect(self.handles.pop(handle))

    def flush(self, handle: int) -> None:  # noqa: ARG002
        self.calls.append("flush")

    def read(self, handle: int, offset: int, size: int) -> Parts | Callable[[], Parts]:
        node = self.nodes[self.handles[handle]]
        if self.slow is not None and b"slow" in node.xattrs.get(b"user.kind", b""):
            return self.slow
        half = size // 2
        return [bytes(node.data[offset : offset + half]), bytes(node.data[offset + half : offset + size])]

    def write(self, handle: int, offset: int, data: Buffer) -> int:
        node = self.nodes[self.handles[handle]]
        if offset + len(data) > 1 << 28:
            raise OSError(errno.EFBIG, "too big")
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data
        node.mtime_ns = node.ctime_ns = time.time_ns()
        return len(data)

    def fallocate(self, handle: int, mode: int, offset: int, length: int) -> None:
        node = self.nodes[self.handles[handle]]
        end = offset + length
        if mode & PUNCH:
            end = min(end, len(node.data))
            node.data[offset:end] = bytes(max(0, end - offset))
        elif mode & KEEP_SIZE == 0 and end > len(node.data):
            node.data.extend(bytes(end - len(node.data)))

    def lseek(self, handle: int, offset: int, whence: int) -> int:
        node = self.nodes[self.handles[handle]]
        if offset >= len(node.data):
            raise OSError(errno.ENXIO, "behind the end")
        if whence == os.SEEK_HOLE:
            found = node.data.find(bytes(4096), offset)
            return len(node.data) if found < 0 else found
        while offset < len(node.data) and not node.data[offset]:
            offset += 1
        if offset == len(node.data):
            raise OSError(errno.ENXIO, "no data")
        return offset

    def copy_file_range(self, handle: int, offset: int, to: int, to_offset: int, length: int) -> int:
        self.calls.append("copy_file_range")
        return self.write(to, to_offset, bytes(self.nodes[self.handles[handle]].data[offset : offset + length]))

    def fsync(self, handle: int, datasync: bool) -> None:  # noqa: ARG002
        self.calls.append("fdatasync" if datasync else "fsync")

    def fsyncdir(self, handle: int, datasync: bool) -> None:  # noqa: ARG002
        self.calls.append("fsyncdir")

    def syncfs(self) -> None:
        self.calls.append("syncfs")

    def getxattr(self, ino: int, name: bytes) -> bytes:
        try:
            return self.node(ino).xattrs[name]
        except KeyError:
            raise OSError(errno.ENODATA, "none") from None

    def setxattr(self, ino: int, name: bytes, value: bytes, flags: int) -> None:  # noqa: ARG002
        self.node(ino).xattrs[name] = value

    def listxattr(self, ino: int) -> list[bytes]:
        return list(self.node(ino).xattrs)

    def removexattr(self, ino: int, name: bytes) -> None:
        self.getxattr(ino, name)
        del self.node(ino).xattrs[name]

    def statfs(self) -> Statfs:
        return SimpleNamespace(
            blocks=1000, bfree=500, bavail=400, files=10, ffree=5, bsize=4096, namelen=255, frsize=4096
        )

    def idle(self, now: float) -> float:  # noqa: ARG002
        self.idles += 1
        return 0.1

    def close(self) -> None:
        self.closed = True
