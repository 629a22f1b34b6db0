"""What the system refuses, as errors of ours: by errno, and by what the path is for."""

from __future__ import annotations

import errno
import os

from packetfs.errors.base import PacketFSError
from packetfs.errors.frontends import HostBroken, HostDenied, HostFailure, HostFull, HostMissing
from packetfs.errors.fs import DestinationDenied, DestinationFull, NotADirectory, SourceDenied, SourceUnavailable
from packetfs.typing import Final

BY_ERRNO: Final[dict[int, type[HostFailure]]] = {
    errno.ENOENT: HostMissing,
    errno.EACCES: HostDenied,
    errno.EPERM: HostDenied,
    errno.EROFS: HostDenied,
    errno.ENOSPC: HostFull,
    errno.EDQUOT: HostFull,
    errno.EIO: HostBroken,
}
_OF_DESTINATION: Final[dict[type[HostFailure], type[PacketFSError]]] = {
    HostDenied: DestinationDenied,
    HostFull: DestinationFull,
}
_NO_DIRECTORY: Final = (errno.ENOTDIR, errno.EEXIST)


def host_error(error: OSError, file: object = None) -> HostFailure:
    """Return the error of a file of this machine: `file`, else the one that the system named."""
    return _kind(error)(file=_named(error) if file is None else file, reason=_reason(error))


def source_error(path: bytes | str, error: OSError) -> SourceUnavailable:
    """Return the error of a file that was to be read."""
    kind = SourceDenied if _kind(error) is HostDenied else SourceUnavailable
    return kind(path=path, reason=_reason(error))


def destination_error(path: bytes | str, error: OSError) -> PacketFSError:
    """Return the error of a directory that was to be written into."""
    if error.errno in _NO_DIRECTORY:
        return NotADirectory(path=path)
    known = _OF_DESTINATION.get(_kind(error))
    return host_error(error, path) if known is None else known(path=path)


def _kind(error: OSError) -> type[HostFailure]:
    return BY_ERRNO.get(error.errno or 0, HostFailure)


def _named(error: OSError) -> object:
    names = [name for name in (error.filename, error.filename2) if name not in (None, "", b"")]
    return " and ".join(_word(name) for name in names) or "the system refused"


def _word(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
