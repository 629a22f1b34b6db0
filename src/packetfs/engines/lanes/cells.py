"""What the code of one block works with: registers once as numbers and once as vectors, masks, and the way out."""

from __future__ import annotations

from typing import NamedTuple

from packetfs.engines.compiled.arithmetic import Arithmetic
from packetfs.engines.compiled.safety import SAFE, Safety
from packetfs.engines.compiled.text import Cells, Shape, Text
from packetfs.engines.lanes.shape import LANES
from packetfs.typing import Final
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
