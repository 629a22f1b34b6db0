"""Patches: an extent as a program over other extents, from which it differs in place, and in little.

A patch is COPY packets of those, its bases, and DATA and FILL packets where the bytes are others. Running it makes the
extent. Its parts say as well what somebody who has the bases needs, so a delta is known without comparing again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

from packetfs.dataclass import dataclass
from packetfs.errors import BadPacket
from packetfs.limits import PATCH_BASES, PATCH_SHARE
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.inplace import differing
from packetfs.packet.kernels import common_prefix, expand
from packetfs.packet.layout import BODY, HEADER, PACKET, STRUCT, Buffer, Op
from packetfs.typing import Final, TypeAlias

_BODY: Final = struct.Struct("48s")
_DATA_BODY: Final = struct.Struct("16x48s")
_PACKET: Final = struct.Struct(STRUCT)
_COPY, _DATA = int(Op.COPY), int(Op.DATA)
_DATA_OP, _FULL_BODY = bytes([_DATA]), bytes([BODY])
_FULL: Final = data_leaf(bytes(BODY))[:HEADER]
"""The header of a DATA packet whose body is all data."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Old bytes, as they would stand at `at` of a new payload, and where they are: in which extent, from where on."""

    at: int
    digest: Digest
    offset: int
    content: memoryview


@dataclass(frozen=True, slots=True)
class Copied:
    """Part of what a patch produces: bytes of an extent."""

    digest: Digest
    offset: int
    length: int


Part: TypeAlias = Copied | bytes


def make_patch(new: memoryview, old: Iterable[Piece]) -> bytes | None:
    """Return the patch that makes `new` of old pieces, in their order; None where one would not be worth it."""
    room = len(new) // PATCH_SHARE
    packets: list[bytes] = []
    for part in _parts(new, old):
        packets.append(part)
        room -= len(part)
        if room < 0:
            return None
    return b"".join(packets) if any(packet[0] == _COPY for packet in packets) else None


def _parts(new: memoryview, old: Iterable[Piece]) -> Iterator[bytes]:
    """Yield the packets of a patch: one COPY of what did not change, those of a literal, and so on."""
    done = 0
    for piece in old:
        if piece.at > done:
            yield _literal(new[done : piece.at])
        done = piece.at + len(piece.content)
        yield from _changes(new[piece.at : done], piece)
    if done < len(new):
        yield _literal(new[done:])


def _changes(new: memoryview, old: Piece) -> Iterator[bytes]:
    kept = 0
    for start, end in differing(new, old.content):
        if start > kept:
            yield copy_leaf(old.digest, start - kept, old.offset + kept)
        yield _literal(new[start:end])
        kept = end
    if kept < len(new):
        yield copy_leaf(old.digest, len(new) - kept, old.offset + kept)


def _literal(data: memoryview) -> bytes:
    """Return the packets that produce some bytes."""
    if len(data) > BODY and common_prefix(data[1:], data[:-1]) == len(data) - 1:
        return fill_leaf(data[0], len(data))
    whole = len(data) // BODY * BODY
    packets = [_FULL + body for (body,) in _BODY.iter_unpack(data[:whole])]
    if whole < len(data):
        packets.append(data_leaf(bytes(data[whole:])))
    return b"".join(packets)


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


def parse_patch(patch: bytes, size: int) -> list[Part]:
    """Return what the patch of an extent of `size` bytes produces, in order; BadPacket where it is not as many."""
    parts: list[Part] = []
    bases, at, made = iter(bases_of(patch)), 0, 0
    ops, lengths = patch[::PACKET], patch[4::PACKET]
    while at < len(patch):
        op, _, _, length, operand, body = _PACKET.unpack_from(patch, at)
        end = at + PACKET
        part: Part
        if op == _DATA:
            end = at + PACKET * _run_of_data(ops[at // PACKET :], lengths[at // PACKET :])
            part = _joined(patch[at:end])
        else:
            part = Copied(next(bases), operand, length) if op == _COPY else _run(body[:length], operand, size - made)
        parts.append(part)
        made += part.length if isinstance(part, Copied) else len(part)
        at = end
    if made != size:
        raise BadPacket(reason=f"a patch does not make the {size} bytes of its extent")
    return parts


def _run_of_data(ops: bytes, lengths: bytes) -> int:
    """Return how many packets, from the first on, are DATA, all but the last of them full."""
    data = len(ops) - len(ops.lstrip(_DATA_OP))
    full = len(lengths) - len(lengths.lstrip(_FULL_BODY))
    return min(data, full + 1)


def _joined(packets: bytes) -> bytes:
    """Return what DATA packets produce, all but the last of which are full."""
    bodies: list[bytes] = [body for (body,) in _DATA_BODY.iter_unpack(packets)]
    bodies[-1] = bodies[-1][: packets[4 - PACKET]]
    return b"".join(bodies)


def _run(pattern: bytes, length: int, limit: int) -> bytes:
    if not pattern or length > limit:
        raise BadPacket(reason="a patch has a run without a pattern, or one longer than its extent")
    return (pattern * (length // len(pattern) + 1))[:length]
