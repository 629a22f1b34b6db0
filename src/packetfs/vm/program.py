"""A program and its packets: HEAD, six slots of code a CODE packet, and a MAP packet for each map with its content.

Slot s of the code is slot s % 6 of packet 1 + s // 6, always: a fault names both. What is checked here is that the
packets are a program at all; whether its instructions make sense is `check.py`, whether its maps fit, `image.py`.
"""

from __future__ import annotations

import struct

from packetfs import errors
from packetfs.dataclass import dataclass
from packetfs.limits import (
    CODE_SLOTS_MAX,
    MAP_ENTRIES_MAX,
    MAP_KEY_MAX,
    MAP_VALUE_MAX,
    PROGRAM_BYTES_MAX,
    PROGRAM_MAPS_MAX,
)
from packetfs.packet.codec import Packet, decode, encode
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import BODY, PACKET, Buffer, Op
from packetfs.typing import Final, Iterator
from packetfs.vm.layout import SLOTS_A_PACKET, ContextKind, MapType, Reducer, Show
from packetfs.vm.slots import LDDW
from packetfs.vm.slots import SLOT as SLOT

ISA_LEVEL: Final = 4
"""LLVM's name (cpu v4) for all groups of RFC 9669; callx comes with it."""
NAME: Final = 16
"""Bytes of a map's name, as in Linux."""

_IDENTITY: Final = struct.Struct("<BB2xI8x")
_MAP: Final = struct.Struct("<IIIIIBBBxQ16s")
_WIDTHS: Final = (1, 2, 4, 8)
_KEYLESS: Final = (MapType.ARRAY, MapType.PERCPU_ARRAY)


@dataclass(frozen=True, slots=True)
class MapDefinition:
    """One map. Sizes in bytes; `width`: bytes of an element of a value; `initial`: content of an ARRAY of one entry."""

    name: bytes
    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    reducer: Reducer = Reducer.LAST
    width: int = 8
    show: Show = Show.HEX
    initial: bytes = b""


@dataclass(frozen=True, slots=True)
class Program:
    """Code (a multiple of 8 bytes, no wide instruction across two packets), maps, and where and on what it begins."""

    code: bytes
    maps: tuple[MapDefinition, ...] = ()
    context: ContextKind = ContextKind.PACKETFS
    entry: int = 0


def encode_program(program: Program) -> bytes:
    """Return the packets of `program`; BadProgram when a part of it is out of its range."""
    _check(program, "to be written")
    identity = _IDENTITY.pack(program.context, ISA_LEVEL, program.entry)
    head = Head(Kind.PROGRAM, len(program.code) // SLOT, identity=identity)
    parts = [encode(head.packet())]
    parts += [encode(Packet(Op.CODE, body=body)) for body in _bodies(program.code)]
    for definition in program.maps:
        parts.append(encode(_map_packet(definition)))
        parts += _data_packets(definition.initial)
    return b"".join(parts)


def _bodies(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), BODY):
        yield data[at : at + BODY].ljust(BODY, b"\0")


def _data_packets(data: bytes) -> Iterator[bytes]:
    for at, body in zip(range(0, len(data), BODY), _bodies(data), strict=True):
        yield encode(Packet(Op.DATA, length=min(BODY, len(data) - at), body=body))


def _map_packet(m: MapDefinition) -> Packet:
    sizes = (m.type, m.key_size, m.value_size, m.max_entries, m.flags)
    return Packet(Op.MAP, length=len(m.initial), body=_MAP.pack(*sizes, m.reducer, m.width, m.show, 0, m.name))


def decode_program(packets: Buffer) -> Program:
    """Return the program that `packets` are; BadPacket or BadProgram when they are none. encode_program inverts it."""
    data = memoryview(packets).cast("B")
    name = f"of {data.nbytes} bytes"
    if data.nbytes % PACKET or not PACKET < data.nbytes <= PROGRAM_BYTES_MAX:
        raise errors.BadProgram(
            root=name, reason=f"it must be whole packets of {PACKET} bytes, at most {PROGRAM_BYTES_MAX}"
        )
    name = digest_of(data).hex()
    head, context, entry = _head(data, name)
    behind = PACKET * (1 + -(-head.length // SLOTS_A_PACKET))
    program = Program(_code(data[PACKET:behind], head.length, name), tuple(_maps(data[behind:], name)), context, entry)
    _check(program, name)
    return program


def is_program(packets: Buffer) -> bool:
    """Tell whether the bytes begin like a program: with a HEAD of kind PROGRAM."""
    start = bytes(memoryview(packets).cast("B")[:PACKET])
    return len(start) == PACKET and start[0] == Op.HEAD and start[16:20] == b"PKFS" and start[22] == Kind.PROGRAM


def program_digest(packets: Buffer) -> Digest:
    """Return what names a program: the BLAKE3 of its packets."""
    return digest_of(packets)


def _head(data: memoryview, name: str) -> tuple[Head, ContextKind, int]:
    head = Head.parse(_packet(data, 0, Op.HEAD, name))
    context, level, entry = _IDENTITY.unpack(head.identity)
    if head.kind is not Kind.PROGRAM:
        raise errors.BadProgram(root=name, reason=f"it is a {head.kind.name}, not a PROGRAM of code")
    if head != Head(Kind.PROGRAM, head.length, identity=_IDENTITY.pack(context, level, entry)):
        raise errors.BadProgram(
            root=name, reason="reserved bytes of its HEAD are not zero, or its mean is not the default"
        )
    if level != ISA_LEVEL or context not in ContextKind.__members__.values():
        raise errors.BadProgram(root=name, reason=f"instruction set {level} or context kind {context} is unknown")
    if not 1 <= head.length <= CODE_SLOTS_MAX:
        raise errors.BadProgram(
            root=name, reason=f"it has {head.length} slots of code; 1 to {CODE_SLOTS_MAX} are possible"
        )
    return head, ContextKind(context), entry


def _packet(data: memoryview, offset: int, op: Op, name: str) -> Packet:
    if offset >= data.nbytes:
        raise errors.BadProgram(root=name, reason=f"it ends where a {op.name} packet is due")
    packet = decode(data, offset)
    if packet.op is not op or packet.vm:
        raise errors.BadProgram(
            root=name, reason=f"{packet.op.name} (microVM {packet.vm}) stands where {op.name} is due"
        )
    return packet


def _code(data: memoryview, slots: int, name: str) -> bytes:
    bodies = -(-slots // SLOTS_A_PACKET)
    code = b"".join(_packet(data, PACKET * i, Op.CODE, name).body for i in range(bodies))
    if any(code[slots * SLOT :]):
        raise errors.BadProgram(root=name, reason="slots behind its last instruction are not zero")
    return code[: slots * SLOT]


def _maps(data: memoryview, name: str) -> Iterator[MapDefinition]:
    offset = count = 0
    while offset < data.nbytes:
        packet = _packet(data, offset, Op.MAP, name)
        count += 1
        if count > PROGRAM_MAPS_MAX or packet.length > MAP_VALUE_MAX:
            raise errors.BadProgram(
                root=name, reason=f"it has more than {PROGRAM_MAPS_MAX} maps or a long initial content"
            )
        bodies = -(-packet.length // BODY)
        yield _definition(packet, _content(data, offset + PACKET, packet.length, name), name)
        offset += PACKET * (1 + bodies)


def _content(data: memoryview, offset: int, length: int, name: str) -> bytes:
    parts = []
    for at in range(0, length, BODY):
        packet = _packet(data, offset, Op.DATA, name)
        if packet.length != min(BODY, length - at):
            raise errors.BadProgram(root=name, reason=f"a map's content has {packet.length} bytes in a packet")
        parts.append(packet.body[: packet.length])
        offset += PACKET
    return b"".join(parts)


def _definition(packet: Packet, initial: bytes, name: str) -> MapDefinition:
    kind, key, value, entries, flags, reducer, width, show, _, raw = _MAP.unpack(packet.body)
    try:
        types = MapType(kind), Reducer(reducer), Show(show)
    except ValueError as error:
        raise errors.BadProgram(root=name, reason=f"map {raw!r}: {error}") from None
    return MapDefinition(raw.rstrip(b"\0"), types[0], key, value, entries, flags, types[1], width, types[2], initial)


def _check(program: Program, name: str) -> None:
    """Refuse what the packets could not say, or what no microVM could have."""
    slots, rest = divmod(len(program.code), SLOT)
    reason = ""
    if rest or not 1 <= slots <= CODE_SLOTS_MAX:
        reason = f"its code has {len(program.code)} bytes; 1 to {CODE_SLOTS_MAX} slots of {SLOT} are possible"
    elif not 0 <= program.entry < slots:
        reason = f"it begins at slot {program.entry} of {slots}"
    elif LDDW in program.code[BODY - SLOT :: BODY]:
        reason = "a wide instruction lies across two packets"
    elif len(program.maps) > PROGRAM_MAPS_MAX:
        reason = f"it has {len(program.maps)} maps; {PROGRAM_MAPS_MAX} are possible"
    for definition in program.maps:
        problem = _problem(definition)
        reason = reason or (f"map {definition.name.decode(errors='replace')}: {problem}" if problem else "")
    if reason:
        raise errors.BadProgram(root=name, reason=reason)


def _problem(m: MapDefinition) -> str:
    if len(m.name) > NAME or b"\0" in m.name:
        return f"a name has at most {NAME} bytes, none of them 0"
    if m.width not in _WIDTHS or not 0 <= m.flags < 1 << 32:
        return f"elements of {m.width} bytes, or flags {m.flags:#x}"
    if m.type is MapType.RINGBUF:
        return "a ring has no keys, values or content" if m.key_size or m.value_size or m.initial else ""
    if not 1 <= m.max_entries <= MAP_ENTRIES_MAX:
        return f"{m.max_entries} entries; 1 to {MAP_ENTRIES_MAX} are possible"
    if not 1 <= m.key_size <= MAP_KEY_MAX or (m.type in _KEYLESS and m.key_size != 4):
        return f"keys of {m.key_size} bytes; 1 to {MAP_KEY_MAX} are possible, 4 for arrays"
    if not 1 <= m.value_size <= MAP_VALUE_MAX:
        return f"values of {m.value_size} bytes; 1 to {MAP_VALUE_MAX} are possible"
    if m.reducer not in (Reducer.LAST, Reducer.FIRST) and m.value_size % m.width:
        return f"values of {m.value_size} bytes are not whole elements of {m.width}"
    if m.initial and (m.type is not MapType.ARRAY or m.max_entries != 1 or len(m.initial) > m.value_size):
        return "only an ARRAY of one entry has initial content, at most a value long"
    return ""
