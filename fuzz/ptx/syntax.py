"""What a PTX module says: functions of instructions, variables, parameters. Names are PTX's own (PTX ISA, 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


class Refused(Exception):
    """The oracle does not know this PTX, or what it does is undefined."""


@dataclass(frozen=True, slots=True)
class Register:
    """A register, or one that the hardware fills (`%tid.x`)."""

    name: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A label, a function or a variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """[base + offset]: what ld, st and atom reach. base: a register, a variable, or nothing."""

    base: Register | Symbol | None
    offset: int


@dataclass(frozen=True, slots=True)
class Group:
    """Operands in braces (parts of a register, a vector) or in parentheses (arguments of a call)."""

    parts: tuple[Operand, ...]


Operand: TypeAlias = "Register | Symbol | Address | Group | int"


@dataclass(frozen=True, slots=True)
class Instruction:
    """`@guard opcode operands;`. opcode: split at its dots. wanted: what the guard must be."""

    opcode: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: str = ""
    wanted: bool = True

    def __str__(self) -> str:
        return f"{'.'.join(self.opcode)} {', '.join(map(str, self.operands))}"


@dataclass(frozen=True, slots=True)
class Variable:
    """Something with a place in memory. bits: of one element; content: little-endian, zero where it says nothing."""

    name: str
    space: str
    bits: int
    count: int = 1
    align: int = 1
    content: bytes = b""

    @property
    def size(self) -> int:
        return self.bits // 8 * self.count


@dataclass(slots=True)
class Function:
    """A kernel (`entry`) or a device function. registers: their bits by name, or by name of a family."""

    name: str
    entry: bool
    results: tuple[Variable, ...] = ()
    parameters: tuple[Variable, ...] = ()
    registers: dict[str, int] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    body: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def bits_of(self, register: str) -> int:
        """Return the declared width of a register; 1 for predicates."""
        bits = self.registers.get(register)
        if bits is None:
            raise Refused(f"{self.name} declares no register {register}")
        return bits


@dataclass(slots=True)
class Module:
    """All of one PTX text."""

    version: str = ""
    target: str = ""
    functions: dict[str, Function] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)

    def kernel(self, name: str) -> Function:
        """Return the entry of that name."""
        found = self.functions.get(name)
        if found is None or not found.entry:
            raise Refused(f"there is no kernel {name}")
        return found
