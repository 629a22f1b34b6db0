"""EXTENT: the packet before every payload in the arena, which makes the arena describe itself.

Its tag is keyed by a secret of the pool and covers the absolute position, so file content that looks like a header,
be it a copy of this very arena, is never taken for one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from packetfs.dataclass import dataclass
from packetfs.limits import EXTENT_MAX, PATCH_DEPTH, PAYLOAD_MAX
from packetfs.packet.digest import Digest, digest_of, keyed_tag
from packetfs.packet.layout import PACKET, Buffer, Encoding, Mark, Op
from packetfs.packet.zstd import decompress
from packetfs.typing import Final

_HEAD: Final = struct.Struct("<BBHIQ32s")
_POSITION: Final = struct.Struct("<Q")
TAG_AT: Final = _HEAD.size
"""Where the tag of a header stands, behind all that it covers."""
_EXTENT: Final = int(Op.EXTENT)
_PLAIN: Final = (_EXTENT, Mark.DATA << 2 | Encoding.RAW, 0)
_PATCH: Final = int(Encoding.PATCH)
_MARKS: Final = tuple(Mark)
_ENCODINGS: Final = tuple(Encoding)  # an Enum costs half a microsecond a call, and headers are read for every extent


@dataclass(frozen=True, slots=True)
class Extent:
    """A header at `position` of the arena. `length`: bytes stored behind it; `size`: bytes when decoded."""

    position: int
    digest: Digest
    length: int
    size: int
    mark: Mark
    encoding: Encoding
    depth: int = 0
    """Of a patch: 1 above that of the deepest extent that it is over. 0 is whole."""

    @property
    def payload(self) -> int:
        return self.position + PACKET

    @property
    def end(self) -> int:
        return self.position + PACKET + padded(self.length)


@dataclass(frozen=True, slots=True)
class Location:
    """Where an extent's payload lies: its segment, the offset in that file, and how it is stored."""

    segment: int
    offset: int
    length: int
    encoding: Encoding = Encoding.RAW


def padded(length: int) -> int:
    return (length + PACKET - 1) & -PACKET


def flags_of(mark: int, encoding: int, depth: int = 0) -> int:
    """Return the flags of a header."""
    return encoding | mark << 2 | depth << 4


def header_maker(secret: bytes) -> Callable[[int, bytes, int, int, int], bytes]:
    """Return the function (position, digest, length, size, flags) -> 64 bytes of a header."""

    def make(position: int, digest: bytes, length: int, size: int, flags: int) -> bytes:
        head = _HEAD.pack(Op.EXTENT, flags, 0, length, size, digest)
        return head + keyed_tag(secret, head + _POSITION.pack(position))

    return make


def parse_header(data: Buffer, offset: int, position: int) -> Extent | None:
    """Return what the packet says, None when it cannot be a header. Nothing is proved but that it is well formed."""
    op, flags, vm, length, size, digest = _HEAD.unpack_from(data, offset)
    encoding, mark, depth = flags & 3, flags >> 2 & 3, flags >> 4
    if op != _EXTENT or vm or encoding >= len(_ENCODINGS) or mark >= len(_MARKS):
        return None
    if depth > PATCH_DEPTH or (depth > 0) != (encoding == _PATCH):
        return None
    if size > (EXTENT_MAX if depth else PAYLOAD_MAX) or length > size or (length != size and not encoding):
        return None
    return Extent(position, Digest(digest), length, size, _MARKS[mark], _ENCODINGS[encoding], depth)


def plain_head(digest: Digest, length: int) -> bytes:
    """Return what a header of content that is stored as it is begins with: all but its tag."""
    return _HEAD.pack(*_PLAIN, length, length, digest)


def plain_chunk(secret: bytes, data: Buffer, offset: int, position: int) -> tuple[int, Digest] | None:
    """Return (length, digest) where this pool wrote a header of content that is stored as it is; None for all else."""
    op, flags, vm, length, size, digest = _HEAD.unpack_from(data, offset)
    if (op, flags, vm) != _PLAIN or length != size or not length or not is_authentic(secret, data, offset, position):
        return None
    return length, Digest(digest)


def is_authentic(secret: bytes, data: Buffer, offset: int, position: int) -> bool:
    """Say whether this pool wrote these 64 bytes, at this very position."""
    head = bytes(data[offset : offset + TAG_AT])
    return keyed_tag(secret, head + _POSITION.pack(position)) == data[offset + TAG_AT : offset + PACKET]


def decode_payload(extent: Extent, stored: bytes, read: Callable[[Digest, int], Buffer]) -> Buffer:
    """Return the payload that `stored` encodes; BadPacket when it encodes nothing of that size.

    `read` gives the payloads that a patch is over: by digest, and what their depth must be below.
    """
    if extent.encoding is Encoding.RAW:
        return stored
    if extent.encoding is Encoding.ZSTD:
        return decompress(stored, extent.size)
    out = bytearray(extent.size)
    run_patch(extent, stored, read, memoryview(out))
    return out


def run_patch(extent: Extent, stored: bytes, read: Callable[[Digest, int], Buffer], out: memoryview) -> None:
    """Fill `out` with the payload of a patch; BadPacket when it makes nothing of that size."""
    from packetfs.packet.patch import apply_patch  # few extents are patches

    apply_patch(stored, lambda base: read(base, extent.depth), out)


def is_intact(extent: Extent, payload: Buffer) -> bool:
    """Say whether the decoded payload is what the header names."""
    return len(payload) == extent.size and digest_of(payload) == extent.digest
