"""The directory in which running jobs lie, so that other processes find them."""

from __future__ import annotations

import os
import stat

from packetfs import errors
from packetfs.frontends import settings


def runtime() -> str:
    """Return the directory of live microVMs, made where there is none; one that others may write to is refused."""
    path = settings.runtime_path()
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise errors.PoolAccess(path=path, reason="it holds live microVMs, and others may write to it")
    return path
