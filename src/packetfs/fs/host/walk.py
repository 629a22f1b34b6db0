"""Open a directory below another without following a symlink: by openat2, or component by component.

The second is the definition, and runs where the kernel is older than 5.6 or a sandbox forbids the call.
Components are never `..`, so neither can leave the directory that it starts from.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from packetfs.errors import UnsafePath
from packetfs.fs.host.syscalls import open_beneath
from packetfs.typing import Final

DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 4000
"""Bytes of path for one openat2: the kernel takes 4,096, and a deep tree's paths are longer."""

Opener = Callable[[int, bytes], int]


def check_path(path: bytes) -> None:
    """Refuse what is not a plain relative path; b"" is the root itself."""
    if not path:
        return
    for name in path.split(b"/"):
        if name in (b"", b".", b".."):
            raise UnsafePath(path=path, reason=f"{name.decode()!r} is not a name")
    if b"\0" in path:
        raise UnsafePath(path=path, reason="it holds a NUL byte")


def open_by_walk(base: int, path: bytes) -> int:
    """Return an O_PATH descriptor of the directory `path` below `base`, opened name by name."""
    current = os.open(b".", DIRECTORY, dir_fd=base)
    for name in path.split(b"/"):
        try:
            deeper = os.open(name, DIRECTORY, dir_fd=current)
        finally:
            os.close(current)
        current = deeper
    return current


def open_by_kernel(base: int, path: bytes) -> int:
    """The same by openat2, in pieces that the kernel takes."""
    current = base
    for piece in _pieces(path):
        try:
            deeper = open_beneath(current, piece, DIRECTORY)
        finally:
            if current != base:
                os.close(current)
        current = deeper
    return current


def _pieces(path: bytes) -> list[bytes]:
    pieces = []
    while len(path) > _PIECE:
        cut = path.rindex(b"/", 0, _PIECE)
        pieces.append(path[:cut])
        path = path[cut + 1 :]
    return [*pieces, path]


def choose_opener(root: int) -> Opener:
    """Return the quickest opener that works here."""
    try:
        os.close(open_beneath(root, b".", DIRECTORY))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return open_by_walk
        raise
    return open_by_kernel


def explain(base: int, path: bytes, error: OSError) -> Exception:
    """Say which component of `path` is a symlink, if one is; else return `error` with the path."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV):
        names = path.split(b"/")
        for count in range(1, len(names) + 1):
            part = b"/".join(names[:count])
            if _is_symlink(base, part):
                return UnsafePath(path=path, reason=f"{_shown(part)} is a symbolic link, and none is ever followed")
    if error.errno == errno.ELOOP:
        return UnsafePath(path=path, reason="a symbolic link was on the way, and none is ever followed")
    return type(error)(error.errno, error.strerror, path)


def _is_symlink(base: int, path: bytes) -> bool:
    parent, _, name = path.rpartition(b"/")
    try:
        directory = open_by_walk(base, parent) if parent else os.open(b".", DIRECTORY, dir_fd=base)
    except OSError:
        return False
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=directory).st_mode)
    except OSError:
        return False
    finally:
        os.close(directory)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
