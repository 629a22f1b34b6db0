"""What the system refuses, as errors of ours: by errno, and by what the path is for; and what Python raises."""

from __future__ import annotations

import errno
import os

from packetfs import errors
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.errors import HostFailure, PacketFSError, SourceUnavailable

_BY_ERRNO: Final = {
    errno.ENOENT: "HostMissing",
    errno.EACCES: "HostDenied",
    errno.EPERM: "HostDenied",
    errno.EROFS: "HostDenied",
    errno.ENOSPC: "HostFull",
    errno.EDQUOT: "HostFull",
    errno.EIO: "HostBroken",
}
"""Names: the classes are loaded when the system refuses something."""
_NO_DIRECTORY: Final = (errno.ENOTDIR, errno.EEXIST)
_CORE: Final = "packetfs._native"
_NO_THREAD: Final = "can't start new thread"
"""What Python says where the system lets none begin: that has no class of its own."""


def translate(error: Exception) -> PacketFSError:
    """Return any error in PacketFS's own words; what is none of ours is a fault of the program and says so."""
    if isinstance(error, errors.PacketFSError):
        return error
    if isinstance(error, OSError):
        return host_error(error)
    if isinstance(error, ImportError) and not (error.name or "").startswith("packetfs"):
        return errors.LibraryMissing(name=error.name or "that PacketFS needs", reason=error.msg)
    if isinstance(error, AttributeError) and getattr(error.obj, "__name__", "") == _CORE:
        return errors.LibraryMissing(name=_CORE, reason=f"it lacks {error.name}; install packetfs again")
    if isinstance(error, MemoryError):
        return errors.PacketFSError(reason="this machine has no memory left")
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return errors.NoThreads()
    return errors.InternalError(kind=type(error).__name__, reason=str(error) or "no message")


def host_error(error: OSError, file: object = None) -> HostFailure:
    """Return the error of a file of this machine: `file`, else the one that the system named."""
    return _kind(error)(file=_named(error) if file is None else file, reason=_reason(error))


def source_error(path: bytes | str, error: OSError) -> SourceUnavailable:
    """Return the error of a file that was to be read."""
    kind = errors.SourceDenied if _kind(error) is errors.HostDenied else errors.SourceUnavailable
    return kind(path=path, reason=_reason(error))


def destination_error(path: bytes | str, error: OSError) -> PacketFSError:
    """Return the error of a directory that was to be written into."""
    if error.errno in _NO_DIRECTORY:
        return errors.NotADirectory(path=path)
    kind = _kind(error)
    if kind is errors.HostDenied:
        return errors.DestinationDenied(path=path)
    return errors.DestinationFull(path=path) if kind is errors.HostFull else host_error(error, path)


def _kind(error: OSError) -> type[HostFailure]:
    kind: type[HostFailure] = getattr(errors, _BY_ERRNO.get(error.errno or 0, "HostFailure"))
    return kind


def _named(error: OSError) -> object:
    names = [name for name in (error.filename, error.filename2) if name not in (None, "", b"")]
    return " and ".join(_word(name) for name in names) or "the system refused"


def _word(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
