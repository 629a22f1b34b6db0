"""Zero-copy views: each segment is mapped read-only on its own, and the mapping is the reader's lease.

A view and every slice of it keep the mapping alive, and with it the lease; the last one to go ends both. So no
collector punches what any view may still show (a punch under a live view turned it to zeros (measured)).
"""

from __future__ import annotations

import mmap
import threading
import weakref

from packetfs.limits import SEGMENT, SEGMENTS_MAPPED
from packetfs.pool.arena import Arena
from packetfs.pool.leases import Shares


class LeasedMapping(mmap.mmap):
    """A mapping that ends its lease when nothing shows it any more."""

    shares: Shares
    segment: int

    def __del__(self) -> None:
        self.shares.end(self.segment)


class Mappings:
    """The mapped segments of one pool: those with live views, and the last few for views to come."""

    def __init__(self, arena: Arena, shares: Shares) -> None:
        self._arena = arena
        self._shares = shares
        self._live: weakref.WeakValueDictionary[int, LeasedMapping] = weakref.WeakValueDictionary()
        self._recent: dict[int, LeasedMapping] = {}
        self._lock = threading.RLock()

    def view(self, position: int, length: int) -> memoryview:
        """Return the bytes at `position`, which must be in their file already."""
        segment, offset = divmod(position, SEGMENT)
        return memoryview(self.hold(segment, offset + length))[offset : offset + length]

    def hold(self, segment: int, size: int = 0) -> LeasedMapping:
        """Return a segment's mapping, of `size` bytes at the least: who has it is a reader of the segment."""
        with self._lock:
            mapping = self._live.get(segment)
            if mapping is None or len(mapping) < size:
                mapping = self._map(segment)
            self._recent.pop(segment, None)
            self._recent[segment] = mapping
            if len(self._recent) > SEGMENTS_MAPPED:
                del self._recent[next(iter(self._recent))]
        return mapping

    def release(self, segment: int) -> None:
        """Let go of a mapping that is only kept for views to come."""
        with self._lock:
            self._recent.pop(segment, None)

    def close(self) -> None:
        with self._lock:
            self._recent.clear()

    def _map(self, segment: int) -> LeasedMapping:
        self._shares.begin(segment)
        try:
            fd = self._arena.file(segment).fd
            mapping = LeasedMapping(fd, self._arena.segment_size(segment), access=mmap.ACCESS_READ)
        except BaseException:
            self._shares.end(segment)
            raise
        mapping.shares, mapping.segment = self._shares, segment
        self._live[segment] = mapping
        return mapping
