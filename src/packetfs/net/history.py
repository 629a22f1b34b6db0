"""What this side remembers of a plain directory between syncs: a pool of its own for each, in the user's data.

It is a cache: nothing in it is the only copy of anything, so it is not made durable, and a damaged one is made anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.errors import CorruptDatabase, CorruptExtent, NotAPool
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import digest_of
from packetfs.pool.pool import Pool

_DAMAGE = (CorruptDatabase, CorruptExtent, NotAPool)


@contextmanager
def open_history(base: str, role: str, place: bytes, mean: int) -> Iterator[FileSystem]:
    """Open the memory of `place` (a real path) as `role`, "source" or "target", made if it is missing or unusable."""
    key = digest_of(b"%s\0%d\0%s" % (role.encode(), mean, place))
    path = os.path.join(base, f"{role}-{key[:12].hex()}")
    with _open_or_make(path, mean) as pool, FileSystem(pool) as fs:
        yield fs


def _open_or_make(path: str, mean: int) -> Pool:
    if not os.path.isdir(path):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return Pool.create(path, mean=mean, durable=False)
    try:
        return Pool.open(path, writable=True)
    except _DAMAGE:
        shutil.rmtree(path)
        return Pool.create(path, mean=mean, durable=False)
