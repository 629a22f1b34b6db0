"""Zero-copy views: each segment is mapped read-only on its own, and the mapping is the reader's lease.

A view and every slice of it keep the mapping alive, and with it the lease; the last one to go ends both. So no
collector punches what any view may still show (a punch under a live view turned it to zeros (measured)).
"""

from __future__ import annotations

import mmap
import threading
from functools import cached_property

from packetfs.limits import EXTENTS_KNOWN, SEGMENT, SEGMENTS_MAPPED
from packetfs.pool.arena import Arena
from packetfs.pool.leases import Shares
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from weakref import WeakValueDictionary

_STOP: Final = (1 << 32) - 1


class LeasedMapping(mmap.mmap):
    """A mapping that ends its lease when nothing shows it any more."""

    shares: Shares
    segment: int
    known: dict[bytes, int]
    """Digest -> where in the segment its verified bytes lie (start << 32 | stop): true as long as the lease lasts."""

    def __del__(self) -> None:
        self.shares.end(self.segment)


class Mappings:
    """The mapped segments of one pool: those with live views, and the last few for views to come."""

    def __init__(self, arena: Arena, shares: Shares) -> None:
        self._arena = arena
        self._shares = shares
        self._recent: dict[int, LeasedMapping] = {}
        self._newest: LeasedMapping | None = None
        self._lock = threading.RLock()

    @cached_property
    def _live(self) -> WeakValueDictionary[int, LeasedMapping]:
        """Those that anything shows."""
        from weakref import WeakValueDictionary  # most commands map nothing

        return WeakValueDictionary()

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
            self._use(mapping)
        return mapping

    def _use(self, mapping: LeasedMapping) -> None:
        self._recent.pop(mapping.segment, None)
        self._recent[mapping.segment] = self._newest = mapping
        if len(self._recent) > SEGMENTS_MAPPED:
            del self._recent[next(iter(self._recent))]

    def learn(self, mapping: LeasedMapping, digest: bytes, start: int, stop: int) -> None:
        """Remember where the verified bytes of an extent lie, stored as they are."""
        with self._lock:
            if len(mapping.known) >= EXTENTS_KNOWN:
                mapping.known.clear()
            mapping.known[digest] = start << 32 | stop

    def find(self, digest: bytes) -> tuple[LeasedMapping, int, int] | None:
        """Return the mapping that an extent was learnt to be in, and its start and stop there."""
        newest = self._newest
        place = None if newest is None else newest.known.get(digest)
        if newest is not None and place is not None:
            return newest, place >> 32, place & _STOP
        with self._lock:
            for mapping in self._recent.values():
                place = mapping.known.get(digest)
                if place is not None:
                    self._use(mapping)
                    return mapping, place >> 32, place & _STOP
        return None

    def unlearn(self, segment: int, digest: bytes) -> None:
        """Forget where an extent lies: it is damaged, or gone."""
        with self._lock:
            mapping = self._live.get(segment)
            if mapping is not None:
                mapping.known.pop(digest, None)

    def release(self, segment: int) -> None:
        """Let go of a mapping that is only kept for views to come."""
        with self._lock:
            if self._recent.pop(segment, None) is self._newest:
                self._newest = None

    def close(self) -> None:
        with self._lock:
            self._recent.clear()
            self._newest = None
        self._shares.close()

    def _map(self, segment: int) -> LeasedMapping:
        self._shares.begin(segment)
        try:
            fd = self._arena.file(segment).fd
            mapping = LeasedMapping(fd, self._arena.segment_size(segment), access=mmap.ACCESS_READ)
        except BaseException:
            self._shares.end(segment)
            raise
        mapping.shares, mapping.segment, mapping.known = self._shares, segment, {}
        self._live[segment] = mapping
        return mapping
