"""The eBPF instruction set as one table: a row for each instruction of RFC 9669, all groups but `packet`, and callx.

Decoder, checker, assembler, docs/isa.md and native/isa.h come from these rows. An instruction is its opcode and, where
several share one, the value of another field: sdiv is div with offset 1, a local call is call with src 1, an atomic
says in imm what it does. A field is an operand, or has the one value that the row gives; reserved ones have 0.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass, field
from packetfs.enum import Enum
from packetfs.typing import Final, Iterator
from packetfs.vm.slots import LDDW as LDDW

REGISTERS: Final = 11
FRAME_POINTER: Final = 10
"""r10, the end of the stack frame: read only."""
CALL: Final = 0x85
CALLX: Final = 0x8D
EXIT: Final = 0x95
JA: Final = 0x05
JA32: Final = 0x06
HELPER, LOCAL, BTF = 0, 1, 2
"""src of a call: what its imm names."""
ATOMIC32: Final = 0xC3
ATOMIC64: Final = 0xDB
FETCH: Final = 1
"""Bit of an atomic's imm: the old value goes to src."""


class Group(Enum):
    """Conformance groups; base64 includes base32, atomic64 atomic32, divmul64 divmul32. callx is not in the RFC."""

    BASE32 = "base32"
    BASE64 = "base64"
    ATOMIC32 = "atomic32"
    ATOMIC64 = "atomic64"
    DIVMUL32 = "divmul32"
    DIVMUL64 = "divmul64"
    CALLX = "callx"


class Operand(Enum):
    """What stands behind a mnemonic, as it is written, and the fields that hold it."""

    DST = ("dst", ("dst",))
    SRC = ("src", ("src",))
    IMM = ("imm", ("imm",))
    AT_DST = ("[dst+offset]", ("dst", "offset"))
    AT_SRC = ("[src+offset]", ("src", "offset"))
    NEAR = ("target", ("offset",))
    FAR = ("target", ("imm",))
    HELPER = ("number", ("imm",))
    WIDE = ("imm64", ("imm", "next_imm"))
    MAP = ("map imm", ("imm",))
    MAP_FD = ("map_fd imm", ("imm",))
    VALUE = ("value imm + next_imm", ("imm", "next_imm"))
    VALUE_FD = ("value_fd imm + next_imm", ("imm", "next_imm"))
    VARIABLE = ("var imm", ("imm",))
    CODE = ("code target", ("imm",))

    def __init__(self, written: str, fields: tuple[str, ...]) -> None:
        self.written = written
        self.fields = fields


Operands = tuple[Operand, ...]
_IMM: Final[Operands] = (Operand.DST, Operand.IMM)
_REG: Final[Operands] = (Operand.DST, Operand.SRC)


@dataclass(frozen=True, slots=True)
class Opcode:
    """One instruction. `src`, `offset`, `imm` are the values those fields must have where they are no operand.

    `symbol` names the opcode byte, the same for all rows that share it. `writes` is the field that holds the number of
    the register that the instruction changes, or "".
    """

    code: int
    mnemonic: str
    group: Group
    operands: Operands
    symbol: str
    meaning: str
    src: int = 0
    offset: int = 0
    imm: int = 0
    writes: str = ""
    used: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        used = frozenset(name for operand in self.operands for name in operand.fields)
        object.__setattr__(self, "used", used)

    @property
    def targets(self) -> str:
        """The field that holds a distance in slots, from the next slot on, or ""."""
        far = {Operand.NEAR: "offset", Operand.FAR: "imm", Operand.CODE: "imm"}
        return next((far[operand] for operand in self.operands if operand in far), "")


_ALU: Final = (
    (0x00, "add", 0, "{d} += {s}"),
    (0x10, "sub", 0, "{d} -= {s}"),
    (0x20, "mul", 0, "{d} *= {s}"),
    (0x30, "div", 0, "{d} = {s} ? {d} / {s} : 0, unsigned"),
    (0x30, "sdiv", 1, "{d} = {s} ? {d} / {s} : 0, signed, truncated"),
    (0x40, "or", 0, "{d} |= {s}"),
    (0x50, "and", 0, "{d} &= {s}"),
    (0x60, "lsh", 0, "{d} <<= {s} & {m}"),
    (0x70, "rsh", 0, "{d} >>= {s} & {m}, unsigned"),
    (0x90, "mod", 0, "{d} = {s} ? {d} % {s} : {d}, unsigned"),
    (0x90, "smod", 1, "{d} = {s} ? {d} % {s} : {d}, signed, truncated"),
    (0xA0, "xor", 0, "{d} ^= {s}"),
    (0xB0, "mov", 0, "{d} = {s}"),
    (0xC0, "arsh", 0, "{d} >>= {s} & {m}, signed"),
)
_BASE_OF: Final = {"sdiv": "div", "smod": "mod", "movsx": "mov"}
_JUMPS: Final = (
    (0x10, "jeq", "{d} == {s}"),
    (0x20, "jgt", "{d} > {s}, unsigned"),
    (0x30, "jge", "{d} >= {s}, unsigned"),
    (0x40, "jset", "{d} & {s}"),
    (0x50, "jne", "{d} != {s}"),
    (0x60, "jsgt", "{d} > {s}, signed"),
    (0x70, "jsge", "{d} >= {s}, signed"),
    (0xA0, "jlt", "{d} < {s}, unsigned"),
    (0xB0, "jle", "{d} <= {s}, unsigned"),
    (0xC0, "jslt", "{d} < {s}, signed"),
    (0xD0, "jsle", "{d} <= {s}, signed"),
)
_SIZES: Final = ((0x10, "b", 8), (0x08, "h", 16), (0x00, "w", 32), (0x18, "dw", 64))
_ATOMICS: Final = (
    (0x00, "add", "{v} += {s}"),
    (0x40, "or", "{v} |= {s}"),
    (0x50, "and", "{v} &= {s}"),
    (0xA0, "xor", "{v} ^= {s}"),
)


def _arithmetic() -> Iterator[Opcode]:
    for class_bits, suffix, mask, group, divmul in (
        (0x04, "32", 31, Group.BASE32, Group.DIVMUL32),
        (0x07, "", 63, Group.BASE64, Group.DIVMUL64),
    ):
        for code, name, offset, meaning in _ALU:
            belongs = divmul if code in (0x20, 0x30, 0x90) else group
            for source, operands, written in ((0, _IMM, "imm"), (8, _REG, "src")):
                says = meaning.format(d=f"dst{suffix}", s=written, m=mask)
                symbol = f"{_BASE_OF.get(name, name)}{suffix or 64}_{written.replace('src', 'reg')}".upper()
                byte = class_bits | code | source
                yield Opcode(byte, name + suffix, belongs, operands, symbol, says, offset=offset, writes="dst")
        for bits in (8, 16) if suffix else (8, 16, 32):
            says, symbol = f"dst{suffix} = (s{bits}) src", f"MOV{suffix or 64}_REG"
            mnemonic = f"movsx{bits}{suffix or 64}"
            yield Opcode(class_bits | 0xB8, mnemonic, group, _REG, symbol, says, offset=bits, writes="dst")
        symbol, says = f"NEG{suffix or 64}", f"dst{suffix} = -dst{suffix}"
        yield Opcode(class_bits | 0x80, f"neg{suffix}", group, (Operand.DST,), symbol, says, writes="dst")


def _swaps() -> Iterator[Opcode]:
    for code, name, says in (
        (0xD4, "le", "dst = the low {} bits of dst, little-endian"),
        (0xDC, "be", "dst = the low {} bits of dst, big-endian"),
        (0xD7, "bswap", "dst = the low {} bits of dst, bytes reversed"),
    ):
        for bits in (16, 32, 64):
            group = Group.BASE64 if bits == 64 else Group.BASE32
            meaning = says.format(bits)
            yield Opcode(code, f"{name}{bits}", group, (Operand.DST,), name.upper(), meaning, imm=bits, writes="dst")


def _jumps() -> Iterator[Opcode]:
    yield Opcode(JA, "ja", Group.BASE32, (Operand.NEAR,), "JA", "go to target")
    yield Opcode(JA32, "ja32", Group.BASE32, (Operand.FAR,), "JA32", "go to target")
    for class_bits, suffix, group in ((0x05, "", Group.BASE64), (0x06, "32", Group.BASE32)):
        for code, name, meaning in _JUMPS:
            for source, operands, written in ((0, _IMM, "imm"), (8, _REG, "src")):
                says = "go to target if " + meaning.format(d=f"dst{suffix}", s=written)
                symbol = f"{name}{suffix or 64}_{written.replace('src', 'reg')}".upper()
                yield Opcode(class_bits | code | source, name + suffix, group, (*operands, Operand.NEAR), symbol, says)


def _calls() -> Iterator[Opcode]:
    group = Group.BASE32
    yield Opcode(CALL, "call", group, (Operand.HELPER,), "CALL", "r0 = helper number, of r1 to r5", src=HELPER)
    yield Opcode(CALL, "call local", group, (Operand.FAR,), "CALL", "call the function at target", src=LOCAL)
    yield Opcode(CALL, "call btf", group, (Operand.HELPER,), "CALL", "call what a BTF id names; refused", src=BTF)
    yield Opcode(CALLX, "callx", Group.CALLX, (Operand.DST,), "CALLX", "call the helper or function that dst names")
    yield Opcode(EXIT, "exit", group, (), "EXIT", "return; from the main function: end with r0")


def _loads_and_stores() -> Iterator[Opcode]:
    for size, name, bits in _SIZES:
        group = Group.BASE64 if bits == 64 else Group.BASE32
        at = f"*(u{bits} *)({{}} + offset)"
        load, to = (Operand.DST, Operand.AT_SRC), at.format("dst")
        yield Opcode(
            0x61 | size, f"ldx{name}", group, load, f"LDX{name}".upper(), f"dst = {at.format('src')}", writes="dst"
        )
        if bits < 64:
            says = f"dst = *(s{bits} *)(src + offset)"
            yield Opcode(0x81 | size, f"ldxs{name}", group, load, f"LDXS{name}".upper(), says, writes="dst")
        st, stx = (Operand.AT_DST, Operand.IMM), (Operand.AT_DST, Operand.SRC)
        yield Opcode(0x62 | size, f"st{name}", group, st, f"ST{name}".upper(), f"{to} = imm")
        yield Opcode(0x63 | size, f"stx{name}", group, stx, f"STX{name}".upper(), f"{to} = src")


def _atomics() -> Iterator[Opcode]:
    operands = (Operand.AT_DST, Operand.SRC)
    for code, suffix, bits, group in ((ATOMIC32, "32", 32, Group.ATOMIC32), (ATOMIC64, "", 64, Group.ATOMIC64)):
        value, symbol = f"*(u{bits} *)(dst + offset)", f"ATOMIC{bits}"
        for imm, name, meaning in _ATOMICS:
            says = meaning.format(v=value, s="src")
            yield Opcode(code, f"lock {name}{suffix}", group, operands, symbol, says, imm=imm)
            name, says = f"lock fetch {name}{suffix}", f"{says}; src = the old value"
            yield Opcode(code, name, group, operands, symbol, says, imm=imm | FETCH, writes="src")
        says = f"swap src and {value}"
        yield Opcode(code, f"lock xchg{suffix}", group, operands, symbol, says, imm=0xE1, writes="src")
        says = f"if {value} == r0 it becomes src; r0 = the old value"
        yield Opcode(code, f"lock cmpxchg{suffix}", group, operands, symbol, says, imm=0xF1)


def _wide() -> Iterator[Opcode]:
    for src, operand, meaning in (
        (0, Operand.WIDE, "dst = next_imm << 32 | imm"),
        (1, Operand.MAP_FD, "dst = the map of that descriptor"),
        (2, Operand.VALUE_FD, "dst = address of its first value, + next_imm"),
        (3, Operand.VARIABLE, "dst = address of a platform variable; refused"),
        (4, Operand.CODE, "dst = address of the function at target"),
        (5, Operand.MAP, "dst = the map of that index"),
        (6, Operand.VALUE, "dst = address of its first value, + next_imm"),
    ):
        yield Opcode(LDDW, "lddw", Group.BASE64, (Operand.DST, operand), "LDDW", meaning, src=src, writes="dst")


OPCODES: Final[tuple[Opcode, ...]] = tuple(
    sorted(
        (*_arithmetic(), *_swaps(), *_jumps(), *_calls(), *_loads_and_stores(), *_atomics(), *_wide()),
        key=lambda row: (row.code, row.src, row.offset, row.imm),
    )
)
"""Every instruction, by opcode."""

BY_CODE: Final[dict[int, tuple[Opcode, ...]]] = {
    code: tuple(row for row in OPCODES if row.code == code) for code in {row.code for row in OPCODES}
}
"""The rows that share an opcode; most opcodes have one."""
