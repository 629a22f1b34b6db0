"""Padding of code, so that each CODE packet decodes alone: `ja +0` goes where an lddw would straddle two of them."""

from __future__ import annotations

from packetfs.errors import IllegalInstruction
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, overload
from packetfs.vm.instruction import SLOT, Instruction, encode, iterate_rows, width
from packetfs.vm.isa import JA, LDDW, Opcode
from packetfs.vm.layout import SLOTS_A_PACKET

_FILLER: Final = encode(Instruction(JA))


@overload
def pad(code: Buffer) -> bytes: ...
@overload
def pad(code: Buffer, entry: int) -> tuple[bytes, int]: ...
def pad(code: Buffer, entry: int | None = None) -> bytes | tuple[bytes, int]:
    """Return the code padded and, where an entry is given, the slot where it then is. Padded code stays as it is.

    Targets of jumps, calls and function addresses move along. IllegalInstruction where one no longer fits its field, or
    leads to where no instruction begins.
    """
    places, out = padded_places(code), bytearray()
    for slot, instruction, row in iterate_rows(code):
        while len(out) < places[slot] * SLOT:
            out += _FILLER
        out += encode(_moved(slot, instruction, row, places) if row.targets else instruction)
    if entry is None:
        return bytes(out)
    if entry not in places:
        raise IllegalInstruction(slot=entry, reason="the entry is where no instruction begins")
    return bytes(out), places[entry]


def padded_places(code: Buffer) -> dict[int, int]:
    """Return for each slot where an instruction begins the slot where it begins in padded code, in order."""
    places, at = {}, 0
    for slot, instruction, _ in iterate_rows(code):
        at += instruction.opcode == LDDW and at % SLOTS_A_PACKET == SLOTS_A_PACKET - 1
        places[slot] = at
        at += width(instruction.opcode)
    return places


def _moved(slot: int, instruction: Instruction, row: Opcode, places: dict[int, int]) -> Instruction:
    target = slot + 1 + getattr(instruction, row.targets)
    if target not in places:
        raise IllegalInstruction(slot=slot, reason=f"its target, slot {target}, is where no instruction begins")
    distance = places[target] - places[slot] - 1
    half = 1 << (15 if row.targets == "offset" else 31)
    if not -half <= distance < half:
        raise IllegalInstruction(slot=slot, reason=f"its target is {distance} slots away once lddw is padded")
    offset, imm = (distance, instruction.imm) if row.targets == "offset" else (instruction.offset, distance)
    return Instruction(row.code, instruction.dst, instruction.src, offset, imm)
