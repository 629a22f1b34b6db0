"""Tables of docs/isa.md, from the one table of the instruction set."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.vm.isa import OPCODES, Group, Opcode
from tools.formats import table


def groups() -> str:
    """Return how many instructions each conformance group has."""
    rows = [(group.value, str(sum(row.group is group for row in OPCODES))) for group in Group]
    return table(("group", "instructions"), rows)


def arithmetic() -> str:
    """Return the instructions of the classes ALU and ALU64."""
    return instructions(4, 7)


def jumps() -> str:
    """Return the instructions of the classes JMP and JMP32."""
    return instructions(5, 6)


def loads_and_stores() -> str:
    """Return the instructions of the classes LD, LDX, ST and STX."""
    return instructions(0, 1, 2, 3)


def instructions(*classes: int) -> str:
    """Return a table of the instructions of these classes."""
    head = ("opcode", "other fields", "written", "meaning", "group")
    rows = [(f"`{row.code:#04x}`", _selects(row), f"`{written(row)}`", _cell(row.meaning), row.group.value)
            for row in OPCODES if row.code & 7 in classes]  # fmt: skip
    return table(head, rows)


def written(row: Opcode) -> str:
    """Return an instruction as the assembler takes it."""
    return f"{row.mnemonic} {', '.join(operand.written for operand in row.operands)}".strip()


def _selects(row: Opcode) -> str:
    """Return the fields that are neither operands nor zero, or are zero where another row has them otherwise."""
    return ", ".join(_fixed(row)) or "-"


def _fixed(row: Opcode) -> Iterator[str]:
    for name in ("src", "offset", "imm"):
        values = {getattr(other, name) for other in OPCODES if other.code == row.code}
        if len(values) > 1:
            yield f"{name} {getattr(row, name):#x}" if name == "imm" else f"{name} {getattr(row, name)}"


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if any(mark in text for mark in "*|<>&=") else text
