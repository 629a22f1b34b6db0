"""How much a place holds, for quotas: the bytes of its files, and something for each name."""

from __future__ import annotations

import os

from packetfs.errors import PacketFSError
from packetfs.fs.filesystem import open_names
from packetfs.fs.survey import totals
from packetfs.limits import NAME_COST
from packetfs.net.ends import Place
from packetfs.pool.pool import Pool


def stored_in(place: Place) -> int:
    """Return the bytes at a place; 0 where nothing is yet. Nothing is followed out of it."""
    return _in_pool(place) if place.pool else _on_host(os.fsencode(place.path))


def _in_pool(place: Place) -> int:
    with Pool.open(place.pool) as pool, open_names(pool) as fs:
        try:
            files, size = totals(fs, place.path.strip(b"/"))
        except PacketFSError:
            return 0
    return size + files * NAME_COST


def _on_host(top: bytes) -> int:
    size, directories = 0, [top]
    while directories:
        try:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    size += NAME_COST
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        size += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return size
