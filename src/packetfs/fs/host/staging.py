"""Where files of a destination are made before they appear: whole, under their final names, in one rename each.

ROOT/.packetfs-staging (0700, locked, the name is reserved) holds temporary files and, where asked, the old inodes of
what was replaced, so that files made later in the job can still take bytes from them. Below another mount a rename from
there is impossible: there the temporary file lies beside its target, and a note in staging says so before it is made,
so that the next job can remove it when this one is killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

from packetfs.dataclass import dataclass
from packetfs.errors import DestinationBusy, DestinationRefused, UnsafePath
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.metadata import Handle, apply_metadata
from packetfs.fs.host.writer import Writer, full_disk_named
from packetfs.packet.entry import Entry
from packetfs.typing import Final, Self

STAGING: Final = b".packetfs-staging"
_LOCK: Final = STAGING + b"/lock"
_NOTE: Final = STAGING + b"/far-"
_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS: Final = 16
"""Times that the lock is taken again because its last owner removed it just then."""
_SWAPPED: Final = (
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY),  # rename: the one is a directory, the other not
    *(errno.EPERM, errno.EMLINK, errno.ENOTSUP),  # link: a directory, somebody else's file, or no links at all
)
_NOT_SWAPPED: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EXDEV)


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a commit: where the replaced file lies now, if it is kept, and what metadata was refused."""

    old: bytes | None = None
    problems: tuple[str, ...] = ()


class Staging:
    """The temporary files of one job in one destination. No other job can write there meanwhile."""

    def __init__(self, beneath: Beneath, *, keep_old: bool = False) -> None:
        self.beneath = beneath
        self.keep_old = keep_old
        self._count = 0
        self._far_parents: dict[bytes, bool] = {}
        self._lock = self._take_lock()
        self._mount = _mount(beneath.directory(STAGING))
        self._clean()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary files, the old inodes and staging itself."""
        if self._lock < 0:
            return
        try:
            self._clean()
            self.beneath.unlink(_LOCK)
            with suppress(OSError):
                self.beneath.rmdir(STAGING)
        finally:
            os.close(self._lock)
            self._lock = -1

    # making

    def create(self, path: bytes) -> Writer:
        """Return the writer of what will be the file `path`."""
        return Writer(self.beneath, path, self._new_name(path))

    def commit(self, writer: Writer, entry: Entry, *, as_root: bool) -> Committed:
        """Put the written file in place of whatever its path names, with the metadata of `entry`."""
        writer.finish()
        problems = apply_metadata(Handle(writer.fd), entry, as_root=as_root)
        writer.close()
        old = self._place(writer.staged, writer.path)
        writer.committed = True
        return Committed(old, tuple(problems))

    def make(self, path: bytes, entry: Entry, *, as_root: bool) -> Committed:
        """Put a symlink, fifo, socket or device node in place; devices only where `as_root`."""
        staged = self._new_name(path)
        with full_disk_named(path):
            self._make_special(staged, entry, as_root)
        try:
            problems = self.beneath.set_metadata(staged, entry, as_root=as_root)
            return Committed(self._place(staged, path), tuple(problems))
        except BaseException:
            self.beneath.remove_tree(staged)
            raise

    def _make_special(self, staged: bytes, entry: Entry, as_root: bool) -> None:
        kind = stat.S_IFMT(entry.mode)
        if kind == stat.S_IFLNK:
            self.beneath.symlink(entry.target, staged)
        elif kind in (stat.S_IFIFO, stat.S_IFSOCK) or (as_root and kind in (stat.S_IFCHR, stat.S_IFBLK)):
            self.beneath.mknod(staged, entry.mode, entry.rdev)
        else:
            raise PermissionError(errno.EPERM, "device nodes are made by root only")

    def link(self, existing: bytes, path: bytes) -> Committed:
        """Make `path` a further name of the file `existing`, in place of whatever it names; if it is one, it stays."""
        if self._is_same(existing, path):
            return Committed()
        staged = self._new_name(path)
        with full_disk_named(path):
            self.beneath.link(existing, staged)
        old = None
        try:
            old = self._place(staged, path)
        finally:
            if old != staged:
                self._remove_file(staged)
        return Committed(old)

    def _is_same(self, one: bytes, other: bytes) -> bool:
        try:
            return os.path.samestat(self.beneath.lstat(one), self.beneath.lstat(other))
        except FileNotFoundError:
            return False

    def make_directory(self, path: bytes) -> Committed:
        """Make a directory for its owner only, unless there is one; a file of that name goes."""
        with full_disk_named(path):
            try:
                self.beneath.mkdir(path)
                return Committed()
            except FileExistsError:
                if stat.S_ISDIR(self.beneath.lstat(path).st_mode):
                    return Committed()
            staged = self._new_name(path)
            self.beneath.mkdir(staged)
        return Committed(self._place(staged, path, directory=True))

    def set_aside(self, path: bytes) -> bytes:
        """Take whatever `path` names out of the destination, with all below it; return where it lies until the end."""
        old = self._new_name(path)
        try:
            self.beneath.rename(path, old)
        except PermissionError:
            if not self.beneath.open_up(path):  # a directory must be writable to get another parent
                raise
            self.beneath.rename(path, old)
        return old

    def remove(self, path: bytes) -> bytes | None:
        """Take `path` out of the destination; return where it lies now if old files are kept."""
        try:
            old = self.set_aside(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.beneath.remove_tree(path)  # overlayfs cannot rename a directory of its lower layer
            return None
        return self._keep(old)

    def release(self, old: bytes) -> None:
        """Remove an old file before the end of the job: nobody will take bytes from it."""
        self.beneath.remove_tree(old)

    # placing

    def _place(self, staged: bytes, path: bytes, *, directory: bool = False) -> bytes | None:
        """Let `path` name what `staged` does; return where the old file is kept, if it is."""
        with full_disk_named(path):
            old = self._new_name(path) if self.keep_old else None
            try:
                if old is not None and not self._link_old(path, old):
                    old = None
                if directory:
                    self.beneath.rename(staged, path)
                else:
                    self.beneath.rename_file(staged, path)
            except OSError as error:
                if old is not None:
                    self._remove_file(old)
                if error.errno not in _SWAPPED:
                    raise
                return self._swap(staged, path)
            return old

    def _link_old(self, path: bytes, old: bytes) -> bool:
        try:
            self.beneath.link(path, old)
        except FileNotFoundError:
            return False
        return True

    def _swap(self, staged: bytes, path: bytes) -> bytes | None:
        """Replace what a rename cannot (a directory by a file, a file by a directory) or whose inode none may link."""
        self._settle(staged)
        try:
            self.beneath.exchange(staged, path)
        except OSError as error:
            if error.errno not in _NOT_SWAPPED:
                raise
            old = self.remove(path)
            self.beneath.rename(staged, path)
            return old
        return self._keep(staged)

    def _settle(self, staged: bytes) -> None:
        """Make content durable: only a plain rename over a file makes filesystems write it before the new name."""
        if not stat.S_ISREG(self.beneath.lstat(staged).st_mode):
            return
        fd = self.beneath.open_read(staged)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def _keep(self, old: bytes) -> bytes | None:
        if self.keep_old:
            return old
        self.beneath.remove_tree(old)
        return None

    def _remove_file(self, staged: bytes) -> None:
        with suppress(FileNotFoundError):
            self.beneath.unlink(staged)

    # names

    def _new_name(self, path: bytes) -> bytes:
        """Return a free name from which a rename to `path` can work."""
        self._count += 1
        parent = path.rpartition(b"/")[0]
        if parent not in self._far_parents:
            self._far_parents = {parent: self._is_far(parent)}
        if not self._far_parents[parent]:
            return b"%s/%d" % (STAGING, self._count)
        far = b"%s/%s-%d" % (parent, STAGING, self._count)
        self._note(far)
        return far

    def _is_far(self, parent: bytes) -> bool:
        return _mount(self.beneath.directory(parent)) != self._mount

    def _note(self, far: bytes) -> None:
        fd = self.beneath.create(_NOTE + b"%d" % self._count)
        try:
            os.write(fd, far)
        finally:
            os.close(fd)

    # the directory itself

    def _take_lock(self) -> int:
        for _ in range(_ATTEMPTS):
            self._make_staging()
            fd = self._try_lock()
            if fd is not None:
                return fd
        raise DestinationBusy(path=self.beneath.shown)

    def _make_staging(self) -> None:
        with suppress(FileExistsError):
            self.beneath.mkdir(STAGING)
        status = self.beneath.lstat(STAGING)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            where = os.path.join(self.beneath.shown, STAGING)
            raise DestinationRefused(path=where, reason="it is not a directory that only this user can enter.")

    def _try_lock(self) -> int | None:
        """Return the lock's descriptor, None if its last owner removed it meanwhile."""
        directory, name = self.beneath.locate(_LOCK)
        try:
            fd = os.open(name, _LOCK_FLAGS, 0o600, dir_fd=directory)
        except FileNotFoundError:
            self.beneath.forget(STAGING)
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), self.beneath.lstat(_LOCK)):
                return fd
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(fd)
            raise DestinationBusy(path=self.beneath.shown) from None
        os.close(fd)
        self.beneath.forget(STAGING)
        return None

    def _clean(self) -> None:
        """Remove all that this job, or one that was killed, has left."""
        for name in self.beneath.names(STAGING):
            path = STAGING + b"/" + name
            if path.startswith(_NOTE):
                self._remove_noted(path)
            if path != _LOCK:
                self.beneath.remove_tree(path)

    def _remove_noted(self, note: bytes) -> None:
        fd = self.beneath.open_read(note)
        try:
            far = os.read(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
        if far.rpartition(b"/")[2].startswith(STAGING + b"-"):
            with suppress(OSError, UnsafePath):
                self.beneath.remove_tree(far)


def _mount(directory: int) -> tuple[int, bytes]:
    """Return what two directories share when a rename between them can work: device and mount."""
    try:
        with open(f"/proc/self/fdinfo/{directory}", "rb") as info:
            mounts = [line for line in info if line.startswith(b"mnt_id:")]
    except OSError:
        mounts = []
    return os.fstat(directory).st_dev, b"".join(mounts)
