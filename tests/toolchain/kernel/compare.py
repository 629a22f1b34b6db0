"""The same packets through a program in a microVM and in the kernel: verdicts, packets afterwards, maps at the end."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from packetfs.packet.layout import Buffer
from packetfs.toolchain.elf import Object
from packetfs.toolchain.link import link
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.context import Context, begin_shard, open_maps
from packetfs.vm.helpers import answer
from packetfs.vm.image import load
from packetfs.vm.instruction import SLOT, iterate
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, Framing, MapFlag, MapType, State, Stop
from packetfs.vm.machine import Machine
from packetfs.vm.maps import Effort, entries, update
from packetfs.vm.program import Program
from tests.toolchain.kernel import bpf

SHOW = """
    mov r6, r1
    call local +16
    mov r7, r0
    ldxw r1, [r6+0]
    ldxw r2, [r6+4]
    sub r2, r1
    stxdw [r10-8], r2
    call emit
    mov r1, r10
    add r1, -8
    mov r2, 8
    call emit
    mov r0, r7
    exit
    ja +0
    ja +0
    ja +0
    ja +0
"""
SHOWN = 18
"""Slots of SHOW: it calls the program behind it, then emits the packet and its size. They fill whole CODE packets."""
ROOM = 1 << 16
FUEL = 1 << 30
IMPURE = (5, 7)
CALL = 0x85


@dataclass
class Seen:
    """What became of the packets: verdict, bytes and output of each, and what the maps hold."""

    verdicts: list[int | str] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    maps: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    rings: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Compared:
    """The outcome of one program. `linked`: by libbpf, or (legacy maps) by us for both sides."""

    name: str
    packets: int
    slots: int
    linked: str
    problems: tuple[str, ...]
    refused: str = ""


def showing(program: Program) -> Program:
    """Return the program with SHOW in front of it."""
    return replace(program, code=pad(assemble(SHOW) + program.code), entry=0)


Fill = dict[str, dict[bytes, bytes]]
"""What maps hold before the first packet, by name."""
KEYS = ("0a000001", "0a000002", "020202020202", "0a0a0a0a0a0a", "0035", "0050", "0011", "06", "fd00" + "00" * 13 + "01")
FILLED = 64
"""Entries of an array that are filled at the most."""


def filling(program: Program, seed: int) -> Fill:
    """Return content for the program's maps: small numbers under the addresses and ports that packets have."""
    dice, fill = random.Random(seed), Fill()
    for d in program.maps:
        if d.name.startswith(b".") or d.type == MapType.RINGBUF or d.flags & MapFlag.READ_ONLY:
            continue
        keys = [i.to_bytes(4, "little") for i in range(min(d.max_entries, FILLED))]
        if d.type not in (MapType.ARRAY, MapType.PERCPU_ARRAY):
            keys = [bytes.fromhex(key).ljust(d.key_size, b"\0")[: d.key_size] for key in KEYS]
            keys = keys[: d.max_entries // 2]  # a full LRU_HASH evicts in the kernel, and says so in a microVM
        held = fill[d.name.decode()] = {}
        for key in keys:
            held[key] = bytes(dice.choice((0, 0, 1, 2, 7, 53)) for _ in range(d.value_size))
    return fill


def ours(program: Program, packets: list[bytes], machine: Machine, fill: Fill | None = None) -> Seen:
    """Run the program in one microVM, each packet a record."""
    image = load(showing(program))
    contexts, spill, maps = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(image.maps_bytes)
    open_maps(image.initial, image.maps_bytes, maps, 0)
    for definition, place in zip(image.definitions, image.maps, strict=True):
        for key, value in (fill or {}).get(definition.name.decode(), {}).items():
            assert update(place, memoryview(maps), key, value, 0, Effort()) == 0
    prepared, seen = machine.prepare(image), Seen()
    for number, packet in enumerate(packets):
        begin_shard(contexts, 0, shard=0, start=0, stop=len(packet), position=0, record_base=number, seed=1)
        out, done, stop = bytearray(ROOM), 0, Stop.HELPER
        while stop is Stop.HELPER:
            given = (0, 1, packet, 0, True, Framing.FIXED, len(packet), b"", memoryview(out)[done:], FUEL, FUEL, 0)
            _, stop, used = machine.run(prepared, contexts, spill, maps, *given)
            done += used
            if stop is Stop.HELPER:
                answer(image, contexts, spill, maps, 0, packet, 0, 0)
        context = Context(contexts)
        seen.verdicts.append(context.result if context.state == State.DONE else _fault(context))
        size = int.from_bytes(out[done - 8 : done], "little") if done else 0
        seen.packets.append(bytes(out[done - 8 - size : done - 8]))
        seen.rings.append(bytes(out[: done - 8 - size]))
    for definition, place in zip(image.definitions, image.maps, strict=True):
        if definition.type != MapType.RINGBUF:
            memory: Buffer = image.shared if place.read_only else maps
            held = entries(place, memoryview(memory))
            seen.maps[definition.name.decode()] = {key: value for key, value in held if any(value)}
    return seen


def _fault(context: Context) -> str:
    return f"{context.faulted!r} at slot {context.pc - SHOWN} by {context.fault_address:#x}"


def theirs(program: bpf.KernelProgram, packets: list[bytes]) -> Seen:
    """Run the program in the kernel."""
    seen = Seen()
    with one_processor():
        for packet in packets:
            verdict, after = program.run(packet)
            seen.verdicts.append(verdict)
            seen.packets.append(after)
        seen.maps = {held.name: held.entries() for held in program.maps}
    return seen


@contextmanager
def one_processor() -> Iterator[None]:
    """Keep to the first processor, as microVMs know only one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare(
    data: bytes, object_: Object, function: str, packets: list[bytes], machine: Machine, seed: int = 0
) -> Compared:
    """Run one program of an object on both sides and say what differs. `seed`: fill its maps before, unless 0."""
    program, linked = link(object_, function), "libbpf"
    fill = filling(program, seed) if seed else Fill()
    try:
        kernel = bpf.load_object(data, function)
    except bpf.Refused as error:
        if object_.section("maps") is None:
            return Compared(function, 0, len(program.code) // SLOT, linked, (), str(error))
        try:
            kernel, linked = bpf.load_linked(program, _declared(object_)), "us"
        except bpf.Refused as refused:
            return Compared(function, 0, len(program.code) // SLOT, linked, (), str(refused))
    with closing(kernel):
        for held in kernel.maps:
            for key, value in next((fill[name] for name in fill if _same(held.name, name)), {}).items():
                held.set(key, value)
        there = theirs(kernel, packets)
    here = ours(program, packets, machine, fill)
    if impure(program):
        problems = tuple(_differences(_lengths(here), _lengths(there), packets))
        linked += ", only verdicts and sizes compared: it asks for time or chance"
    else:
        problems = (*_differences(here, there, packets), *_map_differences(program, here, there))
    return Compared(function, len(packets), len(program.code) // SLOT, linked, problems)


def _lengths(seen: Seen) -> Seen:
    return Seen(seen.verdicts, [bytes(len(packet)) for packet in seen.packets])


def _declared(object_: Object) -> dict[bytes, tuple[int, ...]]:
    """Return the numbers of the maps in the legacy form, by name: the kernel has types that we replace."""
    section = object_.section("maps")
    if section is None:
        return {}
    symbols = (symbol for symbol in object_.symbols if symbol.section == section.index and symbol.size >= 20)
    return {s.name.encode()[:16]: struct.unpack_from("<5I", section.data, s.value) for s in symbols}


def impure(program: Program) -> bool:
    """Tell whether the program asks for time or chance, which are not the same twice."""
    return any(i.opcode == CALL and not i.src and i.imm in IMPURE for _, i in iterate(program.code))


def _differences(here: Seen, there: Seen, packets: list[bytes]) -> Iterator[str]:
    rows = zip(packets, here.verdicts, there.verdicts, here.packets, there.packets, strict=True)
    for number, (packet, ours_, theirs_, after, wanted) in enumerate(rows):
        if ours_ != theirs_:
            yield f"packet {number} ({packet[:40].hex()}): verdict {ours_}, the kernel {theirs_}"
        elif after != wanted:
            yield f"packet {number} ({packet[:40].hex()}): became {after[:64].hex()}, in the kernel {wanted[:64].hex()}"


def _map_differences(program: Program, here: Seen, there: Seen) -> Iterator[str]:
    for definition in program.maps:
        if definition.type == MapType.RINGBUF or (definition.flags & MapFlag.READ_ONLY and not definition.initial):
            continue
        name = definition.name.decode()
        match = next((long for long in there.maps if _same(long, name)), None)
        if match is None:
            yield f"map {name} is not among the kernel's {', '.join(there.maps)}"
        elif here.maps[name] != there.maps[match]:
            yield f"map {name}: {_some(here.maps[name])}, in the kernel {_some(there.maps[match])}"


def _same(theirs_: str, name: str) -> bool:
    """Tell whether the kernel's name is ours: names of data begin with the object's, long ones are cut."""
    return theirs_[:16] == name or (name.startswith(".") and theirs_.endswith(name))


def _some(held: dict[bytes, bytes]) -> str:
    shown = ", ".join(f"{key.hex()}: {value[:32].hex()}" for key, value in sorted(held.items())[:6])
    return f"{len(held)} entries ({shown})"
