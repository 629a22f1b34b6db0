"""The definition of what programs do: one instruction after the other, in Python, for a range of microVMs.

`run_python` and the C core's `vm_run` mean the same, down to every byte of context, spill, maps and output; the tests
run on both. A slot ends a run as DONE, FAULTED or PAUSED; what only the caller can help with (another window, room for
output, an answer, the index of a record) ends the whole run at once.
"""

from __future__ import annotations

import os
from functools import lru_cache

from packetfs.dataclass import dataclass
from packetfs.packet.layout import Buffer
from packetfs.typing import Final
from packetfs.vm.context import Context
from packetfs.vm.framing import PAIR, Records, Window
from packetfs.vm.helpers import ANSWERED, memory_of
from packetfs.vm.image import Image
from packetfs.vm.instruction import Instruction, iterate_rows, width
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, Fault, Framing, State, Stop
from packetfs.vm.memory import Pause, Trap
from packetfs.vm.microvm import MicroVM, Output
from packetfs.vm.operations import Operation, RecordEnd, operation_of

FUEL_MAX: Final = 1 << 56
"""Fuel and slices count as this at most, so that no sum of them leaves 64 bits."""
SIZED: Final = (Framing.FIXED, Framing.LINES)
IMAGES_KEPT: Final = 16
"""Programs whose decoded instructions are kept."""

Step = tuple[Operation, Instruction, int]
"""What executes a slot's instruction, its fields, and the slot behind it."""
_RETURNED: Final = (Stop.WINDOW, Stop.OUTPUT, Stop.HELPER, Stop.INDEX)


@dataclass(frozen=True, slots=True)
class Work:
    """What the microVMs of one run share."""

    image: Image
    window: Window
    records: Records
    output: Output
    fuel: int
    slice: int
    file_id: int


def run_python(
    image: Image,
    contexts: Buffer,
    spill: Buffer,
    maps: Buffer,
    first: int,
    count: int,
    window: Buffer,
    window_start: int,
    final: bool,
    framing: int,
    size: int,
    bounds: Buffer,
    out: Buffer,
    slice_slots: int,
    fuel: int,
    file_id: int,
    /,
) -> tuple[int, Stop, int]:
    """Run microVMs first to first + count - 1, those that are READY or PAUSED, up to `slice_slots` slots each.

    contexts, spill, maps, out: writable; slot i begins at i * 1,024, i * SPILL_STRIDE, i * image.maps_bytes. window:
    the file from `window_start` on; final: the file ends with it. size: of FIXED records and LINES. bounds: pairs of
    u64 for LIST. fuel: slots that one record may execute. Return (slot, stop, bytes of `out` used): the slot that needs
    the caller, with WINDOW, OUTPUT, HELPER or INDEX, or (first + count, DONE, used). ValueError or TypeError for
    buffers that are too small or not writable.
    """
    _check(image, contexts, spill, maps, out, first, count)
    records = Records(Framing(framing), size, memoryview(bounds).cast("B"))
    if (framing in SIZED and size < 1) or records.bounds.nbytes % PAIR.size:
        raise ValueError("FIXED records and LINES have at least one byte; bounds are pairs of 64 bits")
    view = Window(memoryview(window).cast("B"), window_start, bool(final))
    output = Output(memoryview(out).cast("B"))
    work = Work(image, view, records, output, min(fuel, FUEL_MAX), min(slice_slots, FUEL_MAX), file_id)
    for slot in range(first, first + count):
        context = Context(contexts, slot)
        if context.state in (State.READY, State.PAUSED):
            stop = _run_slot(work, context, spill, maps, slot)
            if stop in _RETURNED:
                return slot, stop, output.used
    return first + count, Stop.DONE, output.used


def _check(image: Image, contexts: Buffer, spill: Buffer, maps: Buffer, out: Buffer, first: int, count: int) -> None:
    for buffer, stride in ((contexts, CONTEXT_BYTES), (spill, SPILL_STRIDE), (maps, image.maps_bytes), (out, 0)):
        view = memoryview(buffer)
        if view.readonly and view.nbytes:
            raise TypeError("contexts, spill, maps and output must be writable")
        if first < 0 or count < 0 or view.nbytes < (first + count) * stride:
            raise ValueError(f"{view.nbytes} bytes do not hold {first + count} microVMs of {stride} bytes")


def _run_slot(work: Work, context: Context, spill: Buffer, maps: Buffer, slot: int) -> Stop:
    """Run one microVM until it stops, and save it."""
    waiting, number = context.helper_pc, context.fault_address
    memory = memory_of(work.image, spill, maps, slot)
    memory.file_id = work.file_id
    vm = MicroVM(work.image, context, memory, work.output, os.getpid())
    vm.slice = work.slice
    if not vm.in_record:
        return _run_records(work, vm)
    if not vm.resume() or (waiting and number not in ANSWERED):
        return _fault(vm, Trap(Fault.INSTRUCTION), dropped=True)
    seen = vm.look(work.window)
    if not seen or waiting:
        vm.put_back()
        return _leave(context, waiting, number, Stop.HELPER if seen else Stop.WINDOW)
    return _go_on(work, vm)


def _leave(context: Context, waiting: int, number: int, stop: Stop) -> Stop:
    """Leave a microVM as it was found, because nothing could be done."""
    context.helper_pc = waiting
    context.fault_address = number if waiting else 0
    context.state = State.PAUSED
    return stop


def _run_records(work: Work, vm: MicroVM) -> Stop:
    """Run records until the shard, the slice or the window ends."""
    context, listed = vm.context, work.records.framing == Framing.LIST
    while context.position < context.stop:
        found = work.records.find(work.window, context.position, context.stop)
        if found is Stop.DONE:
            break
        if found is Stop.WINDOW:
            vm.save(State.PAUSED)
            return Stop.WINDOW
        if isinstance(found, Fault):
            return _fault(vm, Trap(found), dropped=True)
        assert isinstance(found, tuple)  # noqa: S101 (the type checker cannot see that all else is done)
        vm.begin_record(work.window, *found, work.fuel)
        stop = _run_record(vm)
        if stop is not Stop.DONE:
            return stop
        vm.end_record(listed=listed)
        if vm.slice <= 0 and context.position < context.stop:
            vm.save(State.PAUSED)
            return Stop.SLICE
    vm.save(State.DONE)
    return Stop.DONE


def _go_on(work: Work, vm: MicroVM) -> Stop:
    """End the record that a resumed microVM is in, then run the others."""
    stop = _run_record(vm)
    if stop is not Stop.DONE:
        return stop
    vm.end_record(listed=work.records.framing == Framing.LIST)
    if vm.slice <= 0 and vm.context.position < vm.context.stop:
        vm.save(State.PAUSED)
        return Stop.SLICE
    return _run_records(work, vm)


def _run_record(vm: MicroVM) -> Stop:
    """Execute until the record ends (DONE), or save the microVM and say why it stopped."""
    steps = decoded(vm.image.code)
    slot = vm.pc
    try:
        while True:
            slot = vm.pc
            operation, instruction, vm.pc = steps[slot]
            operation(vm, instruction)
    except RecordEnd:
        return Stop.DONE
    except Trap as trap:
        vm.pc = slot if trap.pc is None else trap.pc
        vm.charge(vm.pc)
        return _fault(vm, trap)
    except Pause as pause:
        return _pause(vm, pause, slot)


def _pause(vm: MicroVM, pause: Pause, slot: int) -> Stop:
    if pause.stop in (Stop.OUTPUT, Stop.INDEX):
        vm.pc = slot  # the instruction is repeated
    vm.charge(vm.pc)
    vm.save(State.PAUSED)
    vm.context.fault_address = pause.number
    if pause.stop is Stop.HELPER:
        vm.context.helper_pc = vm.pc
    return pause.stop


def _fault(vm: MicroVM, trap: Trap, *, dropped: bool = False) -> Stop:
    """End a microVM. dropped: it is not inside a record, or what it says of one is worth nothing."""
    vm.in_record = vm.in_record and not dropped
    vm.context.fault, vm.context.fault_address = trap.fault, trap.address
    vm.save(State.FAULTED)
    return Stop.FAULT


@lru_cache(maxsize=IMAGES_KEPT)
def decoded(code: bytes) -> list[Step]:
    """Return the steps of resolved code, by slot; the second slot of lddw, which nothing reaches, repeats the first."""
    steps: list[Step] = []
    for slot, instruction, row in iterate_rows(code):
        step = operation_of(row), instruction, slot + width(instruction.opcode)
        steps += [step] * (step[2] - slot)
    return steps
