"""A table of microVMs with its buffers, to run programs on either interpreter and look at every byte afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from packetfs.engines.machines import every_machine as find_machines
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.context import Context, begin_shard, open_maps
from packetfs.vm.framing import PAIR
from packetfs.vm.helpers import answer
from packetfs.vm.image import Image, load
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, ContextKind, Fault, Framing, MapType, State, Stop
from packetfs.vm.machine import Machine
from packetfs.vm.program import MapDefinition, Program

every_machine = pytest.mark.parametrize("machine", find_machines(), ids=lambda machine: machine.name)
"""The suite of both interpreters: what a test says under this mark, each of them does."""
PLENTY = 1 << 40


def program(text: str, *maps: MapDefinition, kind: ContextKind = ContextKind.PACKETFS) -> Program:
    return Program(pad(assemble(text)), maps, kind)


def array(entries: int = 4, value: int = 8, **more: Any) -> MapDefinition:
    return MapDefinition(b"array", MapType.ARRAY, 4, value, entries, **more)


def table(entries: int = 4, key: int = 8, value: int = 8) -> MapDefinition:
    return MapDefinition(b"table", MapType.HASH, key, value, entries)


RING = MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096)


@dataclass
class Rig:
    """`count` microVMs of one image. Each run adds to `output` what it emitted."""

    machine: Machine
    image: Image
    data: bytes = bytes(64)
    framing: Framing = Framing.FIXED
    size: int = 64
    bounds: bytes = b""
    count: int = 1
    room: int = 1 << 16
    fuel: int = PLENTY
    output: bytes = b""
    lines: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contexts = bytearray(self.count * CONTEXT_BYTES)
        self.spill = bytearray(self.count * SPILL_STRIDE)
        self.maps = bytearray(self.count * self.image.maps_bytes)
        self.prepared = self.machine.prepare(self.image)
        for slot in range(self.count):
            open_maps(self.image.initial, self.image.maps_bytes, self.maps, slot)
        self.begin()

    def begin(self, slot: int = 0, *, shard: int = 0, start: int = 0, stop: int | None = None, base: int = 0) -> None:
        last = len(self.bounds) // PAIR.size if self.framing is Framing.LIST else len(self.data)
        begin_shard(
            self.contexts,
            slot,
            shard=shard,
            start=start,
            stop=last if stop is None else stop,
            position=start,
            record_base=base,
            seed=7,
        )

    def context(self, slot: int = 0) -> Context:
        return Context(self.contexts, slot)

    def run(self, slice_slots: int = PLENTY, window: tuple[int, int] | None = None) -> tuple[int, Stop]:
        """Run all slots once, in the window [start, stop) of the data, or in all of it."""
        start, stop = window or (0, len(self.data))
        out = bytearray(self.room)
        slot, why, used = self.machine.run(
            self.prepared,
            self.contexts,
            self.spill,
            self.maps,
            0,
            self.count,
            memoryview(self.data)[start:stop],
            start,
            stop == len(self.data),
            self.framing,
            self.size,
            self.bounds,
            out,
            slice_slots,
            self.fuel,
            3,
        )
        self.output += out[:used]
        return slot, why

    def answer(self, slot: int = 0) -> str | None:
        line = answer(self.image, self.contexts, self.spill, self.maps, slot, self.data, 0, 3)
        self.lines.append(line)
        return line

    def step(self, slice_slots: int) -> tuple[int, Stop]:
        """Run once, and again after each call that was answered."""
        while (ran := self.run(slice_slots))[1] is Stop.HELPER:
            self.answer(ran[0])
        return ran

    def finish(self, slices: Sequence[int] = (PLENTY,)) -> Rig:
        """Run until nothing can run any more, with one slice after the other."""
        for turn in range(100_000):
            slot, why = self.run(slices[turn % len(slices)])
            if why is Stop.HELPER:
                self.answer(slot)
            elif why is Stop.DONE and not any(self.context(i).state == State.PAUSED for i in range(self.count)):
                return self
            else:
                assert why in (Stop.DONE, Stop.OUTPUT), why
        raise AssertionError("it never ends")

    def fault(self, slot: int = 0) -> tuple[Fault, int, int]:
        """Return fault, pc and address of a microVM that must have one."""
        context = self.context(slot)
        assert context.state == State.FAULTED
        return Fault(context.fault), context.pc, context.fault_address

    def remains(self) -> tuple[bytes, ...]:
        """Return all that a run leaves: contexts (without the owner), maps, output."""
        contexts = bytearray(self.contexts)
        for slot in range(self.count):
            Context(contexts, slot).owner = 0
        return bytes(contexts), bytes(self.maps), self.output


def rig(
    machine: Machine, text: str, *maps: MapDefinition, kind: ContextKind = ContextKind.PACKETFS, **more: Any
) -> Rig:
    return Rig(machine, load(program(text, *maps, kind=kind)), **more)


def result(machine: Machine, text: str, *maps: MapDefinition, **more: Any) -> int:
    """Return r0 of a program that must end well."""
    ran = rig(machine, text, *maps, **more).finish()
    assert ran.context().state == State.DONE, ran.fault()
    return ran.context().result


def fault(machine: Machine, text: str, *maps: MapDefinition, **more: Any) -> tuple[Fault, int, int]:
    """Return how a program faults."""
    return rig(machine, text, *maps, **more).finish().fault()
