"""How much content a pool keeps that only mirrors host directories: all its programs always, content within a budget.

Content is there for exact deltas, and what changed lately is what changes next. So room is given from the newest time
stamp to the oldest, old versions included, and what never changes goes first. A collection marks in that order and
takes no more content than fits: garbage and what is evicted go in the same sweep.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from heapq import merge
from itertools import islice

from packetfs.errors import PoolFull
from packetfs.fs.diff import diff
from packetfs.fs.directory import node_of
from packetfs.fs.filesystem import NAMES, FileSystem
from packetfs.fs.gc import mark, roots_of
from packetfs.limits import (
    BUDGET_SLACK,
    BUDGET_WHILE_SYNCING,
    COLLECT_GROWTH,
    COLLECT_GROWTH_MIN,
    DISK_SHARE,
    OLD_VERSIONS_MAX,
    PATCH_DEPTH,
    ROOTS_CONTENT,
)
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.pool.database import explained
from packetfs.pool.extent import Extent
from packetfs.pool.gc import LiveSet, collect, discard_content
from packetfs.pool.pool import Pool
from packetfs.typing import Final, TypeVar

UNLIMITED: Final = 1 << 63
"""The budget of a pool that is not a cache."""
_COLLECTED: Final = b"collected"
_MEASURE: Final = struct.Struct("<QQ")
_BY_TIME: Final = "SELECT mtime_ns, root FROM inode WHERE mode>>12=? AND root!=? ORDER BY mtime_ns DESC, ino"
_SORT_CACHE: Final = 256 * 1024
"""Bytes that SQLite sorts at a time: it is the moment of a sync that takes the most memory, and disk costs little."""
_Version = tuple[int, Digest]
"""Time stamp and root of a file's content."""
_T = TypeVar("_T")


class Allowance:
    """What one import may keep. `changed` content may go beyond the budget until the sync is over: the old version is
    needed to find the difference, the new one next time.
    """

    def __init__(self, pool: Pool, budget: int) -> None:
        self._pool = pool
        self._budget = budget
        self._most = UNLIMITED if budget >= UNLIMITED else pool.content_bytes + _free_bytes(pool) // DISK_SHARE

    def admits(self, size: int, *, changed: bool) -> bool:
        """Say whether to keep the content of a file of this size."""
        if self._budget >= UNLIMITED:
            return True
        after = self._pool.content_bytes + size
        limit = BUDGET_WHILE_SYNCING * self._budget if changed and size <= self._budget else self._budget
        return after <= min(limit, self._most)

    def give_up(self) -> bool:
        """After a full disk: free all content and keep none; False where that cannot help."""
        if self._budget >= UNLIMITED or self._most < 0:
            return False
        self._most = -1
        discard_content(self._pool)
        return True

    def making_room(self, action: Callable[[], _T]) -> _T:
        """Do something again, with more room, where the disk was full."""
        try:
            return action()
        except PoolFull:
            if not self.give_up():
                raise
            return action()


def tidy(fs: FileSystem, budget: int, held: Sequence[Digest]) -> int:
    """Bring the pool within its budget and free garbage if that pays by now; return the bytes freed.

    `held` are the roots that receivers may have, newest first: their programs stay.
    """
    if not _is_due(fs, budget):
        return 0
    freed = keep_within(fs, budget - budget // BUDGET_SLACK, held)
    _note_collected(fs)
    return freed


def _is_due(fs: FileSystem, budget: int) -> bool:
    if fs.pool.content_bytes > budget:
        return True
    found = fs.note(_COLLECTED)
    if found is None or len(found) != _MEASURE.size:  # all that a first sync stored is in use
        _note_collected(fs)
        return False
    end, used = _MEASURE.unpack(found)
    return bool(fs.pool.arena.end - end > max(COLLECT_GROWTH_MIN, used // COLLECT_GROWTH))


def _note_collected(fs: FileSystem) -> None:
    arena = fs.pool.arena
    used = sum(os.stat(arena.segment_path(number)).st_blocks * 512 for number in arena.segments())
    fs.set_note(_COLLECTED, _MEASURE.pack(arena.end, used))
    fs.commit()


def keep_within(fs: FileSystem, limit: int, held: Sequence[Digest]) -> int:
    """Keep the programs of the names and of `held`, and `limit` bytes of content; return the bytes freed."""
    fs.commit()
    pool = fs.pool
    live = LiveSet(pool)
    held = [root for root in held if pool.holds(root)]
    old = sorted(islice(_old_versions(pool, held), OLD_VERSIONS_MAX), reverse=True)
    versions = merge(_by_time(fs), old, key=lambda version: -version[0])
    mark(pool, live, (root for _, root in versions), _Room(pool, live, limit).take)
    mark(pool, live, roots_of(fs), _leave)
    mark(pool, live, held, _leave)
    return collect(pool, live)


class _Room:
    """Keeps content until the limit is reached; from then on none, however little it takes."""

    def __init__(self, pool: Pool, live: LiveSet, limit: int) -> None:
        self._lookup = pool.lookup
        self._live = live
        self._left = limit

    def take(self, leaf: bytes) -> None:
        digest = node_of(leaf)
        if self._left < 0 or digest in self._live:
            return
        needed = list(self._needed(digest))
        self._left -= sum(extent.length for extent in needed)
        for extent in needed if self._left >= 0 else ():
            self._live.add(extent.digest, program=False)

    def _needed(self, digest: Digest, below: int = PATCH_DEPTH + 1) -> Iterator[Extent]:
        """Yield what must stay so that an extent does: itself, and what it is a patch over, which is less deep."""
        extent = next((copy for copy in self._lookup.extents(digest) if copy.depth < below), None)
        if extent is not None and digest not in self._live:
            yield extent
            for base in self._lookup.bases_of(extent):
                yield from self._needed(base, extent.depth)


def _leave(leaf: bytes) -> None:
    """Keep no content beyond what was taken already."""


def _by_time(fs: FileSystem) -> Iterator[_Version]:
    """Yield the contents that have names, the newest first; SQLite sorts them, on disk where they are many."""
    with closing(fs.pool.database(NAMES)) as database, explained(database.filename):
        database.pragma("cache_size", -_SORT_CACHE // 1024)
        for mtime_ns, root in database.execute(_BY_TIME, (stat.S_IFREG >> 12, NO_DIGEST)):
            yield mtime_ns, Digest(root)


def _old_versions(pool: Pool, held: Sequence[Digest]) -> Iterator[_Version]:
    """Yield the contents that the roots before the first one had in place of what it has."""
    for root in held[1:ROOTS_CONTENT]:
        for change in diff(pool, root, held[0]):
            old, new = change.old, change.new
            if old is not None and old.is_file and (new is None or new.root != old.root):
                yield old.mtime_ns, Digest(old.root)


def _free_bytes(pool: Pool) -> int:
    """Return what the disk has left for us."""
    status = os.statvfs(pool.path)
    return status.f_bavail * status.f_frsize
