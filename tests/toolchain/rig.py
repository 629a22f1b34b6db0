"""Run a program over records in one microVM and tell maps, output, verdicts and faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from packetfs.engines.machines import choose
from packetfs.vm.context import Context, begin_shard, open_maps
from packetfs.vm.framing import PAIR
from packetfs.vm.image import load
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, Fault, Framing, State, Stop
from packetfs.vm.machine import Machine
from packetfs.vm.maps import entries
from packetfs.vm.program import Program

SLICE = 1 << 40
FUEL = 1 << 24


@dataclass
class Outcome:
    """What a run leaves. maps: name -> key -> number, entries of arrays that are 0 left out."""

    output: bytes = b""
    maps: dict[str, dict[bytes, int]] = field(default_factory=dict)
    verdicts: tuple[int, ...] = ()
    faulted: bool = False
    line: int = 0


def run(program: Program, records: Sequence[bytes], machine: Machine | None = None, file_id: int = 0) -> Outcome:
    """Run `program` over records that lie one behind the other; up to its first fault."""
    machine, image = machine or choose(), load(program)
    contexts, spill, maps = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(image.maps_bytes)
    data, bounds = b"".join(records), bytearray()
    for record in records:
        start = len(bounds) and PAIR.unpack_from(bounds, len(bounds) - PAIR.size)[1]
        bounds += PAIR.pack(start, start + len(record))
    begin_shard(contexts, 0, shard=0, start=0, stop=len(records), position=0, record_base=0, seed=0)
    open_maps(image.initial, image.maps_bytes, maps, 0)
    out, end, output = bytearray(1 << 20), Context(contexts), b""
    prepared = machine.prepare(image)
    while end.state in (State.READY, State.PAUSED):
        _, stop, used = machine.run(
            prepared, contexts, spill, maps, 0, 1, data, 0, True, Framing.LIST, 0, bounds, out, SLICE, FUEL, file_id
        )
        assert stop in (Stop.DONE, Stop.OUTPUT), stop
        output += out[:used]
    faulted = end.state == State.FAULTED
    assert not faulted or end.fault == Fault.ADDRESS, Fault(end.fault)
    held = {}
    for definition, place in zip(image.definitions, image.maps, strict=True):
        if not place.read_only:
            found = entries(place, memoryview(maps))
            held[definition.name.decode()] = {key: int.from_bytes(value, "little") for key, value in found}
    return Outcome(output, held, tuple(end.verdicts), faulted, end.fault_address if faulted else 0)


def signed(numbers: dict[bytes, int]) -> dict[bytes, int]:
    """Return a map's numbers as i64."""
    return {key: value - (value >> 63 << 64) for key, value in numbers.items()}
