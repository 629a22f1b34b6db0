"""Find every extent by its header alone: what is left when the index is lost, and what checks and collectors walk.

Past damage a scan goes on at the next 64 bytes that are a header of this pool; holes are jumped over.
"""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.limits import SCAN_PEEK, SCAN_WINDOW, SEGMENT
from packetfs.packet.layout import PACKET, Op
from packetfs.pool.arena import Arena
from packetfs.pool.extent import Extent, is_authentic, parse_header
from packetfs.pool.superblock import FIRST


def scan(arena: Arena, start: int = 0) -> Iterator[Extent]:
    """Yield the extents whose headers lie at `start` or later, in order, those cut short by a crash included."""
    for number in arena.segments():
        base = number * SEGMENT
        stop = base + arena.segment_size(number)
        if stop > start:
            yield from _scan_segment(arena, max(base + FIRST, start), stop)


def scan_segment(arena: Arena, number: int) -> Iterator[Extent]:
    """Yield those of one segment."""
    base = number * SEGMENT
    return _scan_segment(arena, base + FIRST, base + arena.segment_size(number))


def scan_gathered(arena: Arena) -> Iterator[Extent]:
    """Yield those that are only in memory yet."""
    return _scan_segment(arena, arena.written, arena.end)


def _scan_segment(arena: Arena, position: int, stop: int) -> Iterator[Extent]:
    window, at = b"", position
    while position + PACKET <= stop:
        offset = position - at
        if offset + PACKET > len(window):
            window = arena.read(position, SCAN_WINDOW if offset - len(window) < SCAN_PEEK else SCAN_PEEK)
            at, offset = position, 0
            if len(window) < PACKET:
                return
        extent = read_header(arena, window, offset, position)
        if extent is None:
            position = _resync(arena, window, offset, position, stop)
        else:
            yield extent
            position = extent.end if extent.end <= stop else position + PACKET


def read_header(arena: Arena, window: bytes, offset: int, position: int) -> Extent | None:
    """Return the extent whose header is at `offset` of the window, None where this pool wrote no header."""
    extent = parse_header(window, offset, position)
    return extent if extent is not None and is_authentic(arena.secret, window, offset, position) else None


def _resync(arena: Arena, window: bytes, offset: int, position: int, stop: int) -> int:
    """Return the next position that may hold a header."""
    ahead = window[offset + PACKET :: PACKET].find(Op.EXTENT)
    if ahead >= 0:
        return position + PACKET * (ahead + 1)
    beyond = position - offset + len(window) // PACKET * PACKET
    return arena.next_data(beyond, stop) if beyond < stop else stop
