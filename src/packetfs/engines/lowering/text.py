"""The text of one IR function as it grows: values that are numbered, blocks that are named, and what a register is."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Final

UNLIKELY: Final = "!prof !0"
"""Hint at a branch: the first target is hardly ever taken."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a register holds: one number (lanes 0), or one for each of so many lanes."""

    lanes: int = 0

    def of(self, bits: int) -> str:
        """Return the type of `bits` bits."""
        return f"<{self.lanes} x i{bits}>" if self.lanes else f"i{bits}"

    def constant(self, value: int, bits: int = 64) -> str:
        """Return the text of a number, the same in each lane."""
        number = value & (1 << bits) - 1
        signed = number - (1 << bits) if number >> bits - 1 else number
        text = ("true" if number else "false") if bits == 1 else str(signed)
        return f"splat (i{bits} {text})" if self.lanes else text

    def intrinsic(self, name: str, bits: int) -> str:
        """Return the full name of an overloaded intrinsic."""
        return f"@llvm.{name}.v{self.lanes}i{bits}" if self.lanes else f"@llvm.{name}.i{bits}"


class Text:
    """Appends to the current block; declarations of what is called are collected."""

    def __init__(self) -> None:
        self.declared: set[str] = set()
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def name(self, what: str = "t") -> str:
        """Return a name that nothing has yet."""
        self._count += 1
        return f"{what}{self._count}"

    def new(self, instruction: str) -> str:
        """Append an instruction and return its value."""
        value = f"%{self.name()}"
        self._lines.append(f"  {value} = {instruction}")
        return value

    def do(self, instruction: str) -> None:
        """Append an instruction without a value."""
        self._lines.append(f"  {instruction}")

    def begin(self, label: str) -> None:
        """Go on in the block `label`."""
        self._lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch(self, condition: str, then: str, other: str, *, unlikely: bool = False) -> None:
        hint = f", {UNLIKELY}" if unlikely else ""
        self.do(f"br i1 {condition}, label %{then}, label %{other}{hint}")

    def unless(self, condition: str, rare: str) -> None:
        """Go to the block `rare` if `condition` holds, which it hardly ever does; else on."""
        on = self.name("on")
        self.branch(condition, rare, on, unlikely=True)
        self.begin(on)

    def cell(self, kind: str, what: str) -> str:
        """Return a place for a value that changes; LLVM keeps it in a register."""
        cell = f"%{self.name(what)}"
        self._entry.append(f"  {cell} = alloca {kind}")
        return cell

    def call(self, declaration: str, call: str) -> str:
        """Call a function that is declared outside, and return its value."""
        self.declared.add(declaration)
        return self.new(call)

    def body(self) -> str:
        """Return all of it, the entry first."""
        return "\n".join(["entry:", *self._entry, *self._lines])


class Cells:
    """Fields of the structures of the C core, by their offsets."""

    def __init__(self, text: Text, places: dict[str, int]) -> None:
        self._text = text
        self._places = places

    def at(self, base: str, field: str, more: int = 0) -> str:
        """Return the address of a field."""
        return self._text.new(f"getelementptr i8, ptr {base}, i64 {self._places[field] + more}")

    def load(self, base: str, field: str, kind: str = "i64", more: int = 0) -> str:
        return self._text.new(f"load {kind}, ptr {self.at(base, field, more)}, align 4")

    def store(self, base: str, field: str, value: str, kind: str = "i64", more: int = 0) -> None:
        self._text.do(f"store {kind} {value}, ptr {self.at(base, field, more)}, align 4")

    def offset(self, field: str) -> int:
        return self._places[field]
