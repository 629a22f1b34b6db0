"""The first packets of every segment: which pool it belongs to, and the pool's settings and secret.

    packet 0   HEAD kind SEGMENT: mean, segment number, identity of the pool
    packet 1   DATA: secret (32 bytes), creation time in ns (u64), flags (u64; bit 0: durable)
    packet 2   DATA: BLAKE3-256 of packets 0 and 1

They stand twice, in two different pages: losing the secret would lose every tag of a pool of one segment.
"""

from __future__ import annotations

import struct

from packetfs.dataclass import dataclass
from packetfs.errors import BadPacket
from packetfs.packet.codec import Packet, decode, encode
from packetfs.packet.digest import DIGEST, digest_of
from packetfs.packet.head import PATCHES, Head, Kind
from packetfs.packet.layout import BODY, PACKET, Buffer, Op
from packetfs.typing import Final

COPIES: Final = (0, 4096)
"""Where the copies begin, in bytes from the start of the segment."""
FIRST: Final = 8192
"""Where a segment's extents begin."""
_PACKETS: Final = 3
_SECRET: Final = struct.Struct("<32sQQ")
_DURABLE: Final = 1


@dataclass(frozen=True, slots=True)
class Superblock:
    """The settings of a pool, fixed at its creation (`created`: ns since 1970), but for `patches`: there may be any."""

    identity: bytes
    secret: bytes
    mean: int
    durable: bool
    created: int
    patches: bool = False


def encode_superblock(block: Superblock, segment: int) -> bytes:
    """Return the 8 KiB at the start of a segment."""
    required = PATCHES if block.patches else 0
    head = encode(Head(Kind.SEGMENT, segment, block.mean, required, identity=block.identity).packet())
    body = _SECRET.pack(block.secret, block.created, _DURABLE if block.durable else 0)
    both = head + encode(Packet(Op.DATA, length=BODY, body=body))
    copy = both + encode(Packet(Op.DATA, length=DIGEST, body=digest_of(both).ljust(BODY, b"\0")))
    return copy.ljust(COPIES[1], b"\0") + copy.ljust(FIRST - COPIES[1], b"\0")


def decode_superblock(data: Buffer, segment: int) -> Superblock:
    """Return what the first good copy says; BadPacket when there is none."""
    for offset in COPIES:
        if is_good_copy(data, offset, segment):
            return _decode_copy(data, offset)
    raise BadPacket(reason=f"segment {segment} does not begin like one")


def is_good_copy(data: Buffer, offset: int, segment: int) -> bool:
    """Say whether the copy at `offset` is as it was written, for this segment."""
    both = bytes(data[offset : offset + 2 * PACKET])
    sealed = data[offset + 2 * PACKET + PACKET - BODY :][:DIGEST]
    return len(both) == 2 * PACKET and digest_of(both) == sealed and decode(both).operand == segment


def _decode_copy(data: Buffer, offset: int) -> Superblock:
    head = Head.parse(decode(data, offset))
    secret, created, flags = _SECRET.unpack(decode(data, offset + PACKET).body)
    if head.kind is not Kind.SEGMENT or flags & ~_DURABLE:
        raise BadPacket(reason="the superblock has an unknown kind or unknown flags")
    patches = bool(head.required & PATCHES)
    return Superblock(head.identity, secret, head.mean, bool(flags & _DURABLE), created, patches)
