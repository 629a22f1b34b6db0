"""Builds the text of one IR function: blocks, temporaries, memory accesses, and faults that carry their source line."""

from __future__ import annotations

from packetfs.dataclass import dataclass, field
from packetfs.limits import PYTHON_VALUES_MAX
from packetfs.toolchain.python.values import Constant, Stretch, Truth, Unsupported, Value, Word
from packetfs.typing import Final
from packetfs.vm.layout import OFFSET_MASK

_TYPES: Final = {1: "i8", 2: "i16", 4: "i32", 8: "i64"}


@dataclass(slots=True)
class Block:
    """A straight run of instructions; open until it is ended by a branch or return."""

    label: str
    lines: list[str] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class Storage:
    """A place for a value of one kind, in memory that LLVM's mem2reg turns into registers."""

    kind: str
    cells: tuple[str, ...]
    writable: bool = False


class Builder:
    """Appends to the current block. `line`: the source line that faults from here on name."""

    def __init__(self) -> None:
        self.line = 0
        self.entry: list[str] = []
        self.blocks = [Block("start")]
        self.block = self.blocks[0]
        self.stack_bytes = 0
        self._count = 0

    def new(self, instruction: str) -> str:
        """Append an instruction and return the name of its value."""
        self._count += 1
        if self._count > PYTHON_VALUES_MAX:
            raise Unsupported("the program grows too long here: each call of a function is a copy of it")
        self.block.lines.append(f"%t{self._count} = {instruction}")
        return f"%t{self._count}"

    def do(self, instruction: str) -> None:
        """Append an instruction without a value."""
        self.block.lines.append(instruction)

    def make_block(self) -> Block:
        """Return a new block; it is not the current one yet."""
        self._count += 1
        self.blocks.append(Block(f"b{self._count}"))
        return self.blocks[-1]

    def end(self, instruction: str) -> None:
        """End the current block, unless it is ended: what follows a return is never reached."""
        if not self.block.ended:
            self.block.lines.append(instruction)
            self.block.ended = True
        self.block = Block("unreached")  # belongs to no function text

    def jump(self, target: Block) -> None:
        self.end(f"br label %{target.label}")

    def branch(self, condition: str, then: Block, other: Block, *, likely: bool = False) -> None:
        hint = ", !prof !0" if likely else ""
        self.end(f"br i1 {condition}, label %{then.label}, label %{other.label}{hint}")

    def go(self, block: Block) -> None:
        """Make `block` the current one."""
        self.block = block

    def require(self, condition: str) -> None:
        """Go on only where `condition` holds; elsewhere fault, at the address that is the number of the source line.

        Addresses below 2**28 are never mapped, so the report of the fault tells the line without debug information.
        """
        if condition == "true":
            return
        inside, outside = self.make_block(), self.make_block()
        self.branch(condition, inside, outside, likely=True)
        self.go(outside)
        address = self.new(f"inttoptr i64 {max(1, self.line & OFFSET_MASK)} to ptr")
        self.do(f"%f{outside.label} = load volatile i8, ptr {address}")
        self.end("ret i64 0")
        self.go(inside)

    def load(self, address: str, size: int) -> str:
        """Load `size` bytes as an unsigned number."""
        pointer = self.new(f"inttoptr i64 {address} to ptr")
        loaded = self.new(f"load {_TYPES[size]}, ptr {pointer}, align 1")
        return loaded if size == 8 else self.new(f"zext {_TYPES[size]} {loaded} to i64")

    def store(self, address: str, value: str, size: int) -> None:
        """Store the low `size` bytes of a number."""
        cut = value if size == 8 else self.new(f"trunc i64 {value} to {_TYPES[size]}")
        pointer = self.new(f"inttoptr i64 {address} to ptr")
        self.do(f"store {_TYPES[size]} {cut}, ptr {pointer}, align 1")

    def add(self, left: str, right: str) -> str:
        """Return a sum; additions of nothing leave no trace, which keeps the text readable."""
        return left if right == "0" else self.new(f"add i64 {left}, {right}")

    def room(self, size: int) -> str:
        """Return the address of `size` bytes of the frame, zero when the record begins."""
        self._count += 1
        name, words = f"%m{self._count}", -(-size // 8)
        self.stack_bytes += 8 * words
        self.entry.append(f"{name} = alloca [{words} x i64], align 8")
        self.entry.append(f"{name}.at = ptrtoint ptr {name} to i64")
        return f"{name}.at"

    def clear(self, address: str, size: int) -> None:
        """Zero `size` bytes, rounded up to 8."""
        for at in range(0, size, 8):
            self.store(self.add(address, str(at)), "0", 8)

    def storage(self, value: Value) -> Storage:
        """Make a place for values like `value`; a constant is a u64, or an i64 where it is negative."""
        match value:
            case Constant(value=number):
                return self._cells("i64" if number < 0 else "u64", "i64")
            case Word(signed=signed):
                return self._cells("i64" if signed else "u64", "i64")
            case Truth():
                return self._cells("truth", "i1")
            case Stretch(writable=writable):
                return self._cells("bytes", "i64", "i64", writable=writable)
        raise Unsupported("this cannot be kept in a variable")

    def _cells(self, kind: str, *types: str, writable: bool = False) -> Storage:
        cells = []
        for each in types:
            self._count += 1
            cells.append(f"%v{self._count}")
            self.entry.append(f"%v{self._count} = alloca {each}, align 8")
        return Storage(kind, tuple(cells), writable)

    def keep(self, storage: Storage, texts: tuple[str, ...]) -> None:
        """Store what `arithmetic.fit` made of a value."""
        kind = "i1" if storage.kind == "truth" else "i64"
        for cell, text in zip(storage.cells, texts, strict=True):
            self.do(f"store {kind} {text}, ptr {cell}")

    def recall(self, storage: Storage) -> Value:
        """Return the value that a place holds."""
        kind = "i1" if storage.kind == "truth" else "i64"
        texts = [self.new(f"load {kind}, ptr {cell}") for cell in storage.cells]
        if storage.kind == "truth":
            return Truth(texts[0])
        if storage.kind == "bytes":
            return Stretch(texts[0], texts[1], storage.writable)
        return Word(texts[0], storage.kind == "i64")

    def text(self) -> str:
        """Return the body of the function."""
        lines = ["entry:", *self.entry, "br label %start"]
        for block in self.blocks:
            lines += [f"{block.label}:", *block.lines, *([] if block.ended else ["ret i64 0"])]
        return "\n".join(lines)
