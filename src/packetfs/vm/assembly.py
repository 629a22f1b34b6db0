"""Code as text and back: one line an instruction, written as bpf_conformance and uBPF write it.

    again:                      ; a label; `exit` names the first exit unless it is defined
      ldxb r3, [r1+0]           ; %r3 is taken too
      jeq r3, 0x20, exit        ; a target is a label, or +n or -n slots from the next instruction
      lock fetch add [r10-8], r3
      lddw r1, map 0            ; map_fd, value 0 + 8, value_fd, var, code label
      call map_lookup_elem      ; or its number; call local label, call btf 7, callx r2
      ja again

Comments follow `;`, `#` or `//`. `.slot` takes eight bytes in hex: what disassembly shows where no instruction is.
"""

from __future__ import annotations

import re

from packetfs.dataclass import dataclass, field
from packetfs.errors import BadAssembly, IllegalInstruction
from packetfs.limits import CODE_SLOTS_MAX
from packetfs.packet.layout import Buffer
from packetfs.typing import Callable, Final, Iterator
from packetfs.vm.instruction import SLOT, Instruction, decode_row, encode, width
from packetfs.vm.isa import CALLX, OPCODES, REGISTERS, Opcode, Operand
from packetfs.vm.layout import HELPERS
from packetfs.vm.padding import pad as pad

LINE_MAX: Final = 512
"""Characters of an instruction and its label: names have 128, and looking for operands in more is quadratic."""
_NUMBER: Final = r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})"
_REGISTER: Final = r"%?[rR]([0-9]{1,2})"
_NAME: Final = r"[A-Za-z_.$][\w.$]{0,127}"
_AT: Final = rf"\[\s*{_REGISTER}\s*(?:([+-])\s*(0[xX][0-9a-fA-F]{{1,16}}|[0-9]{{1,20}}))?\s*\]"
_TARGET: Final = rf"([+-](?:0[xX][0-9a-fA-F]{{1,8}}|[0-9]{{1,10}})|{_NAME})"
_PLUS: Final = rf"({_NUMBER})(?:\s*\+\s*({_NUMBER}))?"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_SHAPES: Final = {
    Operand.DST: _compile(_REGISTER),
    Operand.SRC: _compile(_REGISTER),
    Operand.IMM: _compile(f"({_NUMBER})"),
    Operand.AT_DST: _compile(_AT),
    Operand.AT_SRC: _compile(_AT),
    Operand.NEAR: _compile(_TARGET),
    Operand.FAR: _compile(_TARGET),
    Operand.HELPER: _compile(f"({_NUMBER}|(?!{_REGISTER}$){_NAME})"),
    Operand.WIDE: _compile(f"({_NUMBER})"),
    Operand.MAP: _compile(rf"map\s+({_NUMBER})"),
    Operand.MAP_FD: _compile(rf"map_fd\s+({_NUMBER})"),
    Operand.VALUE: _compile(rf"value\s+{_PLUS}"),
    Operand.VALUE_FD: _compile(rf"value_fd\s+{_PLUS}"),
    Operand.VARIABLE: _compile(rf"var\s+({_NUMBER})"),
    Operand.CODE: _compile(rf"code\s+{_TARGET}"),
}
_HELPERS: Final = {helper.name: helper.number for helper in HELPERS}
_HELPER_NAMES: Final = {helper.number: helper.name for helper in HELPERS}
_LABEL: Final = _compile(rf"({_NAME})\s*:")
_COMMENT: Final = _compile(r";|#|//")
_SLOT_LINE: Final = _compile(r"\.slot\s+((?:[0-9a-fA-F]{2}\s*){8})")


def _mnemonics() -> dict[str, list[Opcode]]:
    """Every way to write an instruction, with the rows that it may be; 64 may stand behind 64-bit ones."""
    known: dict[str, list[Opcode]] = {}
    for row in OPCODES:
        names = [row.mnemonic]
        if row.code & 7 in (5, 7) and row.mnemonic[-1].isalpha() and row.symbol.split("_")[0].endswith("64"):
            names.append(f"{row.mnemonic}64")
        if row.symbol == "BSWAP":
            names.append(row.mnemonic[1:])
        if row.mnemonic == "call":
            names.append("call helper")
        if row.mnemonic == "call btf":
            names.append("call runtime")
        if row.code == CALLX:
            names += ["call", "call helper"]
        for name in names:
            known.setdefault(name, []).append(row)
    return known


_MNEMONICS: Final = _mnemonics()


@dataclass(slots=True)
class _Line:
    """An instruction that was read, before its labels are known."""

    number: int
    slot: int
    row: Opcode
    found: list[re.Match[str]]


@dataclass(slots=True)
class _Text:
    """What was read so far: instructions or raw slots, where labels are, where the next slot is."""

    lines: list[_Line | bytes] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    slot: int = 0


def assemble(text: str) -> bytes:
    """Return the code that the text describes; BadAssembly names the line that is wrong."""
    read, first_exit = _Text(), -1
    for number, line in enumerate(text.splitlines(), 1):
        _read(read, number, line)
        last = read.lines[-1] if read.lines else None
        if first_exit < 0 and isinstance(last, _Line) and last.row.mnemonic == "exit":
            first_exit = last.slot
    if first_exit >= 0:
        read.labels.setdefault("exit", first_exit)
    return b"".join(line if isinstance(line, bytes) else _encode(line, read.labels) for line in read.lines)


def _read(read: _Text, number: int, line: str) -> None:
    rest = _COMMENT.split(line, maxsplit=1)[0].strip()
    label = _LABEL.match(rest)
    if label:
        if label[1] in read.labels:
            raise BadAssembly(line=number, reason=f"the label {label[1]} is defined twice")
        read.labels[label[1]] = read.slot
        rest = rest[label.end() :].strip()
    if not rest:
        return
    if len(rest) > LINE_MAX:
        raise BadAssembly(line=number, reason=f"an instruction has at most {LINE_MAX} characters, this {len(rest)}")
    raw = _SLOT_LINE.fullmatch(rest)
    if raw:
        read.lines.append(bytes.fromhex(raw[1]))
        read.slot += 1
    else:
        row, found = _recognise(number, rest)
        read.lines.append(_Line(number, read.slot, row, found))
        read.slot += width(row.code)
    if read.slot > CODE_SLOTS_MAX:
        raise BadAssembly(line=number, reason=f"code has at most {CODE_SLOTS_MAX} slots")


def _recognise(number: int, text: str) -> tuple[Opcode, list[re.Match[str]]]:
    """Return the row whose mnemonic and operands have the shape of this text."""
    words = text.split(maxsplit=3)
    for count in (3, 2, 1):
        rows = _MNEMONICS.get(" ".join(words[:count]).lower())
        if rows is not None:
            break
    else:
        raise BadAssembly(line=number, reason=f"there is no instruction {words[0]}")
    rest = text.split(maxsplit=count)[count:]
    parts = [part.strip() for part in rest[0].split(",")] if rest else []
    for row in rows:
        found = [_SHAPES[operand].fullmatch(part) for operand, part in zip(row.operands, parts, strict=False)]
        if len(parts) == len(row.operands) and all(found):
            return row, [match for match in found if match]
    ways = " or ".join(dict.fromkeys(", ".join(operand.written for operand in row.operands) for row in rows))
    raise BadAssembly(line=number, reason=f"{' '.join(words[:count])} takes {ways or 'nothing'}")


def _encode(line: _Line, labels: dict[str, int]) -> bytes:
    values = {"src": line.row.src, "offset": line.row.offset, "imm": line.row.imm}
    try:
        for operand, match in zip(line.row.operands, line.found, strict=True):
            if operand in _TARGETS:
                values[operand.fields[0]] = _distance(match[1], _TARGETS[operand], line.slot, labels)
            else:
                values |= _READERS[operand](match)
    except ValueError as error:
        raise BadAssembly(line=line.number, reason=str(error)) from None
    return encode(Instruction(line.row.code, **values))


_Values = dict[str, int]


def _integer(text: str, bits: int) -> int:
    """Return a number as a signed field of that many bits; hex may say the bits themselves, as 0xffffffff for -1."""
    value = int(text, 0) if "x" in text.lower() else int(text)
    high = 1 << bits if text[:2].lower() == "0x" or bits == 64 else 1 << (bits - 1)
    if not -(1 << (bits - 1)) <= value < high:
        raise ValueError(f"{text} does not fit into {bits} bits")
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def _register(text: str) -> int:
    if int(text) >= REGISTERS:
        raise ValueError(f"there is no register r{text}")
    return int(text)


def _distance(text: str, bits: int, slot: int, labels: dict[str, int]) -> int:
    if text[0] in "+-":
        return _integer(text, bits)
    if text not in labels:
        raise ValueError(f"there is no label {text}")
    return _integer(str(labels[text] - slot - 1), bits)


def _at(name: str) -> Callable[[re.Match[str]], _Values]:
    def read(match: re.Match[str]) -> _Values:
        return {name: _register(match[1]), "offset": _integer(f"{match[2]}{match[3]}", 16) if match[3] else 0}

    return read


def _helper(match: re.Match[str]) -> _Values:
    if match[1][0] in "+-0123456789":
        return {"imm": _integer(match[1], 32)}
    if match[1] not in _HELPERS:
        raise ValueError(f"there is no helper {match[1]}")
    return {"imm": _HELPERS[match[1]]}


def _wide(match: re.Match[str]) -> _Values:
    value = _integer(match[1], 64)
    return {"imm": (value & 0xFFFFFFFF ^ 1 << 31) - (1 << 31), "next_imm": value >> 32}


def _value(match: re.Match[str]) -> _Values:
    return {"imm": _integer(match[1], 32), "next_imm": _integer(match[2] or "0", 32)}


def _immediate(match: re.Match[str]) -> _Values:
    return {"imm": _integer(match[1], 32)}


_TARGETS: Final = {Operand.NEAR: 16, Operand.FAR: 32, Operand.CODE: 32}
"""Operands that are distances in slots, and the bits of the field that holds them."""
_READERS: Final[dict[Operand, Callable[[re.Match[str]], _Values]]] = {
    Operand.DST: lambda match: {"dst": _register(match[1])},
    Operand.SRC: lambda match: {"src": _register(match[1])},
    Operand.AT_DST: _at("dst"),
    Operand.AT_SRC: _at("src"),
    Operand.HELPER: _helper,
    Operand.WIDE: _wide,
    Operand.VALUE: _value,
    Operand.VALUE_FD: _value,
    **dict.fromkeys((Operand.IMM, Operand.MAP, Operand.MAP_FD, Operand.VARIABLE), _immediate),
}


def disassemble(code: Buffer) -> Iterator[str]:
    """Yield a line for each instruction, or `.slot` where there is none; `assemble` gives the same bytes again."""
    if len(code) % SLOT:
        raise IllegalInstruction(slot=len(code) // SLOT, reason=f"{len(code)} bytes are no whole number of slots")
    slot = 0
    while slot * SLOT < len(code):
        line = line_of(code, slot)
        yield line
        slot += 2 if line.startswith("lddw") else 1


def line_of(code: Buffer, slot: int) -> str:
    """Return the line of what is at a slot; of anything, so that a fault can always be shown."""
    try:
        instruction, row = decode_row(code, slot)
    except IllegalInstruction:
        return f".slot {bytes(code[slot * SLOT : (slot + 1) * SLOT]).hex()}"
    return f"{row.mnemonic} {', '.join(_write(operand, instruction) for operand in row.operands)}".rstrip()


def _write(operand: Operand, i: Instruction) -> str:
    match operand:
        case Operand.DST | Operand.SRC:
            return f"r{getattr(i, operand.fields[0])}"
        case Operand.AT_DST | Operand.AT_SRC:
            return f"[r{getattr(i, operand.fields[0])}{i.offset:+}]"
        case Operand.NEAR:
            return f"{i.offset:+}"
        case Operand.FAR:
            return f"{i.imm:+}"
        case Operand.HELPER:
            return _HELPER_NAMES.get(i.imm, str(i.imm)) if i.src == 0 else str(i.imm)
        case Operand.WIDE:
            return f"{i.imm64:#x}"
        case Operand.IMM:
            return str(i.imm)
    return _write_reference(operand, i)


def _write_reference(operand: Operand, i: Instruction) -> str:
    word = operand.written.split()[0]
    if operand is Operand.CODE:
        return f"{word} {i.imm:+}"
    return f"{word} {i.imm} + {i.next_imm}" if "next_imm" in operand.fields else f"{word} {i.imm}"
