"""Patches: an extent as a program over other extents, from which it differs in place, and in little.

A patch is COPY packets of those, its bases, and DATA and FILL packets where the bytes are others. Running it makes the
extent. Its parts say as well what somebody who has the bases needs, so a delta is known without comparing again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, starmap
from typing import NamedTuple

from packetfs.accel import native
from packetfs.errors import BadPacket
from packetfs.limits import PATCH_BASES
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.inplace import differing
from packetfs.packet.kernels import common_prefix, expand, expand_python
from packetfs.packet.layout import BODY, HEADER, PACKET, STRUCT, Buffer, Op
from packetfs.typing import Final, TypeAlias

_PACKET: Final = struct.Struct(STRUCT)
_Packet: TypeAlias = tuple[int, int, int, int, int, bytes]
_COPY, _FILL = int(Op.COPY), int(Op.FILL)
_EMPTY: Final = "a part of a patch is empty"
_BASES: Final = "a patch copies from none, or from too many"


class Piece(NamedTuple):
    """Old bytes, as they would stand at `at` of a new payload, and where they are: in which extent, from where on."""

    at: int
    digest: Digest
    offset: int
    content: memoryview


Part: TypeAlias = tuple[int, int, int] | bytes
"""Part of what a patch produces: of the base with a number, from an offset on, so many bytes; or bytes of its own."""


def make_patch_python(new: Buffer, pieces: Sequence[Piece], room: int, /) -> bytes | None:
    """Return the patch that makes `new` of old pieces; None where it takes more room, or copies nothing."""
    view = memoryview(new).cast("B")
    _check(len(view) < 1 << 32, "an extent is shorter than 4 GiB")
    _check(0 <= room <= len(view), "a patch takes no more room than its extent")
    _check_pieces(pieces, len(view))
    packets: list[bytes] = []
    for packet in _packets(view, pieces):
        packets.append(packet)
        room -= PACKET
        if room < 0:
            return None
    return b"".join(packets) if any(packet[0] == _COPY for packet in packets) else None


def _check_pieces(pieces: Sequence[Piece], size: int) -> None:
    done = 0
    for at, digest, offset, content in pieces:
        _check(done <= at <= size - len(content), "pieces stand one behind the other in the new bytes")
        _check(offset >= 0 and len(digest) == DIGEST, "a piece is from an offset of a digest of 32 bytes")
        done = at + len(content)


def _packets(new: memoryview, pieces: Sequence[Piece]) -> Iterator[bytes]:
    """Yield the packets of a patch: one COPY of what did not change, those of a literal, and so on."""
    done = 0
    for piece in pieces:
        yield from _literal(new[done : piece.at])
        done = piece.at + len(piece.content)
        yield from _changes(new[piece.at : done], piece)
    yield from _literal(new[done:])


def _changes(new: memoryview, old: Piece) -> Iterator[bytes]:
    kept = 0
    for start, end in differing(new, old.content):
        if start > kept:
            yield copy_leaf(old.digest, start - kept, old.offset + kept)
        yield from _literal(new[start:end])
        kept = end
    if kept < len(new):
        yield copy_leaf(old.digest, len(new) - kept, old.offset + kept)


def _literal(data: memoryview) -> Iterator[bytes]:
    """Yield the packets that produce some bytes."""
    if len(data) > BODY and common_prefix(data[1:], data[:-1]) == len(data) - 1:
        yield fill_leaf(data[0], len(data))
        return
    for at in range(0, len(data), BODY):
        yield data_leaf(bytes(data[at : at + BODY]))


def bases_of(patch: bytes) -> list[Digest]:
    """Return the extents that a patch copies from, one for each COPY; BadPacket where they are none, or too many."""
    ops = patch[::PACKET]
    bases, at = [], ops.find(_COPY)
    while at >= 0:
        start = at * PACKET + HEADER
        bases.append(Digest(patch[start : start + DIGEST]))
        at = ops.find(_COPY, at + 1)
    if len(patch) % PACKET or not 0 < len(set(bases)) <= PATCH_BASES:
        raise BadPacket(reason=f"a patch is packets that copy from 1 to {PATCH_BASES} extents")
    return bases


def apply_patch(patch: bytes, read: Callable[[Digest], Buffer], out: memoryview) -> None:
    """Fill `out` with what a patch makes of its bases; BadPacket where it does not make as many bytes."""
    bases = bases_of(patch)
    old = {base: read(base) for base in set(bases)}
    try:
        made = expand(patch, [old[base] for base in bases], out)
    except ValueError as error:
        raise BadPacket(reason=f"a patch: {error}") from None
    if made != len(out):
        raise BadPacket(reason=f"a patch makes {made} bytes, its extent has {len(out)}")


def parse_patch(patch: bytes, size: int) -> tuple[list[Digest], list[Part]]:
    """Return the bases of a patch of an extent of `size` bytes, and what it produces; BadPacket where it is none."""
    try:
        return patch_parts(patch, size, PATCH_BASES)
    except ValueError as error:
        raise BadPacket(reason=f"a patch: {error}") from None


def patch_parts_python(patch: Buffer, size: int, limit: int, /) -> tuple[list[Digest], list[Part]]:
    """Return the bases of a patch, `limit` at the most, and what it produces, in order: `size` bytes."""
    view = memoryview(patch).cast("B")
    _check(not len(view) % PACKET, "a program is whole packets")
    packets = list(_PACKET.iter_unpack(view))
    _check(sum(map(_produced, packets)) == size, "a patch does not make the bytes of its extent")
    bases: list[Digest] = []
    parts: list[Part] = []
    for is_copy, run in groupby(packets, key=lambda packet: packet[0] == _COPY):
        if is_copy:
            parts += [_copied(packet, bases, limit) for packet in run]
        else:
            parts.append(_made(list(run)))
    _check(len(bases) > 0, _BASES)
    return bases, parts


def _produced(packet: _Packet) -> int:
    op, _, _, length, operand, _ = packet
    return operand if op == _FILL else length


def _copied(packet: _Packet, bases: list[Digest], limit: int) -> Part:
    _, flags, _, length, offset, body = packet
    _check(length > 0, _EMPTY)
    _check(not flags, "a packet has unknown flags")
    _check(offset < 1 << 32, "COPY reaches past its source")
    base = Digest(body[:DIGEST])
    if base not in bases:
        _check(len(bases) < limit, _BASES)
        bases.append(base)
    return bases.index(base), offset, length


def _made(packets: list[_Packet]) -> bytes:
    out = bytearray(sum(map(_produced, packets)))
    _check(len(out) > 0, _EMPTY)
    expand_python(b"".join(starmap(_PACKET.pack, packets)), (), out)
    return bytes(out)


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


if native is None:
    make_patch, patch_parts = make_patch_python, patch_parts_python
else:
    make_patch, patch_parts = native.make_patch, native.patch_parts
