"""Collect what is not live: erase headers, then punch payload.

A header is erased, durably, before its payload is punched, and every punch is announced before it happens. So it can be
killed at any instruction: what was erased but not punched is space between live extents, which the next run punches.
A patch is erased before what it is over: one that is found, dead or not, can be read.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator
from itertools import chain, islice
from struct import iter_unpack

from packetfs.limits import COLLECT_BATCH, PATCH_DEPTH, SEGMENT
from packetfs.packet.digest import Digest
from packetfs.packet.layout import PACKET, Mark
from packetfs.packet.slots import CANDIDATES, SlotIndex, slots_bytes
from packetfs.pool.extent import Extent
from packetfs.pool.scan import read_header, scan, scan_gathered, scan_segment
from packetfs.pool.superblock import FIRST
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.pool.arena import Arena
    from packetfs.pool.pool import Pool

_BLOCK = 4096
"""Bytes that a filesystem frees at the least: a gap without a whole block is left alone."""
_SPARE: Final = 64
_UNUSED: Final = bytes(8)


class LiveSet:
    """What a collection keeps: 21 bytes a digest, where a set of Python takes 130.

    126 bits of each digest are compared, so nobody can make two that are taken for one. A digest may be in it as a
    program that was followed, as content, or as both: a file may hold the very bytes of a program.
    """

    def __init__(self, pool: Pool) -> None:
        """Have room for as many as the pool has extents; more are taken too."""
        self._memory = bytearray(slots_bytes(pool.lookup.index.count + _SPARE))
        self._slots = SlotIndex(self._memory)

    def add(self, digest: Digest, *, program: bool) -> bool:
        """Keep it; False where that was known already."""
        value = _identity(digest) << 1 | program
        while True:
            try:
                return self._slots.put(digest, value)
            except ValueError:  # full, or one crowded part is
                self._grow()

    def __contains__(self, digest: object) -> bool:
        """Say whether to keep it, as whatever it is."""
        if not isinstance(digest, bytes):
            return False
        wanted = _identity(digest)
        start = 0
        while True:
            found = self._slots.get(digest, start)
            for value in found:  # mostly there is one; any() would cost twice as much
                if value >> 1 == wanted:
                    return True
            if len(found) < CANDIDATES:
                return False
            start += CANDIDATES

    def _grow(self) -> None:
        old, self._memory = self._memory, bytearray(2 * len(self._memory))
        self._slots = SlotIndex(self._memory)
        for key, value in iter_unpack("<8sQ", old):
            if value and key != _UNUSED:
                self._slots.put(key, value - 1)


def _identity(digest: bytes) -> int:
    """Return 62 bits of a digest beyond the 64 that choose its slot."""
    return int.from_bytes(digest[8:16], "little") >> 2


def collect(pool: Pool, live: LiveSet) -> int:
    """Discard every extent that is not live and return the bytes freed; leased segments wait for the next run."""
    with pool.lock, pool.failing():
        pool.begin_writing()
        pool.flush()
        _settle_patches(pool, live)
        return sum(_collect_segment(pool, number, live) for number in pool.arena.segments())


def _settle_patches(pool: Pool, live: LiveSet) -> None:
    """Keep what live patches are over, wherever it lies; dead ones are erased before what they are over may go."""
    for positions in _patches(pool.arena):
        dead: list[Extent] = []
        for extent in filter(None, map(pool.lookup.header_at, positions)):
            if extent.digest not in live:
                dead.append(extent)
            for base in pool.lookup.bases_of(extent) if extent.digest in live else ():
                live.add(base, program=False)
            if len(dead) >= COLLECT_BATCH:
                _erase(pool, dead)
                dead.clear()
        if dead:
            _erase(pool, dead)


def _patches(arena: Arena) -> list[array[int]]:
    """Return where patches lie, the deepest ones first: each is over less deep ones alone."""
    found = [array("Q") for _ in range(PATCH_DEPTH)]
    for extent in chain(scan(arena), scan_gathered(arena)) if arena.may_have_patches else ():
        if extent.depth:
            found[PATCH_DEPTH - extent.depth].append(extent.position)
    return found


def _collect_segment(pool: Pool, number: int, live: Container[Digest]) -> int:
    """Erase what is dead in a segment, then punch everything that no live extent covers."""
    dead: list[Extent] = []
    gaps = list(_gaps(pool, number, live, dead))
    _erase(pool, dead)
    pool.leases.count_punch()
    return _punch(pool, number, gaps)


def discard(pool: Pool, extents: list[Extent]) -> int:
    """Erase and punch these extents and return the bytes freed."""
    own = [extent for extent in extents if _is_own(pool, extent)]
    _erase(pool, own)
    pool.leases.count_punch()
    return sum(_punch(pool, extent.position // SEGMENT, [(extent.position, extent.end)]) for extent in own)


def evict(pool: Pool, digest: Digest) -> int:
    """Let go of a payload and return the bytes that this freed: 0 while a view of its segment is live."""
    with pool.lock, pool.failing():
        pool.begin_writing()
        pool.arena.write_out()
        return discard(pool, list(pool.lookup.extents(digest)))


def discard_content(pool: Pool) -> int:
    """Let go of all DATA that is in the files, of a pool that is no more than a cache; return the bytes freed.

    Patches that are only in memory go too, as what they are over may go. Nothing needs to be written first, so it makes
    room where the disk is full.
    """
    with pool.lock, pool.failing():
        pool.begin_writing()
        freed = 0
        for positions in _patches(pool.arena):
            freed += _discard_all(pool, filter(None, map(pool.lookup.header_at, positions)))
        return freed + _discard_all(pool, (extent for extent in scan(pool.arena) if extent.mark is Mark.DATA))


def _discard_all(pool: Pool, extents: Iterator[Extent]) -> int:
    freed = 0
    while batch := list(islice(extents, COLLECT_BATCH)):
        freed += discard(pool, batch)
    return freed


def _is_needed(pool: Pool, extent: Extent, live: Container[Digest]) -> bool:
    """Say whether to keep a copy: of a live digest, and not a second copy beside a good one."""
    if extent.digest not in live:
        return False
    if pool.lookup.index.get(extent.digest) == [extent.position // PACKET]:
        return True
    held = next(pool.lookup.extents(extent.digest), None)
    if held is None or held.position == extent.position or held.position not in pool.verified:
        return True
    return extent.depth < held.depth  # patches may be over this one


def _is_own(pool: Pool, extent: Extent) -> bool:
    """Say whether the header was written by this pool: a damaged index may lead into the middle of some payload."""
    return read_header(pool.arena, pool.arena.read(extent.position, PACKET), 0, extent.position) == extent


def _erase(pool: Pool, extents: list[Extent]) -> None:
    """Make the extents unfindable, for every later scan too."""
    pool.leases.count_punch()
    for extent in extents:
        pool.arena.erase(extent.position)
        pool.forget(extent)
    if pool.durable:
        for number in sorted({extent.position // SEGMENT for extent in extents}):
            pool.arena.sync_segment(number)


def _punch(pool: Pool, number: int, ranges: list[tuple[int, int]]) -> int:
    """Return what the disk has more by it: ranges may be holes in part, and neighbours share blocks."""
    pool.mappings.release(number)
    before = pool.arena.blocks_of(number)
    with pool.leases.exclude(number) as is_free:
        for start, stop in ranges if is_free else ():
            pool.arena.punch(start, stop)
    return max(0, before - pool.arena.blocks_of(number))


def _gaps(pool: Pool, number: int, live: Container[Digest], dead: list[Extent]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a segment, behind its superblock, that no live extent covers and that are not holes already.

    What is dead is erased on the way, but for the last of it, which stays in `dead` for the caller.
    """
    base = number * SEGMENT
    end = base + pool.arena.segment_size(number)
    last = base + FIRST
    for extent in scan_segment(pool.arena, number):
        if not _is_needed(pool, extent, live):
            dead.append(extent)
            if len(dead) >= COLLECT_BATCH:
                _erase(pool, dead)
                dead.clear()
            continue
        yield from _data_in(pool, last, extent.position)
        last = extent.end if extent.end <= end else extent.position + PACKET
    yield from _data_in(pool, last, end)


def _data_in(pool: Pool, start: int, stop: int) -> Iterator[tuple[int, int]]:
    first, last = -(-start // _BLOCK) * _BLOCK, stop // _BLOCK * _BLOCK
    if first < last and pool.arena.next_data(first, last) < last:
        yield start, stop
