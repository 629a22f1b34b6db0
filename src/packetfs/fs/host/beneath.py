"""A directory of the host, and every operation below it: nothing outside is touched, whatever names and disks say.

A path is taken apart into its directory, which is opened without following any symlink, and a name, on which the
operation works relative to that descriptor without following it either. A directory that somebody swaps for a symlink
meanwhile is thus refused or still the old one. Descriptors of the last few directories are kept, as walks need them
again and again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from packetfs.errors import UnsafePath
from packetfs.fs.host.metadata import Handle, apply_metadata, read_xattrs
from packetfs.fs.host.syscalls import exchange, sync_filesystem
from packetfs.fs.host.walk import Opener, check_path, choose_opener, explain
from packetfs.limits import DIRECTORIES_OPEN
from packetfs.packet.entry import Entry
from packetfs.typing import Final, Self

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIN: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_ENCODING: Final = sys.getfilesystemencoding()
_NOT_REGULAR: Final = "it is not a regular file"


@cache
def _has_proc() -> bool:
    return os.path.isdir("/proc/self/fd")


def _require_plain(status: os.stat_result) -> None:
    """Without /proc a file must be opened, and to open a device or a fifo is an act."""
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.ENOTSUP, "its metadata needs /proc, which is not mounted")


class Beneath:
    """A directory and what lies below it. Paths are relative bytes, b"" is the directory itself.

    `shown` is what errors call it, where that is not `root`.
    """

    def __init__(
        self, root: str | bytes | os.PathLike[str], *, opener: Opener | None = None, shown: bytes = b""
    ) -> None:
        self.shown: Final = shown or os.fsencode(root)
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open_below = opener or choose_opener(self._root)
        self._open: dict[bytes, int] = {}

    def close(self) -> None:
        self.forget(b"")
        if self._root >= 0:
            os.close(self._root)
        self._root = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # directories

    def directory(self, path: bytes) -> int:
        """Return an O_PATH descriptor of a directory; it stays open until others have been used, or the path moves."""
        if not path:
            return self._root
        fd = self._open.get(path)
        if fd is None:
            check_path(path)
            fd = self._open_nearest(path)
            if len(self._open) >= DIRECTORIES_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
        else:
            del self._open[path]
        self._open[path] = fd
        return fd

    def _open_nearest(self, path: bytes) -> int:
        """Open `path` from its nearest ancestor that is open already."""
        base, rest, ancestor = self._root, path, path
        while b"/" in ancestor:
            ancestor = ancestor[: ancestor.rindex(b"/")]
            if ancestor in self._open:
                base, rest = self._open[ancestor], path[len(ancestor) + 1 :]
                break
        try:
            return self._open_below(base, rest)
        except OSError as error:
            raise explain(self._root, path, error) from None

    def forget(self, path: bytes) -> None:
        """Close the descriptors at and below `path`, whose names now stand for something else."""
        below = path + b"/" if path else b""
        for held in [held for held in self._open if held == path or held.startswith(below)]:
            os.close(self._open.pop(held))

    def locate(self, path: bytes) -> tuple[int, bytes]:
        """Return a descriptor of the directory that holds `path`, and the last name."""
        parent, _, name = path.rpartition(b"/")
        if name in (b"", b".", b"..") or b"\0" in name or path.startswith(b"/"):
            check_path(path)
            raise UnsafePath(path=path, reason="it names no file")
        return self.directory(parent), name

    # looking

    def lstat(self, path: bytes) -> os.stat_result:
        if not path:
            return os.fstat(self._root)
        directory, name = self.locate(path)
        return os.stat(name, dir_fd=directory, follow_symlinks=False)

    def lstat_in(self, directory: bytes, name: bytes) -> os.stat_result:
        """The same for a name that `names` gave, at 2/3 of the time."""
        return os.stat(name, dir_fd=self.directory(directory), follow_symlinks=False)

    def exists(self, path: bytes) -> bool:
        """Whether the name is there, whatever it is."""
        try:
            self.lstat(path)
        except FileNotFoundError:
            return False
        return True

    def names(self, path: bytes) -> list[bytes]:
        """Return the names in a directory, sorted as bytes."""
        fd = self.open_directory(path)
        try:
            with os.scandir(fd) as entries:
                names = [entry.name.encode(_ENCODING, "surrogateescape") for entry in entries]
        finally:
            os.close(fd)
        names.sort()
        return names

    def scandir(self, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Yield each name of a directory and its lstat, sorted; what vanishes before its turn is left out."""
        for name in self.names(path):
            try:
                status = self.lstat_in(path, name)
            except FileNotFoundError:
                continue
            yield name, status

    def readlink(self, path: bytes) -> bytes:
        directory, name = self.locate(path)
        return os.readlink(name, dir_fd=directory)

    # opening

    def open_directory(self, path: bytes) -> int:
        """Return a descriptor that can list a directory, or sync it."""
        return os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.directory(path))

    def open_read(self, path: bytes) -> int:
        """Return a descriptor that reads a regular file; anything else is refused before it can block or act."""
        directory, name = self.locate(path)
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket, or a device without a driver
                raise UnsafePath(path=path, reason=_NOT_REGULAR) from None
            raise explain(self._root, path, error) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise UnsafePath(path=path, reason=_NOT_REGULAR)
        return fd

    def create(self, path: bytes, mode: int = 0o600) -> int:
        """Return a descriptor that reads and writes a file that was not there before."""
        directory, name = self.locate(path)
        return os.open(name, _CREATE, mode, dir_fd=directory)

    @contextmanager
    def pin(self, path: bytes) -> Iterator[Handle]:
        """Hold whatever `path` names, a symlink too, for calls on its metadata."""
        directory, name = self.locate(path) if path else (self._root, b".")
        if not _has_proc():
            _require_plain(os.stat(name, dir_fd=directory, follow_symlinks=False))
        fd = os.open(name, _PIN if _has_proc() else _READ, dir_fd=directory)
        try:
            yield Handle(fd, pinned=_has_proc())
        finally:
            os.close(fd)

    # changing

    def mkdir(self, path: bytes, mode: int = 0o700) -> None:
        directory, name = self.locate(path)
        os.mkdir(name, mode, dir_fd=directory)

    def symlink(self, target: bytes, path: bytes) -> None:
        directory, name = self.locate(path)
        os.symlink(target, name, dir_fd=directory)

    def mknod(self, path: bytes, mode: int, rdev: int = 0) -> None:
        """Make a device node, fifo or socket, at first for its owner only."""
        directory, name = self.locate(path)
        os.mknod(name, stat.S_IFMT(mode) | 0o600, rdev, dir_fd=directory)

    def link(self, source: bytes, path: bytes) -> None:
        """Give a file a second name; a symlink is linked itself."""
        source_directory, source_name = self.locate(source)
        directory, name = self.locate(path)
        os.link(source_name, name, src_dir_fd=source_directory, dst_dir_fd=directory, follow_symlinks=False)

    def rename(self, source: bytes, path: bytes) -> None:
        self.rename_file(source, path)
        self._forget_both(source, path)

    def rename_file(self, source: bytes, path: bytes) -> None:
        """Rename what is no directory: no directory can be in its way, so none that is open gets another name."""
        source_directory, source_name = self.locate(source)
        directory, name = self.locate(path)
        os.rename(source_name, name, src_dir_fd=source_directory, dst_dir_fd=directory)

    def exchange(self, path: bytes, other: bytes) -> None:
        """Swap two names atomically; OSError where the filesystem cannot."""
        directory, name = self.locate(path)
        other_directory, other_name = self.locate(other)
        exchange(directory, name, other_directory, other_name)
        self._forget_both(path, other)

    def _forget_both(self, path: bytes, other: bytes) -> None:
        self.forget(path)
        self.forget(other)

    def unlink(self, path: bytes) -> None:
        directory, name = self.locate(path)
        os.unlink(name, dir_fd=directory)

    def rmdir(self, path: bytes) -> None:
        directory, name = self.locate(path)
        os.rmdir(name, dir_fd=directory)
        self.forget(path)

    def remove_tree(self, path: bytes) -> None:
        """Remove whatever `path` names, with all below it; nothing happens where it is gone already."""
        rising = [(path, False)]
        while rising:
            current, is_empty = rising.pop()
            try:
                if is_empty:
                    self.rmdir(current)
                else:
                    self._unlink_or_descend(current, rising)
            except FileNotFoundError:
                continue

    def _unlink_or_descend(self, path: bytes, rising: list[tuple[bytes, bool]]) -> None:
        if not stat.S_ISDIR(self.lstat(path).st_mode):
            self.unlink(path)
            return
        self.open_up(path)
        rising.append((path, True))
        rising.extend((path + b"/" + name, False) for name in self.names(path))

    def open_up(self, path: bytes) -> bool:
        """Let the owner work in a directory that its mode closes; True when the mode had to be changed."""
        if os.geteuid() == 0 or self.lstat(path).st_mode & stat.S_IRWXU == stat.S_IRWXU:
            return False
        with self.pin(path) as handle:
            status = os.fstat(handle.fd)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                return False
            os.chmod(handle.target, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        return True

    # metadata

    def set_metadata(self, path: bytes, entry: Entry, *, as_root: bool) -> list[str]:
        """Give `path` the mode, owner, times and attributes of `entry`; return what could not be given, in words."""
        with self.pin(path) as handle:
            if stat.S_IFMT(os.fstat(handle.fd).st_mode) != stat.S_IFMT(entry.mode):
                raise UnsafePath(path=path, reason="it has become something else meanwhile")
            return apply_metadata(handle, entry, as_root=as_root)

    def xattrs(self, path: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Return the extended attributes that travel with a file."""
        with self.pin(path) as handle:
            return read_xattrs(handle)

    def flush(self) -> None:
        """Make everything written below the root durable; raises when any of it could not be written."""
        fd = self.open_directory(b"")
        try:
            sync_filesystem(fd)
        finally:
            os.close(fd)
