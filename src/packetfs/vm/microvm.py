"""One microVM while it runs: registers, frames, counters and memory, taken from a context and put back into it.

Charging: a straight run costs the slots from its begin to behind the instruction that ends it (taken jump, local call,
return, end of the record). Fuel and slice are tested only where a program can come back: taken jumps to their own slot
or before it, and local calls. So cost does not depend on where a microVM pauses. A helper that looks at many words or
moves many bytes costs slots of its own, and is tested behind: else one slot could take milliseconds.
"""

from __future__ import annotations

from itertools import chain

from packetfs.limits import FUEL_MAX
from packetfs.packet.layout import Buffer
from packetfs.typing import Final
from packetfs.vm.context import BASE_UNKNOWN, Context
from packetfs.vm.framing import RECORD_MAX, Window
from packetfs.vm.image import Image
from packetfs.vm.isa import REGISTERS
from packetfs.vm.layout import (
    CONTEXT_BYTES,
    FRAME_BYTES,
    FRAMES,
    HEADROOM,
    RECORD_COPY_MAX,
    REGION_SHIFT,
    RESERVE_BYTES,
    STACK_BYTES,
    STORE_AT,
    STORE_BYTES,
    ContextFlag,
    ContextKind,
    Fault,
    Region,
    State,
    Stop,
)
from packetfs.vm.memory import STACK_STEP, Memory, Pause, Trap

M64: Final = (1 << 64) - 1
FRAME_WORDS: Final = 5
"""A frame of a context: return slot, r6 to r9."""
FUEL_LEAST: Final = -(1 << 63)
_NO_FRAMES: Final = (0,) * (FRAME_WORDS * (FRAMES - 1))
_VERDICT_OTHER: Final = 5
BYTES_A_SLOT: Final = 64
"""Bytes that a helper copies, zeroes or sums in about the time of one instruction; a word of an index counts as 8."""


class Output:
    """Where emissions go: a buffer that is filled from the front."""

    def __init__(self, room: memoryview) -> None:
        self.room, self.used = room, 0

    def append(self, data: Buffer) -> None:
        """Take an emission; Pause OUTPUT when it does not fit."""
        end = self.used + len(data)
        if end > self.room.nbytes:
            raise Pause(Stop.OUTPUT, len(data))
        self.room[self.used : end] = data
        self.used = end


class MicroVM:
    """A microVM that runs. `pc` is behind the instruction that executes; `begin` is where its straight run began."""

    def __init__(self, image: Image, context: Context, memory: Memory, output: Output, owner: int) -> None:
        self.image, self.context, self.memory, self.output = image, context, memory, output
        self.registers, self.frames = [0] * REGISTERS, list[tuple[int, ...]]()
        self.pc = self.begin = 0
        self.fuel = context.fuel = _bounded(context.fuel)
        self.executed, self.emitted = context.executed, context.emitted
        self.slice = self.extra = 0
        self.in_record = bool(context.flags & ContextFlag.IN_RECORD)
        memory.vm, memory.fields_read = context.vm, context.fields_read
        context.state, context.owner, context.fault, context.fault_address = State.RUNNING, owner, 0, 0

    # records

    def begin_record(self, window: Window, start: int, stop: int, fuel: int) -> None:
        """Make everything what a program finds when a record begins."""
        self.context.record_start, self.context.record_stop = start, stop
        self._show(window.part(start, stop), start)
        self.memory.clear()
        self.registers = [0] * REGISTERS
        self.registers[1] = self._argument()
        self.registers[2] = stop - start
        self.registers[10] = Region.STACK << REGION_SHIFT | STACK_BYTES
        self.frames, self.pc, self.begin, self.fuel = [], self.image.entry, self.image.entry, fuel
        self.in_record = True

    def _show(self, record: memoryview, start: int) -> None:
        base = self.context.record_base
        self.memory.record_index = None if base == BASE_UNKNOWN else base + self.context.records & M64
        self.memory.open_record(record, start)

    def _argument(self) -> int:
        if self.image.context != ContextKind.RAW:
            return Region.CTX << REGION_SHIFT
        return Region.DATA << REGION_SHIFT | HEADROOM if self.memory.length else 0

    def end_record(self, *, listed: bool) -> None:
        """Count the record that ended with r0."""
        context, result = self.context, self.registers[0]
        verdicts = list(context.verdicts)
        kind = min(result, _VERDICT_OTHER)
        verdicts[kind] = verdicts[kind] + 1 & M64
        context.verdicts, context.result, context.records = verdicts, result, context.records + 1 & M64
        context.position = context.position + 1 if listed else context.record_stop
        self.in_record = False

    # control

    def charge(self, behind: int) -> None:
        """Pay for the straight run up to slot `behind`; the next one begins there."""
        cost = behind - self.begin
        self.executed += cost
        self.fuel -= cost
        self.slice -= cost
        self.begin = behind

    def jump(self, target: int) -> None:
        """Take a jump."""
        behind = self.pc
        self.charge(behind)
        self.pc = self.begin = target
        if target < behind:
            self._test()

    def call(self, target: int) -> None:
        """Call a function of the program."""
        if len(self.frames) == FRAMES - 1:
            raise Trap(Fault.DEPTH)
        self.charge(self.pc)
        self.frames.append((self.pc, *self.registers[6:10]))
        self.registers[10] = self.registers[10] - FRAME_BYTES & M64
        self.pc = self.begin = target
        self._test()

    def leave(self) -> bool:
        """Return from a function; False when it is the main one, and the record has ended."""
        self.charge(self.pc)
        if not self.frames:
            return False
        self.pc, *self.registers[6:10] = self.frames.pop()
        self.registers[10] = self.registers[10] + FRAME_BYTES & M64
        self.begin = self.pc
        return True

    def _test(self) -> None:
        if self.fuel < 0:
            raise Trap(Fault.FUEL, pc=self.pc)
        if self.slice <= 0:
            raise Pause(Stop.SLICE)

    def emit(self, data: Buffer) -> None:
        self.output.append(data)
        self.emitted += len(data)
        self.pay(len(data))

    def pay(self, size: int, words: int = 0) -> None:
        """Say what the helper that runs has done, when it ends well: bytes moved, words of an index looked at."""
        self.extra = (size + 8 * words) // BYTES_A_SLOT

    def settle(self, *, test: bool) -> None:
        """Charge for a helper that was more than a slot, behind its call. test: fuel and slice too."""
        if self.extra:
            self.begin -= self.extra
            self.extra = 0
            self.charge(self.pc)
            if test:
                self._test()

    # between runs

    def resume(self) -> bool:
        """Take up what the context says; False when no microVM can be like that."""
        context, memory = self.context, self.memory
        if not can_be(context, self.image):
            return False
        self.registers, self.pc, self.begin = list(context.registers), context.pc, context.pc
        words = context.frames
        self.frames = [tuple(words[FRAME_WORDS * d : FRAME_WORDS * (d + 1)]) for d in range(context.depth)]
        memory.stack_low, memory.reserved = context.stack_low, context.reserved
        used = STACK_BYTES - memory.stack_low
        spilled = context.flags & ContextFlag.SPILLED
        memory.stack[memory.stack_low :] = (
            memory.spill[memory.stack_low : STACK_BYTES] if spilled else context.store[:used]
        )
        return True

    def look(self, window: Window) -> bool:
        """Find the record of a resumed microVM again; False when the window does not hold it."""
        context, memory = self.context, self.memory
        start, stop = context.record_start, context.record_stop
        if not window.holds(start, stop):
            return False
        self._show(window.part(start, stop), start)
        if context.flags & ContextFlag.COPIED:
            memory.take_copy()
        memory.data, memory.data_end = context.data, context.data_end
        return True

    def put_back(self) -> None:
        """Put a resumed record back that was not gone on with: equal microVMs stay equal bytes, whoever wrote them."""
        context, memory = self.context, self.memory
        memory.data, memory.data_end = context.data, context.data_end
        memory.copied = bool(context.flags & ContextFlag.COPIED)
        self._save_record()

    def save(self, state: State) -> None:
        """Put everything into the context, which then says all there is to say."""
        context, memory = self.context, self.memory
        context.fuel, context.executed = max(self.fuel, FUEL_LEAST), self.executed & M64
        context.emitted, context.fields_read = self.emitted & M64, memory.fields_read
        if self.in_record:
            self._save_record()
        else:
            _clear_record(context)
        context.state = state

    def _save_record(self) -> None:
        context, memory = self.context, self.memory
        context.registers, context.pc, context.depth = self.registers, self.pc, len(self.frames)
        context.frames = (*chain.from_iterable(self.frames), *_NO_FRAMES[FRAME_WORDS * len(self.frames) :])
        context.stack_low, context.reserved = memory.stack_low, memory.reserved
        context.data, context.data_end, context.helper_pc = memory.data, memory.data_end, 0
        flags = ContextFlag.IN_RECORD | (ContextFlag.COPIED if memory.copied else 0)
        used = memory.stack[memory.stack_low :]
        if len(used) > STORE_BYTES:
            memory.spill[memory.stack_low : STACK_BYTES] = used
            flags, used = flags | ContextFlag.SPILLED, bytearray()
        context.store[:] = used.ljust(STORE_BYTES, b"\0")
        context.flags = flags


def _bounded(fuel: int) -> int:
    """Return fuel as the C core counts it: no context can make a sum of it leave 64 bits."""
    return max(-FUEL_MAX, min(fuel, FUEL_MAX))


def _clear_record(context: Context) -> None:
    """Make what only a record has zero, so that equal microVMs are equal bytes."""
    context.flags = context.pc = context.depth = context.stack_low = context.reserved = 0
    context.data = context.data_end = context.helper_pc = 0
    context.registers, context.frames = [0] * REGISTERS, _NO_FRAMES
    context.view[STORE_AT:CONTEXT_BYTES] = bytes(STORE_BYTES)


def can_be(context: Context, image: Image) -> bool:
    """Tell whether a microVM inside a record can be as the context says: nothing in it would do harm."""
    length = context.record_stop - context.record_start
    if not 0 <= length <= RECORD_MAX or context.depth > FRAMES - 1:
        return False
    slots = (context.pc, *(context.frames[FRAME_WORDS * d] for d in range(context.depth)))
    if not all(slot < len(image.starts) and image.starts[slot] for slot in slots):
        return False
    if context.stack_low > STACK_BYTES or context.stack_low % STACK_STEP:
        return False
    if context.reserved > RESERVE_BYTES or context.reserved % 8:
        return False
    asked = context.helper_pc  # behind the call, which is one slot
    if asked and (asked != context.pc or not image.starts[asked - 1]):
        return False
    if not context.flags & ContextFlag.SPILLED and STACK_BYTES - context.stack_low > STORE_BYTES:
        return False
    if context.flags & ContextFlag.COPIED:
        end = HEADROOM + length + HEADROOM
        return length <= RECORD_COPY_MAX and context.data <= context.data_end <= end
    return context.data == HEADROOM and context.data_end == HEADROOM + length
