"""MicroVMs as packets and back: whatever is not running moves to another table, process or machine as bytes.

For each microVM a HEAD (kind MICROVM; identity: vm u16, 0, slot u32, maps_bytes u32, 0), then DATA and FILL packets of
one stream: its context (owner 0), its stack where that is in the spill, its reserve, its private copy of the record,
its maps. The stream is cut into chunks of 48 bytes; runs of zero chunks become one FILL. What comes back is hostile:
`thaw` checks every size and place, and `run` checks the state of what it resumes, so that nothing here can do harm.
"""

from __future__ import annotations

from array import array
from struct import Struct

from packetfs.accel import native
from packetfs.errors import BadMicroVM, UnknownFeature
from packetfs.packet.codec import decode, encode
from packetfs.packet.file import data_leaf, fill_leaf
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import BODY, PACKET, Buffer, Op
from packetfs.typing import Final, Iterable, Iterator
from packetfs.vm.context import Context
from packetfs.vm.layout import (
    CONTEXT_BYTES,
    HEADROOM,
    RECORD_COPY_MAX,
    RESERVE_BYTES,
    SPILL_STRIDE,
    STACK_BYTES,
    TAILROOM,
    ContextFlag,
    Fault,
    State,
)
from packetfs.vm.memory import COPY_AT, RESERVE_AT

MOVABLE: Final = (State.READY, State.PAUSED, State.DONE, State.FAULTED)
"""States of microVMs that can be frozen."""
_IDENTITY: Final = Struct("<HHIII")
_ALL_FLAGS: Final = int(ContextFlag.IN_RECORD | ContextFlag.SPILLED | ContextFlag.COPIED)
_COPY_END_MAX: Final = HEADROOM + RECORD_COPY_MAX + TAILROOM


def freeze_python(contexts: Buffer, spill: Buffer, maps: Buffer, maps_bytes: int, slots: Buffer, /) -> bytes:
    """Return the packets of the microVMs in `slots` (packed u32); ValueError for one that is FREE or RUNNING."""
    return b"".join(
        packet
        for (slot,) in Struct("<I").iter_unpack(slots)
        for packet in _frozen(contexts, spill, maps, maps_bytes, slot)
    )


def thaw_python(packets: Buffer, contexts: Buffer, spill: Buffer, maps: Buffer, maps_bytes: int, /) -> bytes:
    """Put microVMs into FREE slots of a table; return those slots (packed u32).

    ValueError when a packet is damaged or does not fit the table; all slots that were taken are FREE again then.
    """
    data, taken = memoryview(packets).cast("B"), array("I")
    try:
        at = 0
        while at < data.nbytes:
            slot, at = _thaw_one(data, at, contexts, spill, maps, maps_bytes)
            taken.append(slot)
    except (ValueError, UnknownFeature) as error:
        for slot in taken:
            Context(contexts, slot).state = State.FREE
        raise ValueError(str(error)) from None
    return Struct(f"<{len(taken)}I").pack(*taken)


# one microVM


def _frozen(contexts: Buffer, spill: Buffer, maps: Buffer, maps_bytes: int, slot: int) -> Iterator[bytes]:
    context = Context(contexts, slot)
    if context.state not in MOVABLE:
        raise ValueError(f"slot {slot} holds no microVM that can be frozen")
    copy = bytearray(context.view)
    Context(copy).owner = 0
    spills = memoryview(spill).cast("B")[slot * SPILL_STRIDE : (slot + 1) * SPILL_STRIDE]
    stream = bytes(copy) + b"".join(spills[low:high] for low, high in _parts(context))
    stream += memoryview(maps).cast("B")[slot * maps_bytes : (slot + 1) * maps_bytes]
    identity = _IDENTITY.pack(context.vm, 0, slot, maps_bytes, 0)
    yield encode(Head(Kind.MICROVM, len(stream), identity=identity).packet())
    yield from chunks(stream)


def _parts(context: Context) -> tuple[tuple[int, int], ...]:
    """Return which bytes of its spill a microVM needs: stack, reserve, private copy."""
    flags = context.flags
    stack = (context.stack_low, STACK_BYTES) if flags & ContextFlag.SPILLED else (0, 0)
    copy = (COPY_AT, COPY_AT + context.data_end) if flags & ContextFlag.COPIED else (0, 0)
    return stack, (RESERVE_AT, RESERVE_AT + context.reserved), copy


def chunks(stream: bytes) -> Iterator[bytes]:
    """Yield the DATA and FILL packets of a stream."""
    zeros = 0
    for at in range(0, len(stream), BODY):
        chunk = stream[at : at + BODY]
        if chunk.count(0) == len(chunk):
            zeros += len(chunk)
            continue
        if zeros:
            yield fill_leaf(0, zeros)
            zeros = 0
        yield data_leaf(chunk)
    if zeros:
        yield fill_leaf(0, zeros)


def _thaw_one(
    data: memoryview, at: int, contexts: Buffer, spill: Buffer, maps: Buffer, maps_bytes: int
) -> tuple[int, int]:
    """Take the microVM whose HEAD is at `at`; return its slot, and where the next one begins."""
    vm, slot, length = _head(data, at, maps_bytes)
    target = _free(contexts, slot)
    stream, behind = _stream(data, at + PACKET, length)
    frozen = Context(stream)
    problem = _problem(frozen, vm, length - maps_bytes)
    if problem:
        raise ValueError(f"microVM {vm}: {problem}")
    read = CONTEXT_BYTES
    spills = memoryview(spill).cast("B")[slot * SPILL_STRIDE : (slot + 1) * SPILL_STRIDE]
    for low, high in _parts(frozen):
        spills[low:high] = stream[read : read + high - low]
        read += high - low
    memoryview(maps).cast("B")[slot * maps_bytes : (slot + 1) * maps_bytes] = stream[read:]
    target.view[:] = stream[:CONTEXT_BYTES]
    return slot, behind


def _head(data: memoryview, at: int, maps_bytes: int) -> tuple[int, int, int]:
    """Return vm, slot and length of the stream."""
    head = Head.parse(decode(data, at))
    vm, zero, slot, own, rest = _IDENTITY.unpack(head.identity)
    if head.kind is not Kind.MICROVM or head != Head(Kind.MICROVM, head.length, identity=head.identity) or zero or rest:
        raise ValueError("a HEAD of kind MICROVM is due, without reserved bits")
    if decode(data, at).vm:
        raise ValueError("a packet at rest names a microVM")
    if own != maps_bytes:
        raise ValueError(f"microVM {vm} has {own} bytes of maps, this program {maps_bytes}")
    if not CONTEXT_BYTES <= head.length - maps_bytes <= CONTEXT_BYTES + COPY_AT + _COPY_END_MAX:
        raise ValueError(f"microVM {vm} has {head.length} bytes")
    return vm, slot, head.length


def _free(contexts: Buffer, slot: int) -> Context:
    target = Context(contexts, slot)
    if target.state != State.FREE:
        raise ValueError(f"slot {slot} of the table is not free")
    return target


def _stream(data: memoryview, at: int, length: int) -> tuple[bytearray, int]:
    """Return the bytes that DATA and FILL packets from `at` on produce, and where they end."""
    stream = bytearray()
    while len(stream) < length:
        packet = decode(data, at)
        if packet.op is Op.DATA and not packet.vm:
            size = packet.length
            piece = packet.body[:size]
        elif packet.op is Op.FILL and not packet.vm and packet.length == 1 and not packet.body[0]:
            size, piece = packet.operand, b""
        else:
            raise ValueError("DATA or a FILL of zeros is due")
        if size > length - len(stream):
            raise ValueError("its packets produce more than its HEAD says")
        stream += piece or bytes(size)
        at += PACKET
    return stream, at


def _problem(frozen: Context, vm: int, length: int) -> str:
    """Say what is wrong with a context that came from outside. length: of the stream without maps."""
    flags = frozen.flags
    if frozen.state not in MOVABLE or frozen.vm != vm or frozen.owner or frozen.fault not in Fault.__members__.values():
        return "state, id, owner or fault cannot be"
    if flags & ~_ALL_FLAGS or frozen.stack_low > STACK_BYTES or frozen.reserved > RESERVE_BYTES:
        return "flags, stack or reserve cannot be"
    if not flags & ContextFlag.IN_RECORD and (flags or frozen.stack_low or frozen.reserved or frozen.data_end):
        return "it has memory of a record, and none"
    if flags & ContextFlag.COPIED and frozen.data_end > _COPY_END_MAX:
        return "its record is too long for a copy"
    parts = sum(high - low for low, high in _parts(frozen))
    return "" if length == CONTEXT_BYTES + parts else "its parts are not what its context says"


# what everybody calls


def freeze(contexts: Buffer, spill: Buffer, maps: Buffer, maps_bytes: int, slots: Iterable[int]) -> bytes:
    """Return the packets of the microVMs in these slots; BadMicroVM for one that is FREE or RUNNING."""
    packed = array("I", slots)
    try:
        return bytes(_freeze(contexts, spill, maps, maps_bytes, packed.tobytes()))
    except ValueError as error:
        raise BadMicroVM(reason=error) from None


def thaw(packets: Buffer, contexts: Buffer, spill: Buffer, maps: Buffer, maps_bytes: int) -> list[int]:
    """Put microVMs into the FREE slots that they name; return these slots.

    BadMicroVM when a packet is damaged or does not fit the table; no slot has changed its state then.
    """
    try:
        taken = _thaw(packets, contexts, spill, maps, maps_bytes)
    except ValueError as error:
        raise BadMicroVM(reason=error) from None
    return [slot for (slot,) in Struct("<I").iter_unpack(taken)]


_freeze: Final = freeze_python if native is None else native.vm_freeze
_thaw: Final = thaw_python if native is None else native.vm_thaw
