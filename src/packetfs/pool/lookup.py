"""Digest -> verified payload: the index finds, the header confirms, the digest decides at the first touch since boot.

Reads take no lock against a collector in another process: it erases the header, counts a punch, and then punches.
So bytes that were read are good when no punch was counted since before the header was read, or when they match. One
call that reads the header and what lies behind it is no different: it may still see the one and find the other gone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from packetfs.dataclass import dataclass
from packetfs.errors import (
    BadPacket,
    CorruptExtent,
    ExtentRange,
    ExtentTooLong,
    MissingExtent,
    PoolClosed,
)
from packetfs.limits import KIB, PATCH_DEPTH, PATCH_SHARE, SEGMENT
from packetfs.packet.digest import Digest, digest_of, short
from packetfs.packet.layout import PACKET, Buffer, Encoding
from packetfs.pool.extent import TAG_AT, Extent, decode_payload, is_intact, parse_header, plain_head, run_patch
from packetfs.pool.index import Index
from packetfs.pool.leases import Leases
from packetfs.pool.mapping import LeasedMapping, Mappings
from packetfs.pool.recovery import Places, is_trusted, load_summarised
from packetfs.pool.verified import Verified
from packetfs.typing import Final, NoReturn

_PATCH_READ: Final = 8 * KIB
"""Bytes behind its header that are read with it where a patch is looked for: most have no more."""


@dataclass(frozen=True, slots=True)
class Like:
    """An extent that a payload may share bytes with, its content, and where that would stand in the payload."""

    digest: Digest
    content: memoryview
    at: int = 0
    position: int = -1
    """Where the content was read from, which lies there as it is, behind its header; -1 where nobody knows."""


class Lookup:
    """Finds and reads extents for one open pool."""

    def __init__(
        self,
        places: Places,
        index: Index,
        verified: Verified,
        leases: Leases,
        mappings: Mappings,
        lock: threading.RLock,
    ) -> None:
        self.index = index
        self._lock: Final = lock
        self._places: Final = places
        self._arena: Final = places.arena
        self._durable: Final = places.block.durable
        self._verified: Final = verified
        self._leases: Final = leases
        self._mappings: Final = mappings
        self._name: Final = os.path.dirname(places.path)
        self._following = -1
        """Where the extent behind the last one lies: what was written in one go is read in one go."""

    # finding

    def extents(self, digest: Digest) -> Iterator[Extent]:
        """Yield the copies of an extent that the index leads to: one, unless damage was mended by a second."""
        for position in self.positions(digest):
            extent = self.header_at(position)
            if extent is not None and extent.digest == digest:
                yield extent

    def positions(self, digest: Digest) -> list[int]:
        """Return where the index says that an extent may be; the writer may be about to replace that index."""
        with self._lock:
            return [value * PACKET for value in self.index.get(digest)]

    def find(self, prefix: bytes) -> Digest | None:
        """Return the digest of an extent that begins with these 8 bytes."""
        for value in self.index.get(prefix):
            extent = self.header_at(value * PACKET)
            if extent is not None and extent.digest.startswith(prefix):
                return extent.digest
        return None

    def header_at(self, position: int) -> Extent | None:
        """Return what the header at `position` says, None where there is none."""
        raw = self._arena.read(position, PACKET)
        return parse_header(raw, 0, position) if len(raw) == PACKET else None

    def require(self, digest: Digest) -> Extent:
        """Return the first copy; MissingExtent when there is none."""
        for extent in self.extents(digest):
            return extent
        self.refresh()  # a reader may have met the writer in the middle of a change
        for extent in self.extents(digest):
            return extent
        raise MissingExtent(path=self._name, digest=short(digest))

    def refresh(self) -> None:
        """Follow the writer to the index that it has put in place of the one that this reader has mapped."""
        if self._arena.writable:
            return
        try:
            if os.stat(self._places.path).st_ino == self.index.inode:
                return
        except OSError:
            return
        found = load_summarised(self._places, writable=False)
        if found is not None and is_trusted(found[1], self._places, False, self._leases.live_epoch()):
            self.index = found[0]
        elif found is not None:
            found[0].close()

    def close(self) -> None:
        """Let go of the index; every later call is PoolClosed."""
        self.index.close()
        self.index.get = self.index.lacking = self._refuse

    def _refuse(self, *_: object) -> NoReturn:
        raise PoolClosed(path=self._name)

    # reading

    def read(self, digest: Digest, limit: int | None) -> bytes:
        """Return the payload from the first good copy."""
        punches = self._leases.punches()
        first = self.require(digest)
        if limit is not None and first.size > limit:
            raise ExtentTooLong(length=first.size, limit=limit)
        return self._read_good(first, punches)

    def _read_good(self, first: Extent, punches: int) -> bytes:
        """Return the payload from the first copy, or from another one that is good."""
        try:
            return self.payload_of(first, punches)
        except CorruptExtent as error:
            problem = error
        for extent in self.extents(first.digest):
            if extent != first:
                return self.payload_of(extent, self._leases.punches())
        raise problem

    def read_on_trust(self, digest: Digest, length: int) -> memoryview:
        """Return an extent of this length; what must be decoded is compared with its digest, the rest is not."""
        head = plain_head(digest, length)
        for position in self.positions(digest):
            found = self._arena.read(position, PACKET + length)  # with its header at once
            if len(found) == PACKET + length and found.startswith(head):
                return memoryview(found)[PACKET:]
        return memoryview(self.read(digest, None))

    def read_each(
        self, wanted: Iterable[tuple[Digest, int]], rooms: Sequence[memoryview], *, on_trust: bool
    ) -> list[Like]:
        """Return those of some extents that lie there as they are, each in a room of its own, read as by
        `Arena.read_each`. What is not taken `on_trust` is compared with its digest at its first touch since boot."""
        punches = self._leases.punches()
        asked: list[tuple[int, Digest, int]] = []
        for digest, length in wanted:
            asked += [(position, digest, length) for position in self.positions(digest)[:1]]
        read = self._arena.read_each([(position, PACKET + length) for position, _, length in asked], rooms)
        likes: list[Like] = []
        for data, (position, digest, length) in zip(read, asked, strict=True):
            like = self._like(data, position, digest, length, punches, on_trust=on_trust)
            if like is not None:
                likes.append(like)
        return likes

    def _like(
        self, found: memoryview, position: int, digest: Digest, length: int, punches: int, *, on_trust: bool
    ) -> Like | None:
        """Return what was read, with its header, as an extent; None where it is stored as something else."""
        if len(found) != PACKET + length or found[:TAG_AT] != plain_head(digest, length):
            return None
        if not on_trust and not self._is_sound(found, position, punches):
            return None
        return Like(digest, found[PACKET:], position=position)

    def _is_sound(self, found: memoryview, position: int, punches: int) -> bool:
        """Tell whether a plain extent, which was read with its header, has its digest."""
        if position in self._verified and self._leases.punches() == punches:
            return True
        extent = parse_header(found, 0, position)
        if extent is None or not is_intact(extent, found[PACKET:]):
            return False
        self._mark(extent)
        return True

    def payload_of(self, extent: Extent, punches: int = -1) -> bytes:
        """Return the payload of this copy; `punches` was counted before its header was read."""
        stored = self._arena.read(extent.payload, extent.length)
        payload = self._decode(extent, stored)
        verified = extent.position in self._verified and self._leases.punches() == punches
        if not verified or len(stored) != extent.length:
            self._verify(extent, payload)
        return bytes(payload)

    def _decode(self, extent: Extent, stored: bytes) -> Buffer:
        try:
            return decode_payload(extent, stored, self._base)
        except BadPacket as error:
            raise self._damaged(extent, error.message) from None

    # patches

    def _base(self, digest: Digest, depth: int) -> Buffer:
        """Return the payload of what a patch of this depth is over. One copy is not compared: what is made of it has a
        digest of its own. Of two one was damaged."""
        punches = self._leases.punches()
        copies = self._bases(digest, depth)
        if len(copies) == 1:
            return self._decode(copies[0], self._arena.read(copies[0].payload, copies[0].length))
        for extent in copies:
            with suppress(CorruptExtent):
                return self.payload_of(extent, punches)
        raise BadPacket(reason=f"extent {short(digest)}, which it is over, is damaged")

    def _bases(self, digest: Digest, depth: int) -> list[Extent]:
        """Return the copies of what a patch of this depth is over: each is less deep, so that no way is endless."""
        found = [extent for extent in self.extents(digest) if extent.depth < depth]
        if not found:
            self.refresh()
            found = [extent for extent in self.extents(digest) if extent.depth < depth]
        if not found:
            raise BadPacket(reason=f"extent {short(digest)}, which it is over, is not here")
        return found

    def patch_of(self, digest: Digest) -> tuple[bytes, list[Digest]] | None:
        """Return the patch that an extent is stored as, uncompared, and what it is over; None where it is none."""
        for position in self.positions(digest):
            found = self._arena.read(position, PACKET + _PATCH_READ)
            extent = parse_header(found, 0, position) if len(found) >= PACKET else None
            if extent is not None and extent.digest == digest:
                return self._named(extent, found[PACKET : PACKET + extent.length]) if extent.depth else None
        return None

    def _named(self, extent: Extent, patch: bytes) -> tuple[bytes, list[Digest]] | None:
        """Return a patch, of which so much was read, and what it is over."""
        from packetfs.packet.patch import bases_of  # most processes meet no patch

        whole = patch if len(patch) == extent.length else self._arena.read(extent.payload, extent.length)
        try:
            return whole, list(dict.fromkeys(bases_of(whole)))
        except BadPacket:
            return None

    def bases_of(self, extent: Extent) -> set[Digest]:
        """Return what an extent is a patch over: nothing where it is stored as something else."""
        if not extent.depth:
            return set()
        from packetfs.packet.patch import bases_of

        try:
            return set(bases_of(self._arena.read(extent.payload, extent.length)))
        except BadPacket:
            return set()

    def patch_over(self, payload: memoryview, like: Iterable[Like]) -> tuple[bytes, int] | None:
        """Return a payload as a patch over extents, and its depth; None where it is none, or too deep."""
        from packetfs.packet.patch import Piece, make_patch

        pieces: list[Piece] = []
        depth = done = 0
        for one in like:
            start, stop = max(done - one.at, 0), min(len(payload) - one.at, len(one.content))
            if start < stop:
                depth = max(depth, self._depth_of(one))
                done = one.at + stop
                pieces.append(Piece(one.at + start, one.digest, start, one.content[start:stop]))
        patch = make_patch(payload, pieces, len(payload) // PATCH_SHARE) if depth < PATCH_DEPTH else None
        return None if patch is None else (patch, depth + 1)

    def _depth_of(self, like: Like) -> int:
        """Return how deep a patch an extent is; PATCH_DEPTH where it is not held, or damaged: of that nothing may be
        made that lasts, also where the damage lies in what is not shared, as mending takes all of it away."""
        if like.position >= 0 and like.position // PACKET in self.index.get(like.digest):
            is_sound = self._is_believed(like.position) or digest_of(like.content) == like.digest
            return 0 if is_sound else PATCH_DEPTH
        extent = next(self.extents(like.digest), None)
        if extent is None or not (self._is_believed(extent.position) or is_intact(extent, like.content)):
            return PATCH_DEPTH
        return extent.depth  # the content may be that of another copy: nothing is marked

    def _is_believed(self, position: int) -> bool:
        """Tell whether an extent is taken to be intact: what a pool that is not durable has can be had again."""
        return not self._durable or position in self._verified

    def is_equal(self, extent: Extent, payload: Buffer) -> bool:
        """Say whether this copy holds these very bytes, which have its digest: then it is verified."""
        if extent.encoding is not Encoding.RAW or extent.length != len(payload):
            return False
        if not self._arena.read(extent.payload, extent.length).startswith(payload):
            return False
        self._verified.add(extent.position)
        return True

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of the payload, by reading no more than that once the extent is verified."""
        punches = self._leases.punches()
        return self._read_part(self.require(digest), punches, offset, length)

    def _read_part(self, extent: Extent, punches: int, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > extent.size:
            raise ExtentRange(digest=short(extent.digest), size=extent.size, offset=offset, length=length)
        if extent.encoding is Encoding.RAW and extent.position in self._verified:
            data = self._arena.read(extent.payload + offset, length)
            if len(data) == length and self._leases.punches() == punches:
                return data
        return self._read_good(extent, punches)[offset : offset + length]

    def read_into(self, digest: Digest, offset: int, out: memoryview) -> None:
        """Fill `out` from `offset` of the payload on, without another copy: of a whole extent, or a verified one."""
        if not offset and self._read_front(digest, out):
            return
        punches = self._leases.punches()
        extent = self.require(digest)
        is_plain = extent.encoding is Encoding.RAW and extent.position in self._verified
        if is_plain and 0 <= offset <= extent.size - len(out):
            count = self._arena.read_into(extent.payload + offset, out)
            if count == len(out) and self._leases.punches() == punches:
                return
        if extent.depth and not offset and len(out) == extent.size:
            stored = self._arena.read(extent.payload, extent.length)
            if self._run_patch(extent, punches, stored, out):
                return
        out[:] = self._read_part(extent, punches, offset, len(out))

    def _run_patch(self, extent: Extent, punches: int, stored: bytes, out: memoryview) -> bool:
        """Fill `out` with the payload of a patch; False where that is not what it should be, or may be gone by now."""
        is_verified = extent.position in self._verified
        try:
            run_patch(extent, stored, self._base, out)
        except (BadPacket, CorruptExtent):
            return False
        if is_verified:
            return self._leases.punches() == punches
        if not is_intact(extent, out):
            return False
        self._mark(extent)
        return True

    def _read_front(self, digest: Digest, out: memoryview) -> bool:
        """Fill `out` from the beginning of a payload that is stored as it is, or with all that a patch makes, read with
        its header at once; False where neither is what the index leads to first, or can be verified without more."""
        punches, header = self._leases.punches(), memoryview(bytearray(PACKET))
        for position in self.positions(digest):
            count = self._arena.read_into(position, header, out)
            extent = parse_header(header, 0, position) if count == PACKET + len(out) else None
            if extent is None or extent.digest != digest:
                return False
            if extent.depth and len(out) == extent.size:
                return self._run_patch(extent, punches, bytes(out[: extent.length]), out)
            if extent.encoding is not Encoding.RAW:
                return False
            if position in self._verified and self._leases.punches() == punches:
                return extent.size >= len(out)
            if not is_intact(extent, out):
                return False
            self._mark(extent)
            return True
        return False

    def known(self, digest: Digest, look: bool = False) -> memoryview | None:
        """Return the payload of an extent that was shown since its segment is mapped: nothing is read for it.

        `look`: None where the disk would have to be waited for, as far as its last byte tells.
        """
        found = self._mappings.find(digest)
        if found is None:
            return None
        mapping, start, stop = found
        if look and not self._arena.is_near(mapping.segment * SEGMENT + stop - 1):
            return None
        return memoryview(mapping)[start:stop]

    def view(self, digest: Digest) -> memoryview:
        """Return the payload where it lies; what must be decoded is a copy."""
        extent = self.require(digest)
        held = self._mappings.hold(extent.position // SEGMENT)  # the lease comes first: what is seen now will stay
        if self.header_at(extent.position) != extent:
            raise MissingExtent(path=self._name, digest=short(digest))
        return self._show(extent, held)

    def peek(self, digest: Digest) -> memoryview | None:
        """Return the same, None where the disk would have to be waited for, as far as a look at its ends tells."""
        guess = self._following
        if guess >= 0 and guess in self._verified:  # else it may be a damaged copy that nothing leads to
            held = self._mappings.hold(guess // SEGMENT)
            raw = self._arena.peek(guess, PACKET)
            extent = parse_header(raw, 0, guess) if raw is not None and len(raw) == PACKET else None
            if extent is not None and extent.digest == digest:
                return self._peek_at(extent, held)
        for position in self.positions(digest):
            held = self._mappings.hold(position // SEGMENT)
            raw = self._arena.peek(position, PACKET)
            if raw is None:
                return None
            extent = parse_header(raw, 0, position) if len(raw) == PACKET else None
            if extent is not None and extent.digest == digest:
                return self._peek_at(extent, held)
        return None

    def _peek_at(self, extent: Extent, held: LeasedMapping) -> memoryview | None:
        end = extent.end
        self._following = end if end % SEGMENT else -1
        is_near = self._arena.peek(_last_byte(extent), 1) is not None and self._has_bases_near(extent)
        return self._show(extent, held) if is_near else None

    def _has_bases_near(self, extent: Extent) -> bool:
        """Say whether what a patch is over can be had without waiting for the disk, as far as its ends tell."""
        positions = (position for base in self.bases_of(extent) for position in self.positions(base))
        for position in positions:
            base = self.header_at(position) if self._arena.is_near(position) else None
            if base is None or not self._arena.is_near(_last_byte(base)):
                return False
            if base.depth and base.depth < extent.depth and not self._has_bases_near(base):
                return False
        return True

    def _show(self, extent: Extent, held: LeasedMapping) -> memoryview:
        """Return the payload of an extent whose segment is held."""
        if extent.encoding is not Encoding.RAW or not extent.length:
            return memoryview(self.read(extent.digest, None))
        if extent.position not in self._verified:
            self.payload_of(extent)
        start = extent.payload % SEGMENT
        if len(held) < start + extent.length:
            held = self._mappings.hold(extent.payload // SEGMENT, start + extent.length)
        if not self._arena.is_gathered(extent.position):
            self._mappings.learn(held, extent.digest, start, start + extent.length)
        return memoryview(held)[start : start + extent.length]

    def _verify(self, extent: Extent, payload: Buffer) -> None:
        if not is_intact(extent, payload):
            raise self._damaged(extent, "its bytes do not match its digest")
        self._mark(extent)

    def _mark(self, extent: Extent) -> None:
        """Remember that an extent is intact, once it is in a file."""
        if not self._arena.is_gathered(extent.position):
            self._verified.add(extent.position)

    def _damaged(self, extent: Extent, reason: str) -> CorruptExtent | MissingExtent:
        if self.header_at(extent.position) != extent:
            return MissingExtent(path=self._name, digest=short(extent.digest))
        segment, offset = divmod(extent.position, SEGMENT)
        path = self._arena.segment_path(segment)
        return CorruptExtent(path=path, offset=offset, digest=short(extent.digest), reason=reason)


def _last_byte(extent: Extent) -> int:
    """Return where the payload ends."""
    return extent.payload + max(extent.length, 1) - 1
