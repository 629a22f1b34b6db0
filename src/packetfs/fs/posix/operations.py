"""Every operation of the filesystem, by inode number and handle: the one door, behind which the modules do the work."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial

from packetfs.errors import PacketFSError
from packetfs.fs.derived import Deriver
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.posix.attributes import Attributes, Caller, Changes, Statfs
from packetfs.fs.posix.contents import Contents
from packetfs.fs.posix.errnos import as_os_error, changes, fail, later, looks
from packetfs.fs.posix.files import Files
from packetfs.fs.posix.handles import DirectoryHandle, FileHandle, Handles
from packetfs.fs.posix.nodes import Node, Nodes
from packetfs.fs.posix.programs import Later, Programs
from packetfs.fs.posix.promises import Promises
from packetfs.fs.posix.room import Room
from packetfs.fs.posix.tree import Tree, is_opened_for_writing
from packetfs.fs.posix.xattrs import Xattrs
from packetfs.fs.schema import ROOT_INO
from packetfs.limits import POSIX_GROUP, POSIX_GROUP_SECONDS
from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_DOTS: Final = 2


class Operations:
    """A filesystem as POSIX has it. One thread at a time; all errors are OSError."""

    root: Final = ROOT_INO

    def __init__(
        self, fs: FileSystem, *, clock: Callable[[], int] = time.time_ns, deriver: Deriver | None = None
    ) -> None:
        self._fs = fs
        self._clock = clock
        self.writable = fs.pool.writable
        self._programs = Programs(fs.pool)
        self._nodes = Nodes(fs.names, self._programs)
        self._contents = Contents(fs.pool, self._programs, self._nodes)
        room = Room(fs.pool.path)
        self._xattrs = Xattrs(fs.names, self._nodes)
        self._tree = Tree(fs, self._nodes, self._contents, self._xattrs, clock, room)
        self._handles = Handles()
        self._promises = Promises(fs, self._nodes, deriver if self.writable else None)
        self._files = Files(fs.pool, self._nodes, self._contents, self._handles, clock, room)
        self._waiting = 0
        self._since: float | None = None
        self._closed = False
        if self.writable:
            self._begin()

    def _begin(self) -> None:
        try:
            if self._fs.names.erase_orphans():
                self._fs.commit()
        except PacketFSError as error:
            raise as_os_error(error) from error

    def changed(self) -> None:
        """Count a change; many are committed together."""
        self._waiting += 1
        if self._waiting >= POSIX_GROUP:
            self._commit()

    def failed(self) -> None:
        """Where the names lost what was not committed, go back to what was, and take no more changes."""
        if self._fs.names.is_lost and self.writable:
            self.writable = False
            self._nodes.forget()
            self._fs.paths.forget()

    def refresh(self) -> None:
        """Look at everything anew: another process changed the names, and this one only reads. What is open stays."""
        self._nodes.forget()
        self._fs.paths.forget()

    # inodes

    @looks
    def lookup(self, parent: int, name: bytes) -> Attributes:
        """Return what a name stands for, and count a reference to it."""
        return self._handed_out(self._tree.find(parent, name))

    def _handed_out(self, node: Node) -> Attributes:
        self._tree.references.add(node.ino)
        return self._nodes.attributes(node)

    def reference(self, ino: int) -> None:
        """Count a reference to an inode that `readdir` named."""
        self._tree.references.add(ino)

    @looks
    def forget(self, ino: int, count: int) -> None:
        """Give references back; an inode without a name goes with the last."""
        if not self._tree.references.drop(ino, count):
            self._tree.collect(ino)

    @looks
    def getattr(self, ino: int) -> Attributes:
        return self._nodes.attributes(self._nodes.get(ino))

    @changes
    def setattr(self, ino: int, changes: Changes, handle: int | None = None) -> Attributes:
        """Change attributes, and the change time with any of them."""
        node = self._nodes.get(ino)
        if handle is not None and changes.size is not None:
            self._files.writable(handle)
        self._files.set_attributes(node, changes)
        if changes.mode is not None and node.has_xattrs:
            self._xattrs.follow_mode(node)
        return self._nodes.attributes(node)

    @looks
    def readlink(self, ino: int) -> bytes:
        return self._tree.readlink(ino)

    # names

    @changes
    def mknod(self, parent: int, name: bytes, mode: int, rdev: int, caller: Caller) -> Attributes:
        return self._handed_out(self._tree.make(parent, name, mode, caller, rdev))

    @changes
    def mkdir(self, parent: int, name: bytes, mode: int, caller: Caller) -> Attributes:
        return self._handed_out(self._tree.make(parent, name, stat.S_IFDIR | stat.S_IMODE(mode), caller))

    @changes
    def symlink(self, parent: int, name: bytes, target: bytes, caller: Caller) -> Attributes:
        return self._handed_out(self._tree.symlink(parent, name, target, caller))

    @changes
    def link(self, ino: int, parent: int, name: bytes) -> Attributes:
        return self._handed_out(self._tree.link(ino, parent, name))

    @changes
    def unlink(self, parent: int, name: bytes) -> None:
        self._tree.unlink(parent, name)

    @changes
    def rmdir(self, parent: int, name: bytes) -> None:
        self._tree.rmdir(parent, name)

    @changes
    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int = 0) -> None:
        """Give what has a name another; flags are those of renameat2: NOREPLACE, EXCHANGE."""
        self._tree.rename(parent, name, new_parent, new_name, flags)

    # directories

    @looks
    def opendir(self, ino: int) -> int:
        return self._handles.add(DirectoryHandle(self._nodes.directory(ino), self._nodes))

    def readdir(self, handle: int, cookie: int = 0) -> Iterator[tuple[int, bytes, Attributes]]:
        """Yield (cookie of what follows, name, attributes) from a cookie on; 0 is the beginning, with "." and "..".

        No reference is counted: who hands an inode on says so by `reference`.
        """
        try:
            yield from self._entries(self._handles.directory(handle), cookie)
        except PacketFSError as error:
            raise as_os_error(error) from error

    def _entries(self, handle: DirectoryHandle, cookie: int) -> Iterator[tuple[int, bytes, Attributes]]:
        node = handle.node
        if not cookie:
            handle.rewind()
            yield 1, b".", self._nodes.attributes(node)
        if cookie <= 1:
            yield _DOTS, b"..", self._nodes.attributes(self._nodes.get(self._tree.parent_of(node.ino)))
        for place, name, ino, is_stale in handle.names(max(cookie - _DOTS, 0)):
            if not is_stale or self._fs.names.lookup(node.ino, name) == ino:
                yield place + _DOTS, name, self._nodes.attributes(self._nodes.get(ino))

    @looks
    def releasedir(self, handle: int) -> None:
        self._tree.collect(self._handles.remove(handle).ino)

    # files

    @looks
    def making(self, ino: int) -> Callable[[], None] | None:
        """Return what makes a file that was not made yet, so that it can be opened; any thread may do it, for long."""
        work = self._promises.work_on(self._nodes.get(ino))
        return None if work is None else partial(_make, work)

    @looks
    def open(self, ino: int, flags: int) -> int:
        node = self._nodes.get(ino)
        writes = is_opened_for_writing(flags)
        if node.is_dir:
            fail(errno.EISDIR)
        if not node.is_file:
            fail(errno.ELOOP if stat.S_ISLNK(node.mode) else errno.ENXIO)
        if not self.writable and (writes or flags & os.O_TRUNC):
            fail(errno.EROFS)
        if self._promises.work_on(node) is not None:
            fail(errno.EBUSY)
        if flags & os.O_TRUNC:
            self._files.set_attributes(node, Changes(size=0))
            self.changed()
        return self._handles.add(FileHandle(node, flags))

    @changes
    def create(self, parent: int, name: bytes, mode: int, flags: int, caller: Caller) -> tuple[Attributes, int]:
        """Make a file and open it. One that is there is opened, unless O_EXCL says otherwise."""
        if not flags & os.O_EXCL and self._fs.names.lookup(parent, name) is not None:
            node = self._tree.find(parent, name)
            handle = self.open(node.ino, flags)
            return self._handed_out(node), handle
        node = self._tree.make(parent, name, stat.S_IFREG | stat.S_IMODE(mode), caller)
        return self._handed_out(node), self._handles.add(FileHandle(node, flags))

    @changes
    def tmpfile(self, parent: int, mode: int, flags: int, caller: Caller) -> tuple[Attributes, int]:
        """Make and open a file without a name; `link` gives it one, unless it was opened with O_EXCL."""
        node = self._tree.make(parent, None, stat.S_IFREG | stat.S_IMODE(mode), caller)
        node.linkable = not flags & os.O_EXCL
        return self._handed_out(node), self._handles.add(FileHandle(node, flags))

    @looks
    def flush(self, handle: int) -> None:
        """Say whether what was written can be kept: a descriptor is being closed."""
        node = self._handles.file(handle).node
        if node.nlink:
            self._contents.settle(node)

    @looks
    def release(self, handle: int) -> None:
        """Close a handle. With the last one what was written settles; where there is no room, later."""
        node = self._handles.remove(handle)
        self._tree.collect(node.ino)
        if node.nlink and not node.handles:
            self._contents.settle(node)

    @looks
    def read(self, handle: int, offset: int, size: int) -> list[Buffer] | Later:
        """Return bytes as they lie: views of the arena where they are settled; or what reads them from the disk."""
        found = self._files.read(handle, offset, size)
        return later(found) if callable(found) else found

    @changes
    def write(self, handle: int, offset: int, data: Buffer) -> int:
        """Write all of `data`. Who may not have setuid and setgid kept, the kernel knows: it asks by `setattr`."""
        done = self._files.write(handle, offset, memoryview(data).cast("B"))
        self._xattrs.lose_capability(self._handles.file(handle).node)
        return done

    @changes
    def fallocate(self, handle: int, mode: int, offset: int, length: int) -> None:
        """Make room (that is a hole), or make holes: PUNCH_HOLE and ZERO_RANGE, with KEEP_SIZE or without."""
        self._files.allocate(handle, mode, offset, length)

    @looks
    def lseek(self, handle: int, offset: int, whence: int) -> int:
        """Return where the next data (SEEK_DATA) or hole (SEEK_HOLE) begins."""
        return self._files.seek(handle, offset, whence)

    @changes
    def copy_file_range(self, handle: int, offset: int, to: int, to_offset: int, length: int) -> int:
        """Copy within the filesystem; a whole file costs nothing, and no content is kept twice."""
        return self._files.copy(handle, offset, to, to_offset, length)

    # attributes of users

    @looks
    def getxattr(self, ino: int, name: bytes) -> bytes:
        return self._xattrs.get(self._nodes.get(ino), name)

    @looks
    def listxattr(self, ino: int) -> list[bytes]:
        return sorted(self._xattrs.all(self._nodes.get(ino)))

    @changes
    def setxattr(self, ino: int, name: bytes, value: bytes, flags: int = 0) -> None:
        node = self._nodes.get(ino)
        self._xattrs.set(node, name, value, flags)
        node.ctime_ns = self._clock()

    @changes
    def removexattr(self, ino: int, name: bytes) -> None:
        node = self._nodes.get(ino)
        self._xattrs.remove(node, name)
        node.ctime_ns = self._clock()

    # durability

    @looks
    def fsync(self, handle: int, datasync: bool = False) -> None:  # noqa: ARG002 - size and bytes go together here
        """Make a file durable, and what else waits with it."""
        if self.writable:
            self._contents.settle(self._handles.file(handle).node)
            self._commit()

    @looks
    def fsyncdir(self, handle: int, datasync: bool = False) -> None:  # noqa: ARG002
        """Make names durable; of the root, everything."""
        node = self._handles.directory(handle).node
        if self.writable:
            if node.ino == self.root:
                self._contents.settle_all()
            self._commit()

    @looks
    def syncfs(self) -> None:
        """Make everything durable."""
        if self.writable:
            self._contents.settle_all()
            self._commit()

    def _commit(self) -> None:
        if not self._is_waiting():
            return
        try:
            self._tree.write_back()
            self._nodes.write_back()
            self._fs.commit()
        except PacketFSError:
            self.failed()
            raise
        self._waiting = 0
        self._since = None

    def _is_waiting(self) -> bool:
        return self._waiting > 0 or self._nodes.is_changed or self._fs.names.is_changed

    @looks
    def idle(self, now: float) -> float:
        """Do what waits for a quiet moment; return the seconds until this wants to be called again."""
        if not self.writable:
            return POSIX_GROUP_SECONDS
        self._contents.settle_quiet(now)
        if self._is_waiting():
            self._since = now if self._since is None else self._since
            if now - self._since >= POSIX_GROUP_SECONDS:
                self._commit()
        return POSIX_GROUP_SECONDS

    @looks
    def statfs(self) -> Statfs:
        """Return how full the disk is that the pool lies on."""
        return self._files.space()

    @looks
    def close(self) -> None:
        """Settle and commit everything; nobody uses anything any more."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.writable:
                self._tree.collect_all()
                self._contents.settle_all()
                self._commit()
        finally:
            self._programs.forget()


def _make(work: Callable[[], None]) -> None:
    try:
        work()
    except PacketFSError as error:
        raise as_os_error(error) from error
