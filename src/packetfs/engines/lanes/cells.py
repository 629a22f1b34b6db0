"""What the code of one block works with: registers once as numbers and once as vectors, masks, and the way out."""

from __future__ import annotations

from packetfs.engines.lanes.shape import LANES
from packetfs.engines.lowering.arithmetic import Arithmetic
from packetfs.engines.lowering.safety import SAFE, Safety
from packetfs.engines.lowering.text import Cells, Shape, Text
from packetfs.typing import Final, NamedTuple
from packetfs.vm.image import Image
from packetfs.vm.isa import REGISTERS
from packetfs.vm.layout import FRAMES

SLOTS: Final = REGISTERS + 4 * (FRAMES - 1)
NUMBER: Final = Shape()
VECTOR: Final = Shape(LANES)
MASK: Final = VECTOR.of(1)
WORDS: Final = VECTOR.of(64)
ALL: Final = VECTOR.constant(1, 1)
NUMBERS: Final = "<" + ", ".join(f"i64 {lane}" for lane in range(LANES)) + ">"
ROLLBACK: Final = "rollback"


class Value(NamedTuple):
    """A 64-bit value of IR: the same in all lanes, or one for each."""

    text: str
    lanes: bool = False


class Block:
    """The cells of a block. length: bytes of each record; everyone: the mask of the lanes that have one."""

    def __init__(
        self, text: Text, places: dict[str, int], image: Image, length: str, everyone: str, safety: Safety = SAFE
    ) -> None:
        self.text: Final = text
        self.fields: Final = Cells(text, places)
        self.image: Final = image
        self.length: Final = length
        self.everyone: Final = everyone
        self.safety: Final = safety
        self.number: Final = Arithmetic(text, NUMBER)
        self.vector: Final = Arithmetic(text, VECTOR)
        self.numbers: Final = [text.cell("i64", f"n{r}_") for r in range(SLOTS)]
        self.vectors: Final = [text.cell(WORDS, f"v{r}_") for r in range(SLOTS)]
        self.start: Final = text.cell("i64", "start")
        self.index: Final = text.cell("i64", "index")
        self.stride: Final = text.cell("i64", "stride")
        self.read: Final = text.cell("i64", "read")

    def get(self, cell: str, kind: str = "i64") -> str:
        return self.text.new(f"load {kind}, ptr {cell}")

    def set(self, cell: str, value: str, kind: str = "i64") -> None:
        self.text.do(f"store {kind} {value}, ptr {cell}")

    def splat(self, value: Value) -> str:
        """Return a value as a vector."""
        if value.lanes:
            return value.text
        if value.text.lstrip("-").isdigit():
            return VECTOR.constant(int(value.text))
        one = self.text.new(f"insertelement {WORDS} poison, i64 {value.text}, i64 0")
        return self.text.new(f"shufflevector {WORDS} {one}, {WORDS} poison, <{LANES} x i32> zeroinitializer")

    def any(self, mask: str) -> str:
        """Return whether a mask has a lane."""
        bits = self.text.new(f"bitcast {MASK} {mask} to i{LANES}")
        return self.text.new(f"icmp ne i{LANES} {bits}, 0")

    def both(self, one: str, other: str) -> str:
        if ALL in (one, other):
            return other if one == ALL else one
        return self.text.new(f"and {MASK} {one}, {other}")

    def without(self, one: str, other: str) -> str:
        """Return the lanes of `one` that are not of `other`."""
        return self.both(one, self.text.new(f"xor {MASK} {other}, {ALL}"))

    def blend(self, mask: str, value: str, cell: str) -> None:
        """Store what the lanes of a mask have."""
        if mask != ALL:
            value = self.vector.select(mask, value, self.get(cell, WORDS))
        self.set(cell, value, WORDS)

    def require(self, good: str, mask: str, *, lanes: bool) -> None:
        """Drop the block unless a condition holds, in all lanes of a mask where it is a vector."""
        bad = self.any(self.without(mask, good)) if lanes else self.text.new(f"xor i1 {good}, true")
        self.text.unless(bad, ROLLBACK)

    def intrinsic(self, declaration: str, call: str) -> str:
        return self.text.call(declaration, call)


class Lifted:
    """Arithmetic of values: one number as long as all operands are, else one for each lane."""

    def __init__(self, block: Block) -> None:
        self._block = block

    def _lift(self, *values: Value) -> tuple[Arithmetic, bool, list[str]]:
        lanes = any(value.lanes for value in values)
        texts = [self._block.splat(value) if lanes else value.text for value in values]
        return self._block.vector if lanes else self._block.number, lanes, texts

    def unary(self, name: str, value: Value) -> Value | None:
        arithmetic, lanes, (text,) = self._lift(value)
        made = arithmetic.unary(name, text)
        return None if made is None else Value(made, lanes)

    def binary(self, name: str, bits: int, left: Value, right: Value) -> Value:
        arithmetic, lanes, (one, other) = self._lift(left, right)
        return Value(arithmetic.binary(name, bits, one, other), lanes)

    def move_signed(self, name: str, value: Value) -> Value:
        arithmetic, lanes, (text,) = self._lift(value)
        return Value(arithmetic.move_signed(name, text), lanes)

    def signed(self, value: Value, bits: int) -> Value:
        arithmetic, lanes, (text,) = self._lift(value)
        return Value(arithmetic.signed(text, bits), lanes)

    def condition(self, name: str, bits: int, left: Value, right: Value) -> Value:
        arithmetic, lanes, (one, other) = self._lift(left, right)
        return Value(arithmetic.condition(name, bits, one, other), lanes)

    def select(self, condition: Value, then: Value, other: Value) -> Value:
        if condition.lanes:
            made = self._block.vector.select(condition.text, self._block.splat(then), self._block.splat(other))
            return Value(made, lanes=True)
        arithmetic, lanes, (one, two) = self._lift(then, other)
        kind = arithmetic.shape.of(64)
        return Value(self._block.text.new(f"select i1 {condition.text}, {kind} {one}, {kind} {two}"), lanes)
