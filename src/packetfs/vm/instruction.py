"""One eBPF instruction as a record, and code as a sequence of them.

Decoding is total: any 8 bytes (16 for lddw) are an instruction of the table with every reserved field zero, or raise
IllegalInstruction, which says what is wrong with which slot. What an instruction may do among others is check's matter.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.errors import IllegalInstruction
from packetfs.packet.layout import Buffer
from packetfs.typing import Iterator
from packetfs.vm.isa import BY_CODE, REGISTERS, Opcode
from packetfs.vm.slots import FIELDS, LDDW
from packetfs.vm.slots import SLOT as SLOT
from packetfs.vm.slots import width as width


@dataclass(frozen=True, slots=True)
class Instruction:
    """Fields as RFC 9669 has them. offset is signed 16 bits, imm and next_imm are signed 32.

    lddw holds the low half of its 64 bits in imm, the high half in next_imm; all others have next_imm 0.
    """

    opcode: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0
    next_imm: int = 0

    @property
    def imm64(self) -> int:
        """The 64 bits of lddw, unsigned."""
        return (self.next_imm & 0xFFFFFFFF) << 32 | self.imm & 0xFFFFFFFF


def encode(instruction: Instruction) -> bytes:
    """Return the 8 or 16 bytes; struct.error where a field does not fit."""
    i = instruction
    first = FIELDS.pack(i.opcode, i.src << 4 | i.dst, i.offset, i.imm)
    return first + FIELDS.pack(0, 0, 0, i.next_imm) if i.opcode == LDDW else first


def decode(code: Buffer, slot: int) -> Instruction:
    """Return the instruction that begins at this slot of the code."""
    return decode_row(code, slot)[0]


def decode_row(code: Buffer, slot: int) -> tuple[Instruction, Opcode]:
    """Return the instruction at this slot and its row of the table."""
    if not 0 <= slot < len(code) // SLOT:
        raise IllegalInstruction(slot=slot, reason="the code ends before it")
    opcode, registers, offset, imm = FIELDS.unpack_from(code, slot * SLOT)
    next_imm = _second(code, slot) if opcode == LDDW else 0
    instruction = Instruction(opcode, registers & 15, registers >> 4, offset, imm, next_imm)
    return instruction, row_of(instruction, slot)


def row_of(instruction: Instruction, slot: int = 0) -> Opcode:
    """Return the row that an instruction belongs to; IllegalInstruction where there is none or a register is."""
    rows = BY_CODE.get(instruction.opcode, ())
    for row in rows:
        if not _misfit(row, instruction):
            for name in ("dst", "src"):
                if name in row.used and getattr(instruction, name) >= REGISTERS:
                    raise IllegalInstruction(slot=slot, reason=f"there is no register r{getattr(instruction, name)}")
            return row
    raise IllegalInstruction(slot=slot, reason=_why(rows, instruction))


def _misfit(row: Opcode, instruction: Instruction) -> str:
    """Return the name of the first field that has not the value that the row gives it, or ""."""
    used = row.used
    if instruction.src != row.src and "src" not in used:
        return "src"
    if instruction.offset != row.offset and "offset" not in used:
        return "offset"
    if instruction.imm != row.imm and "imm" not in used:
        return "imm"
    if instruction.dst and "dst" not in used:
        return "dst"
    return "next_imm" if instruction.next_imm and "next_imm" not in used else ""


def _why(rows: tuple[Opcode, ...], instruction: Instruction) -> str:
    if not rows:
        return f"there is no opcode {instruction.opcode:#04x}"
    row = _nearest(rows, instruction)
    name = _misfit(row, instruction)
    wanted = sorted({getattr(row, name, 0) for row in rows}) if len(rows) > 1 and name not in row.used else [0]
    must = " or ".join(map(str, wanted)) if name != "dst" else "0"
    return f"{name} is {getattr(instruction, name)} in {row.mnemonic}, where it must be {must}"


def _nearest(rows: tuple[Opcode, ...], instruction: Instruction) -> Opcode:
    """Prefer the row whose selecting field fits, so that the reason names the reserved field and not the selector."""
    for name in ("src", "offset", "imm"):
        if len({getattr(row, name) for row in rows}) > 1:
            fits = [row for row in rows if getattr(row, name) == getattr(instruction, name)]
            return (fits or list(rows))[0]
    return rows[0]


def _second(code: Buffer, slot: int) -> int:
    """Return next_imm, from the second slot of lddw, which has nothing else."""
    if slot + 1 >= len(code) // SLOT:
        raise IllegalInstruction(slot=slot, reason="the second slot of lddw is missing")
    opcode, registers, offset, imm = FIELDS.unpack_from(code, (slot + 1) * SLOT)
    if opcode or registers or offset:
        raise IllegalInstruction(slot=slot, reason="the second slot of lddw has more than next_imm")
    return int(imm)


def iterate(code: Buffer) -> Iterator[tuple[int, Instruction]]:
    """Yield slot and instruction from slot 0 to the end; IllegalInstruction where the bytes are none."""
    for slot, instruction, _ in iterate_rows(code):
        yield slot, instruction


def iterate_rows(code: Buffer) -> Iterator[tuple[int, Instruction, Opcode]]:
    """The same, with each instruction's row of the table."""
    if len(code) % SLOT:
        raise IllegalInstruction(slot=len(code) // SLOT, reason=f"{len(code)} bytes are no whole number of slots")
    slot = 0
    while slot * SLOT < len(code):
        instruction, row = decode_row(code, slot)
        yield slot, instruction, row
        slot += width(instruction.opcode)
