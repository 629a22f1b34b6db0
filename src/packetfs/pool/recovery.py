"""Make the index good again: trust what a clean stop left, otherwise walk the arena and erase what a crash tore.

Everything before `synced` in the index header was durable when that header was written, and a segment is durable before
the next is begun. So after an unclean stop only the extents behind the later of the two can be torn: their payload is
compared with its digest, and those that fail are not indexed. They were never promised to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile

from packetfs.dataclass import dataclass
from packetfs.errors import BadPacket
from packetfs.limits import PATCH_DEPTH, SEGMENT
from packetfs.packet.digest import Digest
from packetfs.packet.layout import PACKET, Buffer, Mark
from packetfs.pool.arena import Arena
from packetfs.pool.extent import Extent, decode_payload, is_intact, parse_header
from packetfs.pool.index import (
    Index,
    State,
    Summary,
    create_index,
    create_private_index,
    load_index,
)
from packetfs.pool.scan import scan
from packetfs.pool.storage import Storage
from packetfs.pool.superblock import FIRST, Superblock, encode_superblock
from packetfs.typing import Final

_GROWTH: Final = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """An index that is good, the bytes of live DATA it leads to, and whether its file says so already."""

    index: Index
    content: int
    clean: bool


@dataclass(frozen=True, slots=True)
class Places:
    """What recovery works on."""

    storage: Storage
    arena: Arena
    block: Superblock
    path: str
    boot: bytes


def open_index(places: Places, *, writable: bool, live_epoch: int) -> Opened:
    """Return the index of the pool, built anew where the one on disk cannot be trusted."""
    found = load_summarised(places, writable)
    summary = found[1] if found is not None else None
    if found is not None:
        if is_trusted(found[1], places, writable, live_epoch):
            return Opened(found[0], found[1].content, found[1].state is State.CLEAN)
        found[0].close()
    if writable:
        restore_superblocks(places)
    known = summary if summary is not None and summary.identity == places.block.identity else None
    index, content = rebuild(places, known, writable)
    return Opened(index, content, False)


def load_summarised(places: Places, writable: bool) -> tuple[Index, Summary] | None:
    """Return the index on disk with what its header says, None when it is not whole."""
    found = load_index(places.storage, places.path, writable)
    summary = found.summary() if found is not None else None
    if found is not None and summary is None:
        found.close()
    return (found, summary) if found is not None and summary is not None else None


def is_trusted(summary: Summary, places: Places, writable: bool, live_epoch: int) -> bool:
    """Say whether an index may be used: after a clean stop, or beside the live writer that keeps it."""
    if summary.identity != places.block.identity:
        return False
    if summary.state is State.CLEAN:
        # A reader that follows writers has seen the arena's end only when it was opened.
        return summary.end == (places.arena.end if writable else places.arena.measure_end())
    return not writable and summary.epoch == live_epoch


def restore_superblocks(places: Places) -> None:
    """Write the first pages of a segment again when a crash kept them from the disk: the last is begun with them, in
    the first they change."""
    for number in {places.arena.segments()[0], places.arena.last}:
        head = places.arena.read(number * SEGMENT, FIRST)
        if head != encode_superblock(places.block, number):
            places.arena.restore_superblock(number)


def rebuild(places: Places, summary: Summary | None, writable: bool) -> tuple[Index, int]:
    """Walk the arena and return a new index with the bytes of DATA that it leads to."""
    slots = summary.slots if summary is not None else 0
    index = create_index(places.storage, places.path, slots) if writable else create_private_index(slots)
    doubtful = torn_from(places, summary)
    content = 0
    for extent in _bases_first(places.arena, doubtful):
        if extent.position >= doubtful and not is_whole(places.arena, extent, index.get):
            if writable:
                _erase(places.arena, extent, summary)
            continue
        if index.is_full:
            index = grow(places, index, private=not writable)
        index.put(extent.digest, extent.position // PACKET)
        content += extent.length if extent.mark is Mark.DATA else 0
    if writable and places.block.durable:  # what a killed writer left in the kernel counts as held from now on
        places.arena.sync_last()
    return index, content


def _bases_first(arena: Arena, doubtful: int) -> Iterator[Extent]:
    """Yield every extent, the doubtful ones by depth: what a patch is over lies behind it where it was stored again."""
    yield from takewhile(lambda extent: extent.position < doubtful, scan(arena))
    for depth in range(PATCH_DEPTH + 1):
        yield from (extent for extent in scan(arena, doubtful) if extent.depth == depth)


def torn_from(places: Places, summary: Summary | None) -> int:
    """Return the position from which on extents may be torn: anywhere, if the machine went down without any sync."""
    last = places.arena.last * SEGMENT
    if summary is None or summary.synced > places.arena.end:
        return last if places.block.durable else 0
    if not places.block.durable and summary.boot != places.boot:
        return 0
    return max(last, summary.synced)


def is_whole(arena: Arena, extent: Extent, find: Callable[[Digest], list[int]]) -> bool:
    """Say whether the payload on disk is what the header names. `find` is an index of those that it may be over."""

    def read(digest: Digest, depth: int) -> Buffer:
        for position in (value * PACKET for value in find(digest)):
            raw = arena.read(position, PACKET)
            base = parse_header(raw, 0, position) if len(raw) == PACKET else None
            if base is not None and base.digest == digest and base.depth < depth:
                payload = decode_payload(base, arena.read(base.payload, base.length), read)
                if is_intact(base, payload):
                    return payload
        raise BadPacket(reason="what it is a patch of is not here")

    stored = arena.read(extent.payload, extent.length)
    try:
        return len(stored) == extent.length and is_intact(extent, decode_payload(extent, stored, read))
    except BadPacket:
        return False


def _erase(arena: Arena, extent: Extent, summary: Summary | None) -> None:
    """Erase a torn header where it was surely not durable, or would hide what is appended behind it."""
    if extent.end > arena.end or (summary is not None and extent.position >= summary.synced):
        arena.erase(extent.position)


def grow(places: Places, index: Index, *, private: bool) -> Index:
    """Return an index of twice the size; the old one stays in place until the new one is complete."""
    slots = index.capacity * _GROWTH
    if private:
        larger = create_private_index(slots)
        index.copy_into(larger)
    else:
        larger = create_index(places.storage, places.path + ".new", slots)
        try:
            _replace(places, index, larger)
        except BaseException:
            larger.close()
            raise
    index.close()
    return larger


def _replace(places: Places, index: Index, larger: Index) -> None:
    index.copy_into(larger)
    summary = index.summary()
    if summary is not None:
        larger.write_summary(summary)
    places.storage.rename(places.path + ".new", places.path)
