"""A responder made with mfusepy, in a process of its own: `mount_mfusepy.py DIRECTORY BYTES` serves one large file."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Any

import mfusepy  # an optional peer

BUFFER = 16 << 20


class Responder(mfusepy.Operations):  # type: ignore[misc]
    """One file, `large`, whose bytes all come from one buffer. It must return bytes: a view is refused."""

    use_ns = True

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffer = os.urandom(BUFFER)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:  # noqa: ARG002
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path == "/large":
            return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": self._size}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:  # noqa: ARG002
        at = offset % (BUFFER - size)
        return self._buffer[at : at + min(size, self._size - offset)]


if __name__ == "__main__":
    mfusepy.FUSE(Responder(int(sys.argv[2])), sys.argv[1], foreground=True, nothreads=True, attr_timeout=60)
