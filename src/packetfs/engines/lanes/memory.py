"""Memory of the lanes: records and stacks as rows of eight bytes of every lane, so that one load serves all of them.

An access at the same address in all lanes is one of whole rows; at different ones it gathers from the rows, which lie
in the first-level cache. Records are copied into rows anyway, so a store into one is a store into a row.
"""

from __future__ import annotations

from packetfs.engines.lanes.cells import ALL, MASK, NUMBERS, VECTOR, WORDS, Block, Value
from packetfs.engines.lanes.facts import CONTEXT, DATA, STACK, Fact
from packetfs.engines.lanes.shape import LANES
from packetfs.typing import Final
from packetfs.vm.layout import STACK_BYTES, ContextKind, Region

_ROW: Final = 8 * LANES
_POINTERS: Final = f"<{LANES} x ptr>"
_NAMES: Final = {1: 8, 2: 16, 4: 32, 8: 64}
_CONTEXT_BYTES: Final = {ContextKind.PACKETFS: 64, ContextKind.XDP: 24, ContextKind.RAW: 0}


class Memory:
    """Appends accesses. `rows`: the records, with a row to spare; `stack`: the stacks, its last row at the top."""

    def __init__(self, block: Block, rows: str, stack: str) -> None:
        self._block = block
        self._text = block.text
        self._rows = rows
        self._stack = stack

    def load(self, base: Value, fact: Fact, offset: int, size: int, mask: str) -> Value:
        """Return `size` bytes, zero-extended. base + offset is the address; `fact` is of the base."""
        if fact.value is not None and 0 <= fact.value + offset - CONTEXT < 64:
            return self._field(fact.value + offset - CONTEXT, size)
        region, at = self._place(base, fact, offset, size, mask)
        low, shift = self._split(at)
        word = self._row(region, low, 0, at.lanes, mask)
        made = self._vector("lshr", word, shift)
        if size > 1 and not self._inside(at, size):
            high = self._row(region, low, 1, at.lanes, mask)
            doubled = self._vector("shl", high, Value("1"))
            rest = self._vector("xor", self._block.splat(shift), Value("63"))
            made = self._vector("or", made, Value(self._vector("shl", doubled, Value(rest, lanes=True)), lanes=True))
        if size < 8:
            made = self._vector("and", made, Value(str((1 << 8 * size) - 1)))
        return Value(made, lanes=True)

    def store(self, base: Value, fact: Fact, offset: int, value: Value, size: int, mask: str) -> None:
        """Store the low `size` bytes in the lanes of a mask."""
        region, at = self._place(base, fact, offset, size, mask)
        low, shift = self._split(at)
        full = Value(str((1 << 8 * size) - 1 if size < 8 else -1))
        cut = self._vector("and", self._block.splat(value), full)
        self._merge(region, low, 0, at.lanes, mask, ("shl", cut, shift), ("shl", self._block.splat(full), shift))
        if size > 1 and not self._inside(at, size):
            rest = Value(self._vector("xor", self._block.splat(shift), Value("63")), lanes=True)
            cut, ones = (self._vector("lshr", word, Value("1")) for word in (cut, self._block.splat(full)))
            self._merge(region, low, 1, at.lanes, mask, ("lshr", cut, rest), ("lshr", ones, rest))

    def _vector(self, name: str, left: str, right: Value) -> str:
        return self._text.new(f"{name} {WORDS} {left}, {self._block.splat(right)}")

    # where

    def _place(self, base: Value, fact: Fact, offset: int, size: int, mask: str) -> tuple[Region, Value]:
        """Return the region and the offset in it of an access that is inside; else the block is dropped."""
        block, text = self._block, self._text
        region = Region.STACK if fact.region is Region.STACK else Region.DATA
        first = STACK if region is Region.STACK else DATA
        if fact.value is not None:
            at = Value(str((fact.value + offset - first) & (1 << 64) - 1))
        else:
            kind = WORDS if base.lanes else "i64"
            moved = Value(str(offset - first))
            by = block.splat(moved) if base.lanes else moved.text
            at = Value(text.new(f"add {kind} {base.text}, {by}"), base.lanes)
        if not block.safety.checks:
            return region, at
        room = self._room(region, size)
        if at.lanes:
            good = block.vector.compare("ult", at.text, block.splat(room))
        else:
            good = text.new(f"icmp ult i64 {_signed(at.text)}, {room.text}")
        block.require(good, mask, lanes=at.lanes)
        return region, at

    def _room(self, region: Region, size: int) -> Value:
        """Return how many offsets an access of `size` bytes may have."""
        if region is Region.STACK:
            return Value(str(STACK_BYTES - size + 1))
        length, text = self._block.length, self._text
        if length.isdigit():
            return Value(str(max(int(length) - size + 1, 0)))
        enough = text.new(f"icmp uge i64 {length}, {size}")
        return Value(text.new(f"select i1 {enough}, i64 {text.new(f'sub i64 {length}, {size - 1}')}, i64 0"))

    def _split(self, at: Value) -> tuple[Value, Value]:
        """Return the row of an offset, and the bits in it before the first byte."""
        if at.text.isdigit():
            return Value(str(int(at.text) >> 3)), Value(str((int(at.text) & 7) * 8))
        kind, constant = (WORDS, VECTOR.constant) if at.lanes else ("i64", lambda number: str(number))
        row = self._text.new(f"lshr {kind} {at.text}, {constant(3)}")
        byte = self._text.new(f"and {kind} {at.text}, {constant(7)}")
        return Value(row, at.lanes), Value(self._text.new(f"shl {kind} {byte}, {constant(3)}"), at.lanes)

    def _inside(self, at: Value, size: int) -> bool:
        """Tell whether an access is known not to cross into the next row."""
        return at.text.isdigit() and (int(at.text) & 7) + size <= 8

    def _pointer(self, region: Region, row: Value, more: int) -> str:
        """Return where a row is; for rows that vary, where the word of each lane is."""
        base = self._stack if region is Region.STACK else self._rows
        if not row.lanes:
            if row.text.isdigit():
                bytes_ = str(min(int(row.text) + more, STACK_BYTES) * _ROW)  # what lies outside was dropped before
            else:
                bytes_ = self._text.new(f"mul i64 {self._text.new(f'add i64 {row.text}, {more}')}, {_ROW}")
            return self._text.new(f"getelementptr i8, ptr {base}, i64 {bytes_}")
        word = self._vector("mul", self._vector("add", row.text, Value(str(more))), Value(str(LANES)))
        word = self._text.new(f"add {WORDS} {word}, {NUMBERS}")
        return self._text.new(f"getelementptr i64, ptr {base}, {WORDS} {word}")

    def _row(self, region: Region, row: Value, more: int, lanes: bool, mask: str) -> str:
        at = self._pointer(region, row, more)
        if not lanes:
            return self._text.new(f"load {WORDS}, ptr {at}, align 8")
        name = f"@llvm.masked.gather.v{LANES}i64.v{LANES}p0"
        return self._text.call(
            f"declare {WORDS} {name}({_POINTERS}, i32, {MASK}, {WORDS})",
            f"call {WORDS} {name}({_POINTERS} {at}, i32 8, {MASK} {mask}, {WORDS} zeroinitializer)",
        )

    def _merge(
        self, region: Region, row: Value, more: int, lanes: bool, mask: str,
        value: tuple[str, str, Value], ones: tuple[str, str, Value],
    ) -> None:  # fmt: skip
        """Replace the bits of a row that are set in `ones`, in the lanes of a mask."""
        old = self._row(region, row, more, lanes, mask)
        kept = self._vector("xor", self._vector(*ones), Value("-1"))
        new = self._text.new(f"and {WORDS} {old}, {kept}")
        new = self._text.new(f"or {WORDS} {new}, {self._vector(*value)}")
        at = self._pointer(region, row, more)
        if lanes:
            name = f"@llvm.masked.scatter.v{LANES}i64.v{LANES}p0"
            self._text.declared.add(f"declare void {name}({WORDS}, {_POINTERS}, i32, {MASK})")
            self._text.do(f"call void {name}({WORDS} {new}, {_POINTERS} {at}, i32 8, {MASK} {mask})")
            return
        if mask != ALL:
            new = self._block.vector.select(mask, new, old)
        self._text.do(f"store {WORDS} {new}, ptr {at}, align 8")

    # the record context

    def _field(self, offset: int, size: int) -> Value:
        block, text = self._block, self._text
        if offset + size > _CONTEXT_BYTES[block.image.context] or offset % 8 + size > 8:
            text.unless("true", "rollback")
            return Value("0")
        read = ((1 << size) - 1) << offset
        block.set(block.read, text.new(f"or i64 {block.get(block.read)}, {_signed(str(read))}"))
        word = self._word(offset & ~7)
        shift, ones = offset % 8 * 8, (1 << 8 * size) - 1 if size < 8 else -1
        if word.lanes:
            shifted = self._vector("lshr", word.text, Value(str(shift)))
            return Value(self._vector("and", shifted, Value(str(ones))), lanes=True)
        return Value(text.new(f"and i64 {text.new(f'lshr i64 {word.text}, {shift}')}, {ones}"))

    def _word(self, offset: int) -> Value:
        block, text = self._block, self._text
        if block.image.context is ContextKind.XDP:
            end = text.new(f"shl i64 {text.new(f'add i64 {block.length}, {DATA}')}, 32")
            return Value((text.new(f"or i64 {end}, {DATA}"), str(DATA | 1 << 32), "0")[offset // 8])
        if offset in (0, 16):
            return Value(str(DATA))
        if offset == 8:
            return Value(text.new(f"add i64 {block.length}, {DATA}"))
        if offset == 24:
            base = block.fields.load("%vm", "record_base")
            text.unless(text.new(f"icmp eq i64 {base}, -1"), "rollback")
            first = text.new(f"add i64 {base}, {block.get(block.index)}")
            return Value(self._vector("add", NUMBERS, Value(first)), lanes=True)
        if offset == 32:
            moved = self._vector("mul", NUMBERS, Value(block.get(block.stride)))
            return Value(self._vector("add", moved, Value(block.get(block.start))), lanes=True)
        return Value(block.fields.load("%vm", "record_context", more=offset))


def _signed(text: str) -> str:
    if text.isdigit() and int(text) >> 63:
        return str(int(text) - (1 << 64))
    return text
