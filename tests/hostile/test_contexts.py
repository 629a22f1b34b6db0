"""Tables that somebody else wrote: contexts with any field at any value, scribbled on while they run."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from packetfs.errors import BadMicroVM
from packetfs.vm.context import Context
from packetfs.vm.image import load
from packetfs.vm.layout import CONTEXT, CONTEXT_BYTES, SPILL_STRIDE, Fault, Framing, State
from packetfs.vm.machine import MACHINES, NATIVE, Machine
from packetfs.vm.snapshot import freeze
from tests.vm.rig import RING, Rig, array, every_machine, program, table

PAUSING = """
    mov r6, r1
    lddw r1, map 1
    mov r2, 16
    mov r3, 0
    call 131
    stdw [r10-504], 7
    call local f
    exit
    f: stdw [r10-8], 9
    ldxdw r3, [r6+0]
    stxb [r3+0], r2
    mov r5, 40
    again: ldxb r4, [r3+0]
    lddw r1, map 0
    mov r2, r10
    add r2, -8
    stdw [r2+0], 5
    mov r4, 0
    mov r3, r2
    call 2
    add r5, -1
    jne r5, 0, again
    exit
"""
"""Stack of two functions, reserve, private record and a hash table, all in use at each pause."""
IMAGE = load(program(PAUSING, table(2), RING))
DATA = bytes(range(64)) * 2
FIELDS = [field for field in CONTEXT if field.size in (2, 4, 8) and field.name not in ("owner", "vm")]
EXTREMES = [
    0,
    1,
    7,
    8,
    63,
    64,
    255,
    256,
    257,
    320,
    4032,
    4096,
    4097,
    65_536,
    1 << 28,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 62,
    1 << 63,
    (1 << 64) - 257,
    (1 << 64) - 1,
]


def _paused(machine: Machine | None = None) -> Rig:
    ran = Rig(machine or MACHINES[-1], IMAGE, DATA, room=1 << 12)
    ran.run(slice_slots=20)
    assert ran.context().state == State.PAUSED
    return ran


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(EXTREMES)), min_size=1, max_size=5))
@example([(next(f for f in FIELDS if f.name == "record_start"), 1 << 63)])
@example([(next(f for f in FIELDS if f.name == "position"), (1 << 64) - 2)])
@example([(next(f for f in FIELDS if f.name == name), value) for name, value in (("record_stop", 255), ("depth", 0))])
@example([(next(f for f in FIELDS if f.name == name), value) for name, value in (("record_stop", 255), ("flags", 7))])
def test_a_context_may_say_anything_of_itself(changes: list[tuple[object, int]]) -> None:
    left = []
    for machine in MACHINES:
        ran = _paused(machine)
        for field, value in changes:
            at = field.offset  # type: ignore[attr-defined]
            size = field.size  # type: ignore[attr-defined]
            ran.contexts[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
        for _ in range(3):
            ran.run(slice_slots=50)
        left.append(ran.remains())
    assert left[0] == left[-1]


@settings(max_examples=100)
@given(
    st.binary(min_size=CONTEXT_BYTES, max_size=CONTEXT_BYTES),
    st.sampled_from([State.READY, State.PAUSED]),
    st.integers(0, 7),
)
def test_a_context_of_noise_does_no_harm(noise: bytes, state: State, flags: int) -> None:
    left = []
    for machine in MACHINES:
        ran = Rig(machine, IMAGE, DATA)
        ran.contexts[:] = noise
        ran.context().state = state
        ran.context().flags = flags
        ran.run(slice_slots=50)
        left.append(ran.remains())
    assert left[0] == left[-1]


@every_machine
@pytest.mark.parametrize(
    "changes",
    [
        {"pc": 1 << 31},
        {"pc": 5},
        {"depth": 8},
        {"depth": (1 << 32) - 1},
        {"stack_low": 4160},
        {"stack_low": 63},
        {"reserved": 4104},
        {"reserved": 4},
        {"record_start": 64, "record_stop": 63},
        {"record_stop": 1 << 40},
        {"data": 100_000},
        {"data_end": 100_000},
        {"data": 400, "data_end": 300},
        {"flags": 3},
        {"record_start": (1 << 64) - 1},
    ],
)
def test_what_no_program_can_have_made_ends_with_a_fault(machine: Machine, changes: dict[str, int]) -> None:
    ran = _paused(machine)
    if changes.get("pc") == 5:
        changes = {"pc": next(i for i, begins in enumerate(IMAGE.starts) if not begins)}
    for name, value in changes.items():
        setattr(ran.context(), name, value)
    if changes == {"flags": 3}:  # not COPIED, but moved
        ran.context().data = 200
    ran.run()
    assert (ran.context().state, ran.context().fault, ran.context().pc) == (State.FAULTED, Fault.INSTRUCTION, 0)


@every_machine
def test_a_forged_return_address_is_refused(machine: Machine) -> None:
    ran = _paused(machine)
    assert ran.context().depth == 1
    for back in (len(IMAGE.starts), 1 << 32, (1 << 64) - 1, next(i for i, b in enumerate(IMAGE.starts) if not b)):
        ran = _paused(machine)
        ran.contexts[192:200] = back.to_bytes(8, "little")
        ran.run()
        assert ran.context().fault == Fault.INSTRUCTION


def _meanwhile(act: Callable[[random.Random], None], work: Callable[[int], None], often: int = 10_000) -> None:
    """Do `work` in another thread, which lets go of Python's lock, while this one acts: each as often, or more."""
    dice, acted, worked = random.Random(7), 0, 0

    def repeat() -> None:
        nonlocal worked
        while min(acted, worked) < often:
            work(worked)
            worked += 1

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(repeat)
        try:
            while not working.done():
                act(dice)
                acted += 1
        finally:
            acted += often  # an act that failed ends the other's work too
        working.result()


def _run(ran: Rig, turn: int) -> None:
    ran.context().state = (State.READY, State.PAUSED)[turn % 2]
    ran.run(slice_slots=1 << 14)


LOOPING = PAUSING.replace("mov r5, 40", "mov r5, 4000")


@pytest.mark.parametrize("part", ["contexts", "spill", "maps", "data", "all"])
def test_another_process_may_scribble_meanwhile(part: str) -> None:
    """The results are then anything, but the process that runs stays whole: what is used was copied, then checked."""
    ran = Rig(NATIVE or MACHINES[0], load(program(LOOPING, table(2), RING)), b"", fuel=1 << 20)
    ran.data = bytearray(DATA)  # type: ignore[assignment]
    targets = [getattr(ran, name) for name in (("contexts", "spill", "maps", "data") if part == "all" else (part,))]

    def scribble(dice: random.Random) -> None:
        for memory in targets:
            at = dice.randrange(0, len(memory) - 8, 4)
            memory[at : at + 4] = dice.choice((0, 1, 2, 3, 4096, 0x7FFFFFFF, 0xFFFFFFFF)).to_bytes(4, "little")

    _meanwhile(scribble, partial(_run, ran))


def test_buffers_cannot_shrink_during_a_run() -> None:
    ran = Rig(NATIVE or MACHINES[0], load(program(LOOPING, table(2), RING)), DATA * 100)
    refused, resized = [0], [0]

    def shrink(dice: random.Random) -> None:
        memory = dice.choice((ran.contexts, ran.spill, ran.maps))
        try:
            memory.append(0)  # would move it
            resized[0] += 1
            del memory[-1:]
        except BufferError:
            refused[0] += 1

    _meanwhile(shrink, partial(_run, ran))
    assert refused[0] + resized[0] > 0


def test_maps_may_fill_while_they_are_frozen(tmp_path: Path) -> None:
    """The core counts packets first and writes them then: more of them than it counted have no room."""
    size = 1 << 22
    ran = Rig(NATIVE or MACHINES[0], load(program("exit")))
    maps, source = bytearray(size), tmp_path / "ones"
    source.write_bytes(b"\1" * size)

    def fill(_: random.Random) -> None:
        with source.open("rb", buffering=0) as file, open("/dev/zero", "rb", buffering=0) as zeros:
            file.readinto(maps)  # without Python's lock: in the middle of what the other thread does
            zeros.readinto(maps)

    def frozen(_: int) -> None:
        with suppress(BadMicroVM):
            freeze(ran.contexts, ran.spill, maps, size, [0])

    _meanwhile(fill, frozen, 20)


def _call(ran: Rig, **changes: object) -> object:
    arguments = {
        "prepared": ran.prepared,
        "contexts": ran.contexts,
        "spill": ran.spill,
        "maps": ran.maps,
        "first": 0,
        "count": 1,
        "window": DATA,
        "window_start": 0,
        "final": True,
        "framing": int(Framing.FIXED),
        "size": 64,
        "bounds": b"",
        "out": bytearray(64),
        "slice": 1000,
        "fuel": 1000,
        "file": 0,
    } | changes
    return ran.machine.run(*arguments.values())  # type: ignore[arg-type]


@every_machine
@pytest.mark.parametrize(
    "changes",
    [
        {"contexts": bytearray(CONTEXT_BYTES - 1)},
        {"spill": bytearray(SPILL_STRIDE - 1)},
        {"maps": bytearray(8)},
        {"contexts": bytes(CONTEXT_BYTES)},
        {"first": -1},
        {"count": -1},
        {"count": 2},
        {"first": 1},
        {"framing": 0},
        {"framing": 5},
        {"size": 0},
        {"bounds": bytes(15)},
        {"out": bytes(8)},
        {"first": 1 << 62, "count": 1 << 62},
        {"first": (1 << 63) - 1, "count": 1},
    ],
)
def test_buffers_that_do_not_fit_are_refused(machine: Machine, changes: dict[str, object]) -> None:
    ran = Rig(machine, IMAGE, DATA)
    with pytest.raises((ValueError, TypeError, OverflowError)):
        _call(ran, **changes)
    assert ran.context().state == State.READY


@every_machine
def test_no_room_for_output_is_a_stop_and_nothing_is_written(machine: Machine) -> None:
    text = "mov r1, r10\n add r1, -16\n mov r2, 16\n call 4096\n exit"
    ran = Rig(machine, load(program(text, array())), DATA)
    assert _call(ran, out=bytearray(15))[1:] == (2, 0)  # type: ignore[index]
    assert _call(ran, out=bytearray(0))[1:] == (2, 0)  # type: ignore[index]
    assert ran.context().fault_address == 16
    assert Context(ran.contexts).emitted == 0
