"""What a directory entry says beside content: lstat and extended attributes -> Entry, and back onto the disk.

Applied in this order, each only where it differs: owner, extended attributes, mode, times. A change of owner clears
setuid bits and capabilities, so the mode comes after it; a read-only mode would forbid attributes.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable

from packetfs.dataclass import dataclass
from packetfs.limits import RACY_COARSE_NS, RACY_NS
from packetfs.packet.digest import NO_DIGEST
from packetfs.packet.entry import TIME_MAX, Entry, nearest_time
from packetfs.typing import Final

Xattrs = tuple[tuple[bytes, bytes], ...]

_SIGNATURE: Final = struct.Struct("<5Q")
UNREAD: Final = b"\0"
"""Behind a packed signature: size and time said what the content is, and nobody read it."""
_U64: Final = (1 << 64) - 1
_PERMISSIONS: Final = 0o7777
_CARRIED: Final = ("user.", "trusted.", "security.")
_PRIVILEGED: Final = ("trusted.", "security.")
_ACLS: Final = ("system.posix_acl_access", "system.posix_acl_default")
_HOSTS_OWN: Final = ("security.selinux", "security.evm", "security.ima", "security.SMACK64")
"""Labels that the host's policy gives and seals of one inode: elsewhere they are wrong or refused."""
_NO_XATTRS: Final = (errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a stat tells of a file: as long as it is the same, and was not racy, its content and metadata are too."""

    size: int
    mtime_ns: int
    ctime_ns: int
    ino: int
    dev: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    @classmethod
    def unpack(cls, packed: bytes) -> Signature:
        size, mtime, ctime, ino, dev = _SIGNATURE.unpack(packed)
        return cls(size, _signed(mtime), _signed(ctime), ino, dev)

    def pack(self) -> bytes:
        """Return its 40 bytes, little-endian."""
        return _SIGNATURE.pack(self.size, self.mtime_ns & _U64, self.ctime_ns & _U64, self.ino, self.dev)

    def is_racy(self, scan_start_ns: int) -> bool:
        """Whether a write after `scan_start_ns` could have left this very signature, as the stamps are that fresh.

        The change time decides, which no program can set; filesystems that have none keep it at 0 or equal.
        """
        stamp = self.ctime_ns or self.mtime_ns
        return stamp + _lag(stamp) >= scan_start_ns

    @property
    def shows_writes(self) -> bool:
        """Whether no write after the last change could have left this very signature.

        A write makes both times those of the write. So it shows where the time of the content was set to one far from
        that of the change, as on every file that a sync leaves, unless it was as new as the sync.
        """
        return abs(self.ctime_ns - self.mtime_ns) > max(_lag(self.ctime_ns), _lag(self.mtime_ns))


def _lag(stamp: int) -> int:
    """Return by how many nanoseconds a stamp may lag behind the clock."""
    return RACY_NS if stamp % 1_000_000_000 else RACY_COARSE_NS


def is_as_left(seen: bytes | None, status: os.stat_result) -> bool:
    """Tell whether a file has the signature that was packed, whoever knew its content or did not."""
    return seen is not None and seen[: _SIGNATURE.size] == pack_signature(status)


def is_unread(seen: bytes) -> bool:
    """Tell whether a packed signature is followed by UNREAD."""
    return len(seen) > _SIGNATURE.size


def proves_content(seen: bytes | None, status: os.stat_result) -> bool:
    """Tell whether a file has the very bytes that it had when its signature was packed."""
    return seen == pack_signature(status) and Signature.of(status).shows_writes


def pack_signature(status: os.stat_result) -> bytes:
    """Return `Signature.of(status).pack()` without the object between: a walk does it for every file."""
    mtime, ctime = status.st_mtime_ns & _U64, status.st_ctime_ns & _U64
    return _SIGNATURE.pack(status.st_size, mtime, ctime, status.st_ino, status.st_dev)


def _signed(stamp: int) -> int:
    return stamp - _U64 - 1 if stamp > TIME_MAX else stamp


@dataclass(frozen=True, slots=True)
class Handle:
    """A file held by a descriptor, so that no rename can put another in its place: opened, or only pinned (O_PATH)."""

    fd: int
    pinned: bool = False

    @property
    def target(self) -> int | bytes:
        """What the calls take that refuse an O_PATH descriptor: its name in /proc leads to the very inode."""
        return b"/proc/self/fd/%d" % self.fd if self.pinned else self.fd


def make_entry(
    name: bytes,
    status: os.stat_result,
    xattrs: Xattrs = (),
    *,
    link: bytes = b"",
    root: bytes = NO_DIGEST,
    sparse: bool = False,
) -> Entry:
    """Return the entry of a file on the disk. `size` is that of regular files; directories have none of their own."""
    mode = status.st_mode
    is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    return Entry(
        name,
        mode,
        status.st_uid,
        status.st_gid,
        nearest_time(status.st_mtime_ns),
        status.st_size if stat.S_ISREG(mode) else 0,
        root,
        target=link,
        rdev=status.st_rdev if is_device else 0,
        xattrs=xattrs,
        sparse=sparse,
    )


def is_sparse(fd: int, status: os.stat_result) -> bool:
    """Whether an open file has holes. Fewer blocks than bytes may be compression, so the holes are asked for."""
    if status.st_blocks * 512 >= status.st_size - 4096:
        return False
    try:
        return os.lseek(fd, 0, os.SEEK_HOLE) < status.st_size
    except OSError:
        return True


def read_xattrs(handle: Handle) -> Xattrs:
    """Return the extended attributes that travel with a file, sorted by name; none where there is no support."""
    found = []
    for name in _carried_names(handle):
        try:
            found.append((os.fsencode(name), os.getxattr(handle.target, name)))
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
    return tuple(sorted(found))


def _carried_names(handle: Handle) -> list[str]:
    try:
        names = os.listxattr(handle.target)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return []
        raise
    return [name for name in names if _is_carried(name)]


def _is_carried(name: str) -> bool:
    return (name.startswith(_CARRIED) and name not in _HOSTS_OWN) or name in _ACLS


def apply_metadata(handle: Handle, entry: Entry, *, as_root: bool) -> list[str]:
    """Give a file the metadata of `entry`; return what could not be given, in words.

    `as_root` says that owners and privileged attributes are wanted. Where the owner is not that of the entry, its
    setuid and setgid bits are left out: they would lend somebody else's rights.
    """
    problems: list[str] = []
    status = os.fstat(handle.fd)
    tried = _apply_owner(handle, entry, status, as_root, problems)
    if _apply_xattrs(handle, entry, as_root, problems) or tried:
        status = os.fstat(handle.fd)
    if not stat.S_ISLNK(status.st_mode):
        _apply_mode(handle, entry, status, problems)
    if status.st_mtime_ns != entry.mtime_ns:
        _attempt(problems, "time", os.utime, handle.target, ns=(status.st_atime_ns, entry.mtime_ns))
    return problems


def _apply_owner(handle: Handle, entry: Entry, status: os.stat_result, as_root: bool, problems: list[str]) -> bool:
    """Give the owner, where that is to be tried, and say so: modes may be different then."""
    if as_root and (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
        _attempt(problems, f"owner {entry.uid}:{entry.gid}", os.chown, handle.target, entry.uid, entry.gid)
        return True
    if status.st_gid != entry.gid and entry.gid in os.getgroups():
        _attempt([], "group", os.chown, handle.target, -1, entry.gid)
        return True
    return False


def _apply_mode(handle: Handle, entry: Entry, status: os.stat_result, problems: list[str]) -> None:
    wanted = entry.mode & _PERMISSIONS
    if status.st_uid != entry.uid:
        wanted &= ~stat.S_ISUID
    if status.st_gid != entry.gid and not stat.S_ISDIR(status.st_mode):
        wanted &= ~stat.S_ISGID
    if status.st_mode & _PERMISSIONS != wanted:
        _attempt(problems, f"mode {wanted:o}", os.chmod, handle.target, wanted)


def _apply_xattrs(handle: Handle, entry: Entry, as_root: bool, problems: list[str]) -> bool:
    """Give extended attributes; False where neither side has any, and nothing was touched."""
    wanted = {os.fsdecode(name): value for name, value in entry.xattrs}
    wanted = {name: value for name, value in wanted.items() if _is_carried(name) and _is_tried(name, as_root)}
    if not wanted and not _carried_names(handle):
        return False
    _permit(handle, stat.S_IRUSR)
    current = {os.fsdecode(name): value for name, value in read_xattrs(handle)}
    surplus = [name for name in current if name not in wanted and _is_tried(name, as_root)]
    changes = [name for name, value in wanted.items() if current.get(name) != value]
    if surplus or changes:
        _permit(handle, stat.S_IWUSR)
    for name in surplus:
        _attempt(problems, f"extended attribute {name}", os.removexattr, handle.target, name)
    for name in changes:
        _attempt(problems, f"extended attribute {name}", os.setxattr, handle.target, name, wanted[name])
    return True


def _is_tried(name: str, as_root: bool) -> bool:
    return as_root or not name.startswith(_PRIVILEGED)


def _permit(handle: Handle, right: int) -> None:
    """Owners, too, need permission to read and change attributes; the entry's mode is set afterwards."""
    status = os.fstat(handle.fd)
    if not status.st_mode & right and os.geteuid() == status.st_uid != 0:
        os.chmod(handle.target, stat.S_IMODE(status.st_mode) | right)


def _attempt(problems: list[str], what: str, call: Callable[..., None], *args: object, **fields: object) -> None:
    try:
        call(*args, **fields)
    except OSError as error:
        problems.append(f"{what}: {error.strerror}")
