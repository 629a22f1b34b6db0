"""One program, one microVM, one record: what conformance suites ask for."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.limits import FUEL
from packetfs.packet.layout import Buffer
from packetfs.typing import Final
from packetfs.vm.context import Context, begin_shard, open_maps
from packetfs.vm.framing import PAIR
from packetfs.vm.helpers import answer
from packetfs.vm.image import Image
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, Fault, Framing, State, Stop
from packetfs.vm.machine import Machine

_ROOM: Final = 64 * 1024
"""Bytes of output between two stops; what does not fit at once gets twice as much."""
_SLICE: Final = 1 << 24
"""Slots between two looks for Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the record ended: with `result` = r0, or with a fault, at slot `pc`, and for bad addresses which. `ran`: in
    which way, where the machine has several."""

    result: int
    fault: Fault
    pc: int
    address: int
    executed: int
    output: bytes
    ran: tuple[tuple[str, int], ...] = ()


def run_single(machine: Machine, image: Image, record: Buffer, *, fuel: int = FUEL) -> Ended:
    """Run the image's program once, over a record that may be empty. What helper 6 writes is dropped.

    The whole record is at hand and its index is 0, so that no stop needs more than is done here.
    """
    contexts, spill, maps = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(image.maps_bytes)
    begin_shard(contexts, 0, shard=0, start=0, stop=1, position=0, record_base=0, seed=0)
    open_maps(image.initial, image.maps_bytes, maps, 0)
    data, bounds = bytes(record), PAIR.pack(0, len(record))
    prepared, room, output = machine.prepare(image), bytearray(_ROOM), bytearray()
    end = Context(contexts, 0)
    while end.state in (State.READY, State.PAUSED):
        _, stop, used = machine.run(
            prepared, contexts, spill, maps, 0, 1, data, 0, True, Framing.LIST, 0, bounds, room, _SLICE, fuel, 0
        )
        output += room[:used]
        if stop is Stop.HELPER:
            answer(image, contexts, spill, maps, 0, data, 0, 0)
        elif stop is Stop.OUTPUT and not used:
            room = bytearray(2 * len(room))
    ran = tuple(machine.ran(prepared).items())
    return Ended(end.result, Fault(end.fault), end.pc, end.fault_address, end.executed, bytes(output), ran)
