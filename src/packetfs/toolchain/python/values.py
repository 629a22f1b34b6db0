"""What an expression of a program is worth while it is translated: a constant, or names of IR values."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.toolchain.python.language import Array, Hash
from packetfs.typing import Final, TypeAlias

MASK: Final = (1 << 64) - 1
SMALLEST: Final = -(1 << 63)


class Unsupported(ValueError):
    """A reason why something cannot be translated; whoever knows the line makes it an error with file and line."""


@dataclass(frozen=True, slots=True)
class Constant:
    """An integer known now. It takes the sign of what it meets."""

    value: int


@dataclass(frozen=True, slots=True)
class Word:
    """An integer of 64 bits: IR value of type i64."""

    text: str
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """A truth value: IR value of type i1, or the words true and false."""

    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes in memory: IR values of type i64. `content` where it is known now."""

    address: str
    length: str
    writable: bool = False
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A map, and its number among the program's maps."""

    map: Array | Hash
    symbol: str


@dataclass(frozen=True, slots=True)
class Thing:
    """A Python object of the enclosing scope: a function, a module, a type. It has no value at run time."""

    object: object


@dataclass(frozen=True, slots=True)
class Nothing:
    """What calls of functions that return nothing are worth."""


Value: TypeAlias = Constant | Word | Truth | Stretch | Table | Thing | Nothing


def literal(value: int) -> str:
    """Return a number as IR text of type i64; Unsupported when 64 bits do not hold it."""
    if not SMALLEST <= value <= MASK:
        raise Unsupported(f"{value:#x} does not fit into 64 bits")
    cut = value & MASK
    return str(cut - (1 << 64) if cut >> 63 else cut)


def describe(value: Value) -> str:
    """Name the kind of a value, for error messages."""
    match value:
        case Constant():
            return f"the number {value.value}"
        case Word(signed=signed):
            return "an i64" if signed else "a u64"
        case Truth():
            return "a truth value"
        case Stretch():
            return "bytes"
        case Table():
            return "a map"
        case Thing():
            return f"{getattr(value.object, '__name__', type(value.object).__name__)}"
        case Nothing():
            return "nothing"
