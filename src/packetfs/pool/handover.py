"""Bytes by offset: a process on the same host maps the segment itself, so handing over costs the same for any size.

The giver sends Locations; the taker opens the pool's lease file too, so its views keep collectors away like any other.
Who takes must trust the giver, or compare the digest: a Location says where bytes lie, not what they are.
"""

from __future__ import annotations

import os
from typing import Final

from packetfs.errors import ExtentRange, MissingExtent
from packetfs.limits import SEGMENT, SEGMENTS_MAX
from packetfs.packet.digest import Digest, short
from packetfs.packet.layout import PACKET, Encoding
from packetfs.pool.arena import Arena, read_superblock
from packetfs.pool.extent import Location, parse_header
from packetfs.pool.leases import Shares
from packetfs.pool.mapping import Mappings
from packetfs.pool.storage import DISK


class Taker:
    """Opens what another process of this host located in its pool, without the pool's index."""

    def __init__(self, path: str | bytes) -> None:
        where = os.path.abspath(os.fsdecode(path))
        block = read_superblock(DISK, f"{where}/arena")
        self.identity: Final = block.identity
        self._path: Final = where
        self._arena: Final = Arena(DISK, f"{where}/arena", block, writable=False)
        self._mappings: Final = Mappings(self._arena, Shares(DISK, f"{where}/leases"))

    def view(self, digest: Digest, location: Location) -> memoryview:
        """Return the stored payload at `location`; MissingExtent when that digest is not there (any more)."""
        if not 0 <= location.segment < SEGMENTS_MAX or not 0 <= location.length <= SEGMENT - location.offset:
            raise ExtentRange(digest=short(digest), size=SEGMENT, offset=location.offset, length=location.length)
        payload = location.segment * SEGMENT + location.offset
        view = self._mappings.view(payload, location.length) if location.length else memoryview(b"")
        raw = self._arena.read(payload - PACKET, PACKET)
        header = parse_header(raw, 0, payload - PACKET) if len(raw) == PACKET else None
        if header is None or (header.digest, header.length) != (digest, location.length):
            raise MissingExtent(path=self._path, digest=short(digest))
        return view

    def close(self) -> None:
        """Let go of everything but the views."""
        self._mappings.close()
        self._arena.close()


def is_plain(location: Location) -> bool:
    """Say whether the stored bytes are the payload itself."""
    return location.encoding is Encoding.RAW
