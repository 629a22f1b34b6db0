"""The functions that programs call by number (layout.HELPERS): r1 to r5 in, r0 out, r1 to r5 unchanged.

The C interpreter answers most of them itself; for those of `answer` it stops, so that formatting and rare arithmetic
exist once. Helpers check memory as loads and stores do; ranges of no bytes are never checked.
"""

from __future__ import annotations

from packetfs.packet.layout import Buffer
from packetfs.typing import Callable, Final
from packetfs.vm import maps, search, tally
from packetfs.vm.context import GOLDEN, Context
from packetfs.vm.framing import Window
from packetfs.vm.image import HASHES, Image, MapPlace, up
from packetfs.vm.layout import (
    OFFSET_MASK,
    REGION_SHIFT,
    RESERVE_BYTES,
    SPILL_STRIDE,
    Fault,
    MapType,
    Region,
    State,
    Stop,
)
from packetfs.vm.memory import Memory, Pause, Trap
from packetfs.vm.microvm import BYTES_A_SLOT, M64, MicroVM, Output
from packetfs.vm.trace import formatted

TRACE: Final = 6
CSUM_DIFF: Final = 28
ANSWERED: Final = frozenset((TRACE, CSUM_DIFF, 44, 65))
"""Helpers that `answer` runs for the C core."""
TRACED_MAX: Final = 1000
"""Calls of helper 6 that a microVM gets an answer to; later ones return 0 at once."""
ETH_HLEN: Final = 14
"""Bytes that helpers 44 and 65 leave of a record at least, as Linux does."""
ANSWER_SLOTS: Final = 1024
"""Slots that a call of 28, 44 or 65 costs beside its own: the C core waits some 20 us for Python, and a record's fuel
must not buy minutes of that."""
_SUMMED: Final = 1 << 20
"""Bytes that are summed in one step, about 5 ms: other threads, and Ctrl-C, wait that long."""
M32: Final = (1 << 32) - 1
OPEN, CLOSED = 1, 2
"""States of a reservation, in the 8 bytes before it: size, state."""


def read(vm: MicroVM, address: int, size: int) -> Buffer:
    """Return memory of the program; nothing is checked when size is 0."""
    return vm.memory.read(address, size) if size else b""


# maps


def _map(vm: MicroVM) -> MapPlace:
    """Return the map that r1 is the handle of; Trap MAP."""
    handle, places = vm.registers[1], vm.image.maps
    if handle >> REGION_SHIFT != Region.MAP or handle & OFFSET_MASK >= len(places):
        raise Trap(Fault.MAP, handle)
    return places[handle & OFFSET_MASK]


def _ring(vm: MicroVM) -> None:
    if _map(vm).type != MapType.RINGBUF:
        raise Trap(Fault.MAP, vm.registers[1])


def _map_lookup(vm: MicroVM) -> int:
    place = _map(vm)
    if place.type == MapType.RINGBUF:
        return 0
    memory = vm.memory.shared if place.read_only else vm.memory.maps
    effort = maps.Effort()
    at = maps.lookup(place, memory, vm.memory.read(vm.registers[2], place.key_size), effort)
    vm.pay(place.key_size, effort.words)
    return 0 if at < 0 else place.region << REGION_SHIFT | at


def _map_update(vm: MicroVM) -> int:
    place, flags = _map(vm), vm.registers[4]
    if place.type == MapType.RINGBUF or place.read_only or flags > maps.HELD:
        return maps.INVALID
    key = bytes(vm.memory.read(vm.registers[2], place.key_size))
    value = bytes(vm.memory.read(vm.registers[3], place.value_size))
    effort = maps.Effort()
    result = maps.update(place, vm.memory.maps, key, value, flags, effort)
    vm.pay(len(key) + len(value), effort.words)
    return result


def _map_delete(vm: MicroVM) -> int:
    place = _map(vm)
    if place.type not in HASHES or place.read_only:
        return maps.INVALID
    effort = maps.Effort()
    result = maps.delete(place, vm.memory.maps, vm.memory.read(vm.registers[2], place.key_size), effort)
    vm.pay(place.key_size, effort.words)
    return result


# what is the same in every run, instead of clocks and processors


def _ktime(vm: MicroVM) -> int:
    return vm.executed + vm.pc - 1 - vm.begin


def _random(vm: MicroVM) -> int:
    """SplitMix64."""
    state = vm.context.random = vm.context.random + GOLDEN & M64
    z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & M64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M64
    return (z ^ z >> 31) & M32


def _processor(vm: MicroVM) -> int:  # noqa: ARG001 (all helpers are called alike)
    return 0


# output


def _emit(vm: MicroVM) -> int:
    vm.emit(read(vm, vm.registers[1], vm.registers[2]))
    return 0


def _ring_output(vm: MicroVM) -> int:
    _ring(vm)
    vm.emit(read(vm, vm.registers[2], vm.registers[3]))
    return 0


def _ring_reserve(vm: MicroVM) -> int:
    _ring(vm)
    size, memory = vm.registers[2], vm.memory
    needed = 8 + up(size)
    if memory.reserved + needed > RESERVE_BYTES:
        return 0
    at = memory.reserved
    memory.reserve[at : at + needed] = _head(size, OPEN).ljust(needed, b"\0")
    memory.reserved += needed
    vm.pay(size)
    return Region.RESERVE << REGION_SHIFT | at + 8


def _head(size: int, state: int) -> bytes:
    return (size | state << 32).to_bytes(8, "little")


def _ring_submit(vm: MicroVM) -> int:
    at, size = _reservation(vm)
    vm.emit(vm.memory.reserve[at : at + size])
    vm.memory.reserve[at - 8 : at] = _head(size, CLOSED)
    return 0


def _ring_discard(vm: MicroVM) -> int:
    at, size = _reservation(vm)
    vm.memory.reserve[at - 8 : at] = _head(size, CLOSED)
    return 0


def _reservation(vm: MicroVM) -> tuple[int, int]:
    """Return offset and size of the open reservation that r1 is the address of; Trap ADDRESS."""
    address, memory = vm.registers[1], vm.memory
    at = address & OFFSET_MASK
    if address >> REGION_SHIFT == Region.RESERVE and at % 8 == 0 and 8 <= at <= memory.reserved:
        head = int.from_bytes(memory.reserve[at - 8 : at], "little")
        if head >> 32 == OPEN and at + (head & M32) <= memory.reserved:
            return at, head & M32
    raise Trap(Fault.ADDRESS, address)


# the record


def _adjust_head(vm: MicroVM) -> int:
    memory = vm.memory
    vm.pay(ANSWER_SLOTS * BYTES_A_SLOT)
    data = memory.data + _delta(vm)
    if not 0 <= data <= memory.data_end - ETH_HLEN:
        return maps.INVALID
    memory.make_private(0)
    memory.data = data
    return 0


def _adjust_tail(vm: MicroVM) -> int:
    memory = vm.memory
    vm.pay(ANSWER_SLOTS * BYTES_A_SLOT)
    end = memory.data_end + _delta(vm)
    if not memory.data + ETH_HLEN <= end <= memory.hard_end:
        return maps.INVALID
    memory.make_private(0)
    if end > memory.data_end:
        memory.copy[memory.data_end : end] = bytes(end - memory.data_end)
    memory.data_end = end
    return 0


def _delta(vm: MicroVM) -> int:
    low = vm.registers[2] & M32
    return low - (1 << 32) if low >> 31 else low


def _load_bytes(vm: MicroVM) -> int:
    at, size = _part(vm)
    if at and size:
        vm.memory.check_write(vm.registers[3], size)
        vm.memory.write(vm.registers[3], bytes(vm.memory.read(at, size)))
        vm.pay(size)
    return 0 if at else maps.INVALID


def _store_bytes(vm: MicroVM) -> int:
    at, size = _part(vm)
    if at and size:
        vm.memory.write(at, bytes(vm.memory.read(vm.registers[3], size)))
        vm.pay(size)
    return 0 if at else maps.INVALID


def _part(vm: MicroVM) -> tuple[int, int]:
    """Return address and size of the part of the record that r2 and r4 say; address 0 when it is not all there."""
    offset, size = vm.registers[2], vm.registers[4]
    inside = not size or offset + size <= vm.memory.data_end - vm.memory.data
    return (Region.DATA << REGION_SHIFT) + vm.memory.data + offset if inside else 0, size


def _redirect(vm: MicroVM) -> int:
    flags = vm.registers[3]
    return flags if flags <= 3 else 0


# what a loop of instructions is bad at


def _searched(vm: MicroVM, answer: search.Answer) -> int:
    result, looked_at = answer
    vm.pay(looked_at)
    return result


def _span(vm: MicroVM) -> bytes:
    """Return the bytes that r1 and r2 say, all of which must be readable."""
    return bytes(read(vm, vm.registers[1], vm.registers[2]))


def _find(vm: MicroVM) -> int:
    data = _span(vm)
    return _searched(vm, search.find(data, bytes(read(vm, vm.registers[3], vm.registers[4]))))


def _find_byte(vm: MicroVM) -> int:
    return _searched(vm, search.find_byte(_span(vm), vm.registers[3] & 0xFF, vm.registers[4]))


def _find_last_byte(vm: MicroVM) -> int:
    return _searched(vm, search.find_last_byte(_span(vm), vm.registers[3] & 0xFF))


def _count_byte(vm: MicroVM) -> int:
    return _searched(vm, search.count_byte(_span(vm), vm.registers[3] & 0xFF))


def _count_words(vm: MicroVM) -> int:
    return _searched(vm, search.count_words(_span(vm)))


def _decimal(vm: MicroVM) -> int:
    return _searched(vm, search.decimal(_span(vm), vm.registers[3]))


def _count_parts(vm: MicroVM) -> int:
    data = _span(vm)
    word = bytes(read(vm, vm.registers[4], vm.registers[5]))
    return _searched(vm, search.count_parts(data, vm.registers[3] & 0xFF, word))


def _tally(vm: MicroVM) -> int:
    place, (address, size, stride, width) = _map(vm), vm.registers[2:6]
    width -= (width >> 63) << 64
    if not tally.can_count(place, stride, width):
        return maps.INVALID
    data = memoryview(read(vm, address, size)).cast("B")
    vm.pay(BYTES_A_SLOT * tally.numbers_in(size, stride, width))
    counts = vm.memory.maps[place.offset : place.offset + place.size]
    return tally.tally(counts, place.max_entries, data, stride, width)


# what Python answers


def _csum_diff(vm: MicroVM) -> int:
    """Linux's bpf_csum_diff (since 6.13): 32-bit sums with the carry added back, folded to 16 bits."""
    removed, added = vm.registers[2] & M32, vm.registers[4] & M32
    vm.pay(ANSWER_SLOTS * BYTES_A_SLOT)
    if removed % 4 or added % 4:
        return maps.INVALID
    total = vm.registers[5] & M32
    old, new = (_words(vm, vm.registers[r], size) for r, size in ((1, removed), (3, added)))
    if removed and added:
        total = _carried(_carried(total + new) + (~_carried(old) & M32))
    elif added:
        total = _carried(total + new)
    elif removed:
        total = ~_carried((~total & M32) + old) & M32
    vm.pay(ANSWER_SLOTS * BYTES_A_SLOT + removed + added)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def _words(vm: MicroVM, address: int, size: int) -> int:
    """Return the sum of the 32-bit words."""
    data = memoryview(read_plain(vm, address, size) if size else b"").cast("B")
    pieces = (data[at : at + _SUMMED].cast("I") for at in range(0, size, _SUMMED))
    return sum(sum(piece) for piece in pieces)


def _carried(total: int) -> int:
    while total >> 32:
        total = (total & M32) + (total >> 32)
    return total


def read_plain(vm: MicroVM, address: int, size: int) -> Buffer:
    """Read memory that is not the record context: an answer must never have to wait for record_index."""
    if address >> REGION_SHIFT == Region.CTX:
        raise Trap(Fault.ADDRESS, address)
    return vm.memory.read(address, size)


def _trace(vm: MicroVM) -> int:
    if vm.context.traced >= TRACED_MAX:
        return 0
    raise Pause(Stop.HELPER, TRACE)


HELPER_CALLS: Final[dict[int, Callable[[MicroVM], int]]] = {
    1: _map_lookup, 2: _map_update, 3: _map_delete, 5: _ktime, TRACE: _trace, 7: _random, 8: _processor,
    CSUM_DIFF: _csum_diff, 44: _adjust_head, 51: _redirect, 65: _adjust_tail, 130: _ring_output, 131: _ring_reserve,
    132: _ring_submit, 133: _ring_discard, 189: _load_bytes, 190: _store_bytes, 4096: _emit,
    4097: _find, 4098: _find_byte, 4099: _find_last_byte, 4100: _count_byte, 4101: _count_words, 4102: _decimal,
    4103: _tally, 4104: _count_parts,
}  # fmt: skip
"""By number. What they return is cut to 64 bits, so that errno values are negative numbers of a register."""


def answer(
    image: Image,
    contexts: Buffer,
    spill: Buffer,
    maps_memory: Buffer,
    slot: int,
    window: Buffer,
    window_start: int,
    file_id: int,
) -> str | None:
    """Answer the call that microVM `slot` stopped at (Stop.HELPER): it is PAUSED behind it, with r0, or FAULTED.

    Return the line of helper 6, None for others or where its format is none. The window must hold the record that
    runs; ValueError when it does not, or when the microVM does not wait for an answer.
    """
    context = Context(contexts, slot)
    if context.state != State.PAUSED or not context.helper_pc or context.fault_address not in HELPER_CALLS:
        raise ValueError(f"microVM {context.vm} waits for no answer")
    view = Window(memoryview(window).cast("B"), window_start, final=False)
    number = context.fault_address
    memory = memory_of(image, spill, maps_memory, slot)
    vm = MicroVM(image, context, memory, Output(memoryview(bytearray())), context.owner)
    if not vm.in_record or not vm.resume() or not vm.look(view):
        context.state, context.fault_address = State.PAUSED, number
        raise ValueError(f"the record of microVM {context.vm} is not in the window")
    memory.file_id = file_id
    return _answer(vm, number)


def _answer(vm: MicroVM, number: int) -> str | None:
    line: str | None = None
    try:
        if number == TRACE:
            line = formatted(vm)
            vm.context.traced += 1
            vm.registers[0] = len(line) if line is not None else maps.INVALID & M64
        else:
            vm.registers[0] = HELPER_CALLS[number](vm) & M64
            vm.settle(test=False)
    except Trap as trap:
        vm.pc, vm.executed, vm.fuel = vm.pc - 1, vm.executed - 1, vm.fuel + 1  # as if it had not been charged
        vm.context.fault, vm.context.fault_address = trap.fault, trap.address
        vm.save(State.FAULTED)
        return None
    vm.save(State.PAUSED)
    return line


def memory_of(image: Image, spill: Buffer, maps_memory: Buffer, slot: int) -> Memory:
    """Return the memory of microVM `slot`."""
    spills = memoryview(spill).cast("B")[slot * SPILL_STRIDE : (slot + 1) * SPILL_STRIDE]
    own = memoryview(maps_memory).cast("B")[slot * image.maps_bytes : (slot + 1) * image.maps_bytes]
    return Memory(image, spills, own)
