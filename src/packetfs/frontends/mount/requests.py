"""Take requests apart. The kernel is trusted to be the kernel, yet nothing is read beyond what it sent."""

from __future__ import annotations

import errno
from struct import Struct

from packetfs.frontends.mount.protocol import SETATTR_IN, Fattr
from packetfs.fs.posix.attributes import NOW, Changes
from packetfs.typing import Final

_SETATTR: Final = SETATTR_IN.struct
_SECOND: Final = 1_000_000_000
_MODE, _UID, _GID, _SIZE = int(Fattr.MODE), int(Fattr.UID), int(Fattr.GID), int(Fattr.SIZE)
_ATIME, _MTIME, _CTIME, _FH = int(Fattr.ATIME), int(Fattr.MTIME), int(Fattr.CTIME), int(Fattr.FH)
_ATIME_NOW, _MTIME_NOW = int(Fattr.ATIME_NOW), int(Fattr.MTIME_NOW)  # an IntFlag costs a microsecond a test


def malformed() -> OSError:
    """Return the error for a request that is not what its header says."""
    return OSError(errno.EINVAL, "a malformed request")


def fields(form: Struct, body: memoryview) -> tuple[int, ...]:
    """Return the fields at the start of a request."""
    if len(body) < form.size:
        raise malformed()
    return form.unpack_from(body)


def one_name(body: memoryview, start: int = 0) -> bytes:
    """Return the one name that a request has from `start` to its end."""
    if len(body) <= start + 1 or body[-1]:
        raise malformed()
    name = bytes(body[start:-1])
    if 0 in name:
        raise malformed()
    return name


def two_names(body: memoryview, start: int = 0) -> tuple[bytes, bytes]:
    """Return the two names that a request has from `start` to its end; only a symlink's target may be any text."""
    if len(body) <= start + 1 or body[-1]:
        raise malformed()
    parts = bytes(body[start:-1]).split(b"\0")
    if len(parts) != 2 or not parts[0]:
        raise malformed()
    return parts[0], parts[1]


def name_and_value(body: memoryview, start: int, size: int) -> tuple[bytes, bytes]:
    """Return a name with its end, and `size` bytes of value behind it."""
    end = len(body) - size
    if end <= start + 1 or body[end - 1]:
        raise malformed()
    name = bytes(body[start : end - 1])
    if 0 in name:
        raise malformed()
    return name, bytes(body[end:])


def changes_of(body: memoryview) -> tuple[Changes, int | None, int]:
    """Return what a SETATTR changes, through which handle, and its bits."""
    valid, handle, size, at, mt, ct, atn, mtn, ctn, mode, uid, gid = fields(_SETATTR, body)
    changes = Changes(
        mode=mode if valid & _MODE else None,
        uid=uid if valid & _UID else None,
        gid=gid if valid & _GID else None,
        size=size if valid & _SIZE else None,
        atime_ns=_moment(valid & _ATIME, valid & _ATIME_NOW, at, atn),
        mtime_ns=_moment(valid & _MTIME, valid & _MTIME_NOW, mt, mtn),
        ctime_ns=_moment(valid & _CTIME, 0, ct, ctn),
    )
    return changes, handle if valid & _FH else None, valid


def _moment(given: int, now: int, seconds: int, nanoseconds: int) -> int | None:
    if now:
        return NOW
    return seconds * _SECOND + nanoseconds if given else None
