"""The state of one translation: the IR so far, the maps and constants met, and the functions being inlined.

Every function that a program calls is lowered at the place of its call. So functions may take bytes and maps, constants
reach as deep as they go, and no calling convention limits their parameters; recursion is refused.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass, field
from packetfs.toolchain.python.ir import Block, Builder, Storage
from packetfs.toolchain.python.language import Array, Hash
from packetfs.toolchain.python.source import Source
from packetfs.toolchain.python.tables import Tables
from packetfs.toolchain.python.values import Stretch, Table, Unsupported, Value
from packetfs.typing import Callable, Final

ARGUMENTS: Final = "args"
CONSTANTS: Final = "constants"
"""Read-only maps: what the user chose, and the bytes that the source names."""
NESTED_MAX: Final = 32
"""Functions that may be inlined into each other: deeper is a mistake, and Python's own stack is finite."""


@dataclass(slots=True)
class Loop:
    """Where `continue` and `break` go, and which variables were assigned at each `break`."""

    following: Block
    done: Block
    breaks: list[set[str]] = field(default_factory=list)


@dataclass(slots=True)
class Frame:
    """A function being lowered. `bound`: parameters that it never assigns. `sure`: variables assigned on every way."""

    source: Source
    bound: dict[str, Value] = field(default_factory=dict)
    variables: dict[str, Storage] = field(default_factory=dict)
    sure: set[str] = field(default_factory=set)
    done: Block | None = None
    result: Storage | None = None
    loops: list[Loop] = field(default_factory=list)
    alive: bool = True
    bare: bool = False
    quiet: bool = False


class Lowering:
    """What all parts of a translation share."""

    def __init__(self) -> None:
        self.b = Builder()
        self.tables = Tables(self.b)
        self.frames: list[Frame] = []
        self.sources: dict[Callable[..., object], Source] = {}
        self.maps: dict[str, Array | Hash] = {}
        self.constants = bytearray()
        self.decimals: set[bool] = set()
        self._bases: dict[str, str] = {}

    @property
    def frame(self) -> Frame:
        """The innermost function."""
        return self.frames[-1]

    def table(self, found: Array | Hash, name: str) -> Table:
        """Return a map of the enclosing scope; the first name that it is used by is its own."""
        for symbol, known in self.maps.items():
            if known is found:
                return Table(found, symbol)
        symbol = found.name or name
        if not symbol.isidentifier() or not symbol.isascii() or len(symbol) > 16:
            raise Unsupported(f"the map's name {symbol} is no identifier of at most 16 letters: give it name=")
        if symbol in self.maps or symbol in (ARGUMENTS, CONSTANTS, "main", "decimal"):
            raise Unsupported(f"there is another map called {symbol}: give one of them name=")
        self.maps[symbol] = found
        return Table(found, symbol)

    def constant(self, content: bytes) -> Stretch:
        """Return bytes of the source as bytes of the program."""
        at = self.constants.find(content)
        if at < 0:
            at = len(self.constants)
            self.constants += content
        if not content:
            return Stretch("0", "0", False, b"")
        return Stretch(self.b.add(self.base(CONSTANTS), str(at)), str(len(content)), False, content)

    def base(self, symbol: str) -> str:
        """Return the address of a read-only map's content."""
        if symbol not in self._bases:
            self._bases[symbol] = f"%base.{symbol}"
            self.b.entry.append(f'%base.{symbol} = call i64 asm "", "=r,0"(ptr @{symbol})')
        return self._bases[symbol]

    @property
    def used(self) -> tuple[str, ...]:
        """The read-only maps that the program needs."""
        return tuple(self._bases)
