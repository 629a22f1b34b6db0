"""The names that programs in Python import: records, integers, maps, emit. Importing them loads nothing heavy.

Inside a program they are translated by name. `Span` and the integers work in plain Python too, so that the plain
function can be tried on `Record(b"...")`; maps and emit exist only inside a program.
"""

from __future__ import annotations

from typing import SupportsIndex

from packetfs.dataclass import dataclass
from packetfs.toolchain.allowed import between as between
from packetfs.toolchain.allowed import length as length
from packetfs.toolchain.allowed import one_of as one_of
from packetfs.typing import TYPE_CHECKING, Final, NoReturn, overload
from packetfs.vm import search
from packetfs.vm.layout import Reducer, Show

LAST: Final = Reducer.LAST
FIRST: Final = Reducer.FIRST
SUM: Final = Reducer.SUM
MIN: Final = Reducer.MIN
MAX: Final = Reducer.MAX
SIGNED_MIN: Final = Reducer.SIGNED_MIN
SIGNED_MAX: Final = Reducer.SIGNED_MAX
OR: Final = Reducer.OR
AND: Final = Reducer.AND
XOR: Final = Reducer.XOR

ABORTED: Final = 0
DROP: Final = 1
PASS: Final = 2
TX: Final = 3
REDIRECT: Final = 4
"""XDP's verdicts; a program that ends without `return` returns PASS."""

NO_NUMBER: Final = search.NO_NUMBER
"""What `decimal` returns for what is no number."""

SIGNED: Final = (Reducer.SIGNED_MIN, Reducer.SIGNED_MAX)
ZERO_SPOILS: Final = (Reducer.MIN, Reducer.SIGNED_MIN, Reducer.SIGNED_MAX, Reducer.AND, Reducer.FIRST)
"""Reducers that need to know whether an entry was set at all: not for arrays, which are zero from the start."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A width in bits and a sign: as a function it cuts a number to them, as an annotation it names a type."""

    name: str
    bits: int
    signed: bool

    def __call__(self, value: int) -> int:
        cut = value & ((1 << self.bits) - 1)
        return cut - (1 << self.bits) if self.signed and cut >> (self.bits - 1) else cut


if TYPE_CHECKING:
    from typing import TypeAlias

    u8: TypeAlias = int
    u16: TypeAlias = int
    u32: TypeAlias = int
    u64: TypeAlias = int
    i8: TypeAlias = int
    i16: TypeAlias = int
    i32: TypeAlias = int
    i64: TypeAlias = int
else:
    u8, u16, u32, u64 = (Integer(f"u{bits}", bits, False) for bits in (8, 16, 32, 64))
    i8, i16, i32, i64 = (Integer(f"i{bits}", bits, True) for bits in (8, 16, 32, 64))


class Span(bytes):
    """Bytes with integers in them; what a record and its slices are."""

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> Span: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> int | Span:
        return Span(bytes.__getitem__(self, key)) if isinstance(key, slice) else bytes.__getitem__(self, key)

    def __contains__(self, what: object, /) -> bool:
        return isinstance(what, bytes | int) and bytes.__contains__(self, what)

    def u16(self, offset: int) -> int:
        """Return the 2 bytes at `offset` as a little-endian number; IndexError outside."""
        return self._number(offset, 2, "little")

    def u32(self, offset: int) -> int:
        """Return the 4 bytes at `offset` as a little-endian number."""
        return self._number(offset, 4, "little")

    def u64(self, offset: int) -> int:
        """Return the 8 bytes at `offset` as a little-endian number."""
        return self._number(offset, 8, "little")

    def u16be(self, offset: int) -> int:
        """Return the 2 bytes at `offset` as a big-endian number."""
        return self._number(offset, 2, "big")

    def u32be(self, offset: int) -> int:
        """Return the 4 bytes at `offset` as a big-endian number."""
        return self._number(offset, 4, "big")

    def u64be(self, offset: int) -> int:
        """Return the 8 bytes at `offset` as a big-endian number."""
        return self._number(offset, 8, "big")

    def find_nth(self, byte: bytes | int, nth: int) -> int:
        """Return where `byte` is for the n-th time, the first is 1; -1 where it is not so often there."""
        return search.find_byte(self, byte if isinstance(byte, int) else ord(byte), nth)[0]

    def count_words(self) -> int:
        """Return how many stretches there are that are not white space (9 to 13 and 32)."""
        return search.count_words(self)[0]

    def count_parts(self, byte: bytes | int, word: bytes) -> int:
        """Return how many parts contain `word`; `byte`, which is not of its part, or the end of this ends each."""
        return search.count_parts(self, byte if isinstance(byte, int) else ord(byte), word)[0]

    def decimal(self, places: int) -> int:
        """Return the decimal number that this is, in units of 10**-places, halves rounded away from zero; NO_NUMBER
        where it is none, or 9 * 10**18 units or more. Spaces and tabs around it do not count."""
        return search.decimal(self, places)[0]

    def _number(self, offset: int, size: int, order: str) -> int:
        start = offset + len(self) if offset < 0 else offset
        if not 0 <= start <= len(self) - size:
            raise IndexError("outside the record")
        raw = bytes.__getitem__(self, slice(start, start + size))
        return int.from_bytes(raw, "big" if order == "big" else "little")


class Record(Span):
    """What one invocation sees. `number`: how many came before it in its file; `offset`: where in the file it begins;
    `file`: how many files came before that one.

    Reading `number` makes a run count the records before each shard; `offset` and `file` cost nothing.
    """

    number: int = 0
    offset: int = 0
    file: int = 0


class Map:
    """What arrays and hashes have in common: numbers of 64 bits, merged over shards by `reducer`."""

    def __init__(
        self, entries: int, reducer: Reducer, *, signed: bool, show: Show | None, name: str, decimals: str
    ) -> None:
        self.entries, self.reducer, self.show, self.name = entries, Reducer(reducer), show, name
        self.signed = signed or reducer in SIGNED
        self.decimals = decimals

    def __getitem__(self, key: int | bytes) -> int:
        """Return a number; 0 where none was put."""
        return _outside()

    def __setitem__(self, key: int | bytes, value: int) -> None:
        """Put a number; a fault where there is no room."""
        _outside()


class Array(Map):
    """`entries` numbers, all 0 at first, by index. Options as those of Hash."""

    def __init__(
        self,
        entries: int,
        reducer: Reducer = SUM,
        *,
        signed: bool = False,
        show: Show | None = None,
        name: str = "",
        decimals: str = "",
    ) -> None:
        super().__init__(entries, reducer, signed=signed, show=show, name=name, decimals=decimals)
        if self.reducer in ZERO_SPOILS:
            raise ValueError(f"an Array is 0 from the start, which would spoil {self.reducer.name}: use a Hash")

    def __len__(self) -> int:
        return self.entries

    def tally(self, data: bytes, stride: int, width: int) -> int:
        """Add 1 to the entry of each number of `width` bytes that lies in `data`, one every `stride` bytes; return how
        many numbers have no entry. width: 1, 2, 4 or 8; negative: the first byte is the highest."""
        return _outside(data, stride, width)


class Hash(Map):
    """At most `entries` numbers by key of `key_bytes` bytes: an integer, or bytes cut or filled with zeros to that.

    signed: the numbers are i64. show: how keys are shown. name: of the map, instead of its variable's. decimals: the
    argument that says how many digits of the numbers stand behind the point.
    """

    def __init__(
        self,
        key_bytes: int,
        entries: int,
        reducer: Reducer = SUM,
        *,
        signed: bool = False,
        show: Show | None = None,
        name: str = "",
        decimals: str = "",
    ) -> None:
        super().__init__(entries, reducer, signed=signed, show=show, name=name, decimals=decimals)
        self.key_bytes = key_bytes

    def get(self, key: int | bytes, default: int = 0) -> int:
        """Return the number of `key`, or `default`."""
        return _outside(key, default)

    def add(self, key: int | bytes | bytearray, value: int = 1) -> bool:
        """Add `value` to the number of `key`; False where it is new and there is no room."""
        return _outside(key, value)

    def put(self, key: int | bytes, value: int) -> bool:
        """Put a number; False where there is no room."""
        return _outside(key, value)

    def __contains__(self, key: int | bytes) -> bool:
        return _outside(key)

    def __delitem__(self, key: int | bytes) -> None:
        _outside(key)


def emit(*parts: bytes | bytearray | int) -> None:
    """Write to the output: bytes as they are, numbers as decimal text. Outputs come out in record order."""
    _outside(*parts)


def _outside(*used: object) -> NoReturn:
    raise RuntimeError(f"maps and emit exist only inside a program ({len(used)} values)")
