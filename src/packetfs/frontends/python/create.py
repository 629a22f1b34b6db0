"""A new pool with its empty namespace."""

from __future__ import annotations

import os

from packetfs.fs.filesystem import FileSystem
from packetfs.pool.pool import Pool


def create_pool(path: str, mean: int, durable: bool) -> None:
    """Make a pool, and the directories above it."""
    where = os.path.abspath(path)
    os.makedirs(os.path.dirname(where), exist_ok=True)
    with Pool.create(where, mean=mean, durable=durable) as pool, FileSystem(pool) as filesystem:
        filesystem.commit()
