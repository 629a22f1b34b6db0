"""What instructions do to numbers, as IR for any shape: no memory, no control.

LLVM leaves some things undefined that eBPF defines: shifts by the width or more, division by zero, the least number by
-1. All are asked for here such that they cannot occur.
"""

from __future__ import annotations

from packetfs.engines.lowering.text import Shape, Text
from packetfs.typing import Final

_PLAIN: Final = {"add": "add", "sub": "sub", "mul": "mul", "or": "or", "and": "and", "xor": "xor"}
_SHIFTS: Final = {"lsh": "shl", "rsh": "lshr", "arsh": "ashr"}
_DIVISIONS: Final = {"div": "udiv", "mod": "urem", "sdiv": "sdiv", "smod": "srem"}
_COMPARISONS: Final = {
    "jeq": "eq", "jne": "ne", "jgt": "ugt", "jge": "uge", "jlt": "ult", "jle": "ule",
    "jsgt": "sgt", "jsge": "sge", "jslt": "slt", "jsle": "sle",
}  # fmt: skip


class Arithmetic:
    """Appends to `text` in one shape; values go in and out as 64 bits."""

    def __init__(self, text: Text, shape: Shape) -> None:
        self._text = text
        self.shape = shape

    def cut(self, value: str, bits: int) -> str:
        """Return the low bits of a 64-bit value."""
        shape = self.shape
        return value if bits == 64 else self._text.new(f"trunc {shape.of(64)} {value} to {shape.of(bits)}")

    def extend(self, value: str, bits: int, *, signed: bool = False, to: int = 64) -> str:
        """Return `bits` bits as `to`."""
        if bits == to:
            return value
        shape = self.shape
        return self._text.new(f"{'sext' if signed else 'zext'} {shape.of(bits)} {value} to {shape.of(to)}")

    def signed(self, value: str, bits: int) -> str:
        """Return the low bits of a 64-bit value as a signed number."""
        return self.extend(self.cut(value, bits), bits, signed=True)

    def plain(self, name: str, left: str, right: str, bits: int = 64) -> str:
        return self._text.new(f"{name} {self.shape.of(bits)} {left}, {right}")

    def compare(self, name: str, left: str, right: str, bits: int = 64) -> str:
        return self._text.new(f"icmp {name} {self.shape.of(bits)} {left}, {right}")

    def select(self, condition: str, then: str, other: str, bits: int = 64) -> str:
        kind = self.shape.of(bits)
        return self._text.new(f"select {self.shape.of(1)} {condition}, {kind} {then}, {kind} {other}")

    def binary(self, name: str, bits: int, left: str, right: str) -> str:
        """Return what an ALU instruction of two operands makes; `name` without its width."""
        a, b = self.cut(left, bits), self.cut(right, bits)
        if name == "mov":
            made = b
        elif name in _PLAIN:
            made = self.plain(_PLAIN[name], a, b, bits)
        elif name in _SHIFTS:
            made = self.plain(_SHIFTS[name], a, self.plain("and", b, self.shape.constant(bits - 1, bits), bits), bits)
        else:
            made = self._divide(name, bits, a, b)
        return self.extend(made, bits)

    def _divide(self, name: str, bits: int, a: str, b: str) -> str:
        zero, ones, one = (self.shape.constant(number, bits) for number in (0, -1, 1))
        none = self.compare("eq", b, zero, bits)
        without = zero if name.endswith("div") else a
        if not name.startswith("s"):
            made = self.plain(_DIVISIONS[name], a, self.select(none, one, b, bits), bits)
            return self.select(none, without, made, bits)
        minus = self.compare("eq", b, ones, bits)
        special = self._text.new(f"or {self.shape.of(1)} {none}, {minus}")
        made = self.plain(_DIVISIONS[name], a, self.select(special, one, b, bits), bits)
        negated = self.plain("sub", zero, a, bits) if name == "sdiv" else zero
        return self.select(none, without, self.select(minus, negated, made, bits), bits)

    def unary(self, name: str, value: str) -> str | None:
        """Return what an instruction of one operand makes, or None if it is none of those."""
        if name in ("neg", "neg32"):
            bits = 32 if name == "neg32" else 64
            return self.extend(self.plain("sub", self.shape.constant(0, bits), self.cut(value, bits), bits), bits)
        for prefix in ("le", "be", "bswap"):
            if name.startswith(prefix) and name[len(prefix) :].isdigit():
                return self._swap(value, int(name[len(prefix) :]), swapped=prefix != "le")
        return None

    def _swap(self, value: str, bits: int, *, swapped: bool) -> str:
        low = self.cut(value, bits)
        if swapped:
            function, kind = self.shape.intrinsic("bswap", bits), self.shape.of(bits)
            low = self._text.call(f"declare {kind} {function}({kind})", f"call {kind} {function}({kind} {low})")
        return self.extend(low, bits)

    def move_signed(self, name: str, value: str) -> str:
        """Return what movsx makes: its name says from which width (8, 16, 32) to which (32, 64)."""
        to = int(name[-2:])
        bits = int(name[len("movsx") : -2])
        return self.extend(self.extend(self.cut(value, bits), bits, signed=True, to=to), to)

    def condition(self, name: str, bits: int, left: str, right: str) -> str:
        """Return whether a jump is taken."""
        a, b = self.cut(left, bits), self.cut(right, bits)
        if name == "jset":
            return self.compare("ne", self.plain("and", a, b, bits), self.shape.constant(0, bits), bits)
        return self.compare(_COMPARISONS[name], a, b, bits)
