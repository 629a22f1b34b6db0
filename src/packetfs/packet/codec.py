"""64 bytes <-> Packet. Decoding is total: any 64 bytes decode, or raise one clear error."""

from __future__ import annotations

import struct

from packetfs import errors
from packetfs.dataclass import dataclass
from packetfs.packet.layout import BODY, FLAGS, PACKET, STRUCT, Buffer, CallRecords, Op
from packetfs.typing import Final, Iterator

_PACKET: Final = struct.Struct(STRUCT)
_OPS: Final = {int(op): op for op in Op}
_ZERO_BODY: Final = bytes(BODY)
_RECORDS: Final = frozenset(map(int, CallRecords))


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. `body` is always 48 bytes; what the fields mean depends on `op` (fields.py)."""

    op: Op
    flags: int = 0
    vm: int = 0
    length: int = 0
    operand: int = 0
    body: bytes = _ZERO_BODY


def encode(packet: Packet) -> bytes:
    """Return the 64 bytes of `packet`; ValueError when a field does not fit."""
    try:
        raw = _PACKET.pack(packet.op, packet.flags, packet.vm, packet.length, packet.operand, packet.body)
    except struct.error as error:
        raise errors.BadPacket(reason=f"a field does not fit: {error}") from None
    if len(packet.body) != BODY:
        raise errors.BadPacket(reason=f"the body has {len(packet.body)} bytes instead of {BODY}")
    _check(packet)
    return raw


def decode(data: Buffer, offset: int = 0) -> Packet:
    """Return the packet at `offset`; BadPacket when those 64 bytes are not one."""
    try:
        number, flags, vm, length, operand, body = _PACKET.unpack_from(data, offset)
    except struct.error:
        raise errors.BadPacket(reason="fewer than 64 bytes") from None
    op = _OPS.get(number)
    if op is None:
        raise errors.BadPacket(reason=f"op {number} is unknown")
    packet = Packet(op, flags, vm, length, operand, body)
    _check(packet)
    return packet


def iterate(data: Buffer) -> Iterator[Packet]:
    """Yield the packets of a program; its size must be a multiple of 64."""
    size = memoryview(data).nbytes
    if size % PACKET:
        raise errors.BadPacket(reason=f"{size} bytes are not whole packets")
    for offset in range(0, size, PACKET):
        yield decode(data, offset)


def _check(packet: Packet) -> None:
    """Refuse unknown flags and reserved bytes that are not zero, so that later versions may use them."""
    if packet.flags & ~FLAGS.get(packet.op, 0):
        raise errors.BadPacket(reason=f"{packet.op.name} has unknown flags {packet.flags:#04x}")
    problem = _CHECKS[packet.op](packet)
    if problem:
        raise errors.BadPacket(reason=f"{packet.op.name}: {problem}")


def _check_nop(p: Packet) -> str:
    return "must be zero" if p.length or p.operand or p.body != _ZERO_BODY else ""


def _check_head(p: Packet) -> str:
    if p.body[:4] != b"PKFS":
        return "the magic is missing"
    return "reserved bytes are not zero" if any(p.body[10:16]) else ""


def _check_data(p: Packet) -> str:
    if not 1 <= p.length <= BODY:
        return f"{p.length} bytes of data"
    return "bytes beyond the length are not zero" if p.operand or any(p.body[p.length :]) else ""


def _check_fill(p: Packet) -> str:
    if not 1 <= p.length <= BODY:
        return f"a pattern of {p.length} bytes"
    if not p.operand:
        return "produces nothing"
    return "bytes beyond the pattern are not zero" if any(p.body[p.length :]) else ""


def _check_copy(p: Packet) -> str:
    if not p.length:
        return "copies nothing"
    if p.operand + p.length >= 1 << 64:
        return "reaches past 2**64"
    return "reserved bytes are not zero" if any(p.body[32:]) else ""


def _check_tree(p: Packet) -> str:
    if not p.operand:
        return "produces nothing"  # such nodes could nest without end and never add up to a length
    return "reserved bytes are not zero, or level 0" if p.length or any(p.body[33:]) or not p.body[32] else ""


def _check_entry(p: Packet) -> str:
    if any(p.body[46:]):
        return "reserved bytes are not zero"
    return "the name has no or too many bytes" if not 1 <= int.from_bytes(p.body[44:46], "little") <= 255 else ""


def _check_extent(p: Packet) -> str:
    return "unknown encoding or mark" if p.flags & 3 > 1 or p.flags >> 2 > 2 else ""


def _check_code(p: Packet) -> str:
    return "length or operand is not zero" if p.length or p.operand else ""


def _check_map(p: Packet) -> str:
    name = p.body[32:]
    if p.operand or any(p.body[23:32]):
        return "reserved bytes are not zero"
    return "the name goes on behind its end" if any(name[len(name.split(b"\0", 1)[0]) :]) else ""


def _check_call(p: Packet) -> str:
    kind = p.body[32]
    if kind not in _RECORDS or not p.operand:
        return "records of no known kind, or no fuel"
    if (kind in (CallRecords.FIXED, CallRecords.LINES)) != bool(p.length):
        return "its records have a size that does not belong to them, or lack one"
    return "reserved bytes are not zero" if any(p.body[33:]) else ""


def _check_later(p: Packet) -> str:  # noqa: ARG001 (triggers define it)
    return ""


_CHECKS: Final = {
    Op.NOP: _check_nop,
    Op.HEAD: _check_head,
    Op.DATA: _check_data,
    Op.FILL: _check_fill,
    Op.COPY: _check_copy,
    Op.TREE: _check_tree,
    Op.ENTRY: _check_entry,
    Op.EXTENT: _check_extent,
    Op.CODE: _check_code,
    Op.MAP: _check_map,
    Op.CALL: _check_call,
    Op.ON: _check_later,
}
