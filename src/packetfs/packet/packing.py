"""What is known without a search as a delta travels: what is different in place, and stored patches.

A copy at either end stands apart, as it may go on what is beside it.
"""

from __future__ import annotations

from itertools import groupby, starmap
from struct import Struct

from packetfs.accel import native
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.inplace import differing
from packetfs.packet.kernels import common_prefix, expand_python
from packetfs.packet.layout import BODY, PACKET, STRUCT, Buffer, Op
from packetfs.packet.varint import encode_varint, zigzag
from packetfs.typing import Final, Mapping, TypeAlias

Place: TypeAlias = tuple[int, int]
"""A source's number, 0 for the base, and an offset in it."""
Copied: TypeAlias = tuple[int, int, int]
"""A source's number, an offset in it, and a length."""
Packed: TypeAlias = tuple[Copied | None, tuple[bytes, bytes, int], Copied | None]
"""A copy, if there is one; then instructions, literals, and where the next copy from the base costs least; a copy."""

_PACKET: Final = Struct(STRUCT)
_Packet: TypeAlias = tuple[int, int, int, int, int, bytes]
_LITERAL, _COPY, _FILL, _SOURCE = range(4)
_OFFSET_MAX: Final = 1 << 62
_OFFSETS: Final = "offsets are integers from 0 to 2**62"


class _Packing:
    """Collects instructions as net/wire/packed.py describes them."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._instructions, self._literals = bytearray(), bytearray()
        self._head: Copied | None = None
        self._waiting: Copied | None = None

    def copy(self, source: int, offset: int, length: int) -> None:
        if self._head is None and self._waiting is None and not self._instructions:
            self._head = source, offset, length
            self._pass_over(source, offset, length)
            return
        self._write_waiting()
        self._waiting = source, offset, length

    def literal(self, data: bytes) -> None:
        self._write_waiting()
        self._instructions += encode_varint(len(data) << 2 | _LITERAL)
        self._literals += data
        self._expected += len(data)

    def fill(self, byte: int, length: int) -> None:
        self._write_waiting()
        self._instructions += encode_varint(length << 2 | _FILL)
        self._instructions.append(byte)
        self._expected += length

    def end(self) -> Packed:
        return self._head, (bytes(self._instructions), bytes(self._literals), self._expected), self._waiting

    def _write_waiting(self) -> None:
        if self._waiting is None:
            return
        source, offset, length = self._waiting
        self._instructions += encode_varint(length << 2 | (_SOURCE if source else _COPY))
        if source:
            self._instructions += encode_varint(source) + encode_varint(offset)
        else:
            self._instructions += encode_varint(zigzag(offset - self._expected))
        self._pass_over(source, offset, length)
        self._waiting = None

    def _pass_over(self, source: int, offset: int, length: int) -> None:
        self._expected = self._expected + length if source else offset + length


def pack_in_place_python(new: Buffer, old: Buffer, at: int, /) -> Packed:
    """Return what makes `new` of as many old bytes, which lie at `at` of the base."""
    after, before = memoryview(new).cast("B"), memoryview(old).cast("B")
    _check(len(after) == len(before), "what is compared in place is of one length")
    _check(0 <= at <= _OFFSET_MAX, _OFFSETS)
    packing, kept = _Packing(at), 0
    for start, end in differing(after, before):
        if start > kept:
            packing.copy(0, at + kept, start - kept)
        if end - start > BODY and common_prefix(after[start + 1 : end], after[start : end - 1]) == end - start - 1:
            packing.fill(after[start], end - start)
        else:
            packing.literal(bytes(after[start:end]))
        kept = end
    if kept < len(after):
        packing.copy(0, at + kept, len(after) - kept)
    return packing.end()


def pack_patch_python(patch: Buffer, size: int, places: Mapping[Digest, Place], expected: int, /) -> Packed:
    """Return what a patch makes of extents that lie at those places: `size` bytes, or ValueError."""
    view = memoryview(patch).cast("B")
    _check(not len(view) % PACKET, "a program is whole packets")
    _check(0 <= expected <= _OFFSET_MAX, _OFFSETS)
    _check(0 <= size < 1 << 32, "an extent is shorter than 4 GiB")
    packets = list(_PACKET.iter_unpack(view))
    found = [_place_of(packet, places) for packet in packets if packet[0] == Op.COPY]
    _check(sum(map(_produced, packets)) == size, "a patch does not make the bytes of its extent")
    packing, at = _Packing(expected), iter(found)
    for is_literal, run in groupby(packets, _is_literal):
        if is_literal:
            _pack_literal(packing, list(run))
            continue
        for packet in run:
            _pack(packing, packet, next(at) if packet[0] == Op.COPY else None)
    return packing.end()


def _place_of(packet: _Packet, places: Mapping[Digest, Place]) -> Place:
    place = places.get(Digest(packet[5][:DIGEST]))
    if place is None:
        raise ValueError("a patch copies from what has no place")
    _check(0 <= place[0] <= _OFFSET_MAX and 0 <= place[1] <= _OFFSET_MAX, _OFFSETS)
    return place


def _produced(packet: _Packet) -> int:
    op, _, _, length, operand, _ = packet
    return operand if op == Op.FILL else length


def _is_literal(packet: _Packet) -> bool:
    """Tell whether a packet makes bytes of the patch's own that are no run."""
    return packet[0] != Op.COPY and (packet[0] != Op.FILL or packet[3] != 1)


def _pack_literal(packing: _Packing, packets: list[_Packet]) -> None:
    data = bytearray(sum(map(_produced, packets)))
    expand_python(b"".join(starmap(_PACKET.pack, packets)), (), data)
    if data:
        packing.literal(bytes(data))


def _pack(packing: _Packing, packet: _Packet, place: Place | None) -> None:
    """Pack a run, or a copy from a place."""
    _, flags, _, length, operand, body = packet
    _check(not flags, "a packet has unknown flags")
    if place is None:
        if operand:
            packing.fill(body[0], operand)
        return
    _check(operand < 1 << 32, "COPY reaches past its source")
    if length:
        packing.copy(place[0], place[1] + operand, length)


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


if native is None:
    pack_in_place, pack_patch = pack_in_place_python, pack_patch_python
else:
    pack_in_place, pack_patch = native.pack_in_place, native.pack_patch
