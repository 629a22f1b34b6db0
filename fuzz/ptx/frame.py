"""A function of PTX while it runs, and how its instructions take and give values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from fuzz.ptx.memory import BASES
from fuzz.ptx.syntax import Address, Function, Operand, Refused, Register, Symbol

if TYPE_CHECKING:
    from fuzz.ptx.lane import Lane

SPECIAL: Final = {f"%{name}.{axis}": 32 for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"}
"""Registers that the hardware fills, with their bits."""

Values = dict[str, int]
Take = Callable[[Values], int]


@dataclass(slots=True)
class Frame:
    """values: by register. places: generic addresses of variables. parameters: bytes by name, of this function and of
    the calls that it makes."""

    lane: Lane
    function: Function
    values: Values
    places: dict[str, int]
    parameters: dict[str, bytearray] = field(default_factory=dict)

    def address(self, operand: Address, space: str) -> int:
        """Return the generic address that an operand of ld, st or atom means."""
        if isinstance(operand.base, Symbol):
            return self.place(operand.base.name) + operand.offset
        base = self.values[operand.base.name] if operand.base else 0
        return (base + BASES[space] + operand.offset) & (1 << 64) - 1

    def place(self, name: str) -> int:
        """Return the generic address of a variable."""
        if name not in self.places:
            raise Refused(f"{name} has no address")
        return self.places[name]

    def parameter(self, operand: Address, size: int) -> tuple[bytearray, int]:
        """Return the bytes of the parameter that an operand means, and where in them."""
        data = self.parameters.get(operand.base.name) if isinstance(operand.base, Symbol) else None
        if data is None or not 0 <= operand.offset <= len(data) - size or operand.offset % size:
            raise Refused(f"{operand} is no parameter of {size} bytes")
        return data, operand.offset


def width(function: Function, register: Operand) -> int:
    """Return the bits of a register."""
    if not isinstance(register, Register):
        raise Refused(f"{register}, where a register should be")
    return SPECIAL.get(register.name) or function.bits_of(register.name)


def taker(function: Function, operand: Operand, bits: int, *, wider: bool = False) -> Take:
    """Return what gives an operand of that many bits: a number or a register. wider: one of more bits will do."""
    if isinstance(operand, int):
        number = operand & (1 << bits) - 1
        return lambda _: number
    found = width(function, operand)
    assert isinstance(operand, Register)
    if found != bits and not (wider and found > bits):
        raise Refused(f"{operand.name} has {found} bits, not {bits}")
    return itemgetter(operand.name)


def target(function: Function, operand: Operand, bits: int, *, wider: bool = False) -> tuple[str, int]:
    """Return the name of the register that takes a result of that many bits, and the mask of its own bits."""
    found = width(function, operand)
    assert isinstance(operand, Register)
    if operand.name in SPECIAL or (found != bits and not (wider and found > bits)):
        raise Refused(f"{operand.name} has {found} bits, and cannot take {bits}")
    return operand.name, (1 << found) - 1
