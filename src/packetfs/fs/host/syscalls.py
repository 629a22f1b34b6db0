"""The Linux system calls that Python does not offer, each as a function that raises OSError.

ctypes is imported at the first call: it costs 6 ms that `pfs ls` need not pay.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from functools import cache

from packetfs.typing import Final

_OPENAT2: Final = 437
_RENAMEAT2: Final = 316 if os.uname().machine == "x86_64" else 276
_SYNCFS: Final = 306 if os.uname().machine == "x86_64" else 267
_INOTIFY_INIT, _INOTIFY_ADD, _INOTIFY_REMOVE = (294, 254, 255) if os.uname().machine == "x86_64" else (26, 27, 28)
"""Numbers on x86-64, else those of the generic table (arm64, riscv64); openat2 has the same on all."""
_NO_MAGICLINKS: Final = 0x02
_NO_SYMLINKS: Final = 0x04
_BENEATH: Final = 0x08
_RENAME_EXCHANGE: Final = 2
_HOW: Final = struct.Struct("<QQQ")
_CLONE_RANGE: Final = 0x4020940D
_RANGE: Final = struct.Struct("<qQQQ")
_RETRIES: Final = 64
"""Attempts at an openat2 that a rename elsewhere in the tree made ambiguous (EAGAIN)."""


@cache
def _kernel() -> tuple[Callable[..., int], Callable[[], int]]:
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long

    def syscall(number: int, *args: int | bytes) -> int:
        wide = (ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args)
        return int(call(ctypes.c_long(number), *wide))

    return syscall, ctypes.get_errno


def _call(number: int, *args: int | bytes) -> int:
    syscall, errno = _kernel()
    result = syscall(number, *args)
    if result < 0:
        code = errno()
        raise OSError(code, os.strerror(code))
    return result


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Open `path` below `directory`; no symlink on the way is followed, and none leads out (openat2)."""
    how = _HOW.pack(flags | os.O_CLOEXEC, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    for _ in range(_RETRIES):
        try:
            return _call(_OPENAT2, directory, path, how, _HOW.size)
        except BlockingIOError:
            continue
    return _call(_OPENAT2, directory, path, how, _HOW.size)


def exchange(directory: int, name: bytes, other_directory: int, other: bytes) -> None:
    """Swap what two names stand for, atomically (renameat2)."""
    _call(_RENAMEAT2, directory, name, other_directory, other, _RENAME_EXCHANGE)


def clone(fd: int, source: int, length: int) -> bool:
    """Let a file begin with the blocks of another one, shared; False where the filesystem cannot (FICLONERANGE)."""
    try:
        fcntl.ioctl(fd, _CLONE_RANGE, _RANGE.pack(source, 0, length, 0))
    except OSError:
        return False
    return True


def sync_filesystem(fd: int) -> None:
    """Make durable whatever was written to the filesystem of `fd`; raises if any write back failed (syncfs)."""
    _call(_SYNCFS, fd)


def inotify_open() -> int:
    """Return a descriptor that tells of changes to what is watched; it does not block (inotify_init1)."""
    return _call(_INOTIFY_INIT, os.O_CLOEXEC | os.O_NONBLOCK)


def inotify_watch(fd: int, path: bytes, mask: int) -> int:
    """Watch what is at `path`; return the number that its events carry (inotify_add_watch)."""
    return _call(_INOTIFY_ADD, fd, path, mask)


def inotify_forget(fd: int, watch: int) -> None:
    """Watch it no longer (inotify_rm_watch)."""
    _call(_INOTIFY_REMOVE, fd, watch)
