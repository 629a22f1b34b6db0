"""Hash tables of shards become one: the union of their keys; where more than one has a key, its values are reduced.

What is added lies in a dict. What is kept, and what was read back, lies in columns: the keys in ascending order, then
the values. Where two have nearly the same keys, as stretches of one file mostly do, those that one lacks are put in,
and the values are reduced as arrays are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import islice
from operator import add, lt
from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.engines.results.elements import BITWISE, ORDERED, UNSIGNED, combine, reduce_array
from packetfs.engines.results.entries import Entries
from packetfs.engines.results.narrow import Words
from packetfs.errors import MapTooLarge
from packetfs.limits import UNION_BYTES_MAX, UNION_ENTRIES_MAX
from packetfs.packet.layout import Buffer
from packetfs.typing import Any, Final
from packetfs.vm.image import HASH_HEADER, MapPlace
from packetfs.vm.layout import Reducer
from packetfs.vm.maps import HashTable
from packetfs.vm.program import MapDefinition

_ADDING: Final = (Reducer.SUM, Reducer.XOR)
_ALIKE: Final = 8
"""Tables are alike where at most one key of so many is not in both: each of these is put in by itself."""


class Union:
    """How much all hash tables of a job hold together, over all its shards."""

    def __init__(self) -> None:
        self.entries = self.bytes = 0

    def take(self, definition: MapDefinition, count: int = 1) -> None:
        """Count more keys of a map; MapTooLarge when there are too many."""
        self.entries += count
        self.bytes += count * (definition.key_size + definition.value_size)
        if self.entries > UNION_ENTRIES_MAX or self.bytes > UNION_BYTES_MAX:
            name = definition.name.decode("utf-8", "backslashreplace")
            raise MapTooLarge(name=name, entries=UNION_ENTRIES_MAX, size=UNION_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Columns:
    """The keys of a table, in ascending order, and its values in the same order."""

    keys: list[bytes]
    values: bytearray


class HashReduction:
    """The reduction of a hash table so far. A value that is one number is reduced as that."""

    def __init__(self, place: MapPlace, definition: MapDefinition, union: Union) -> None:
        self._place = place
        self._definition = definition
        self._union = union
        self._form, self._join = _joining(definition)
        self._values: dict[bytes, Any] = {}
        self._columns: Columns | None = None
        """All of it, where nothing was added since."""

    def add(self, maps: memoryview, slot: int, count: int, maps_bytes: int) -> None:
        """Reduce the maps of `count` microVMs from `slot` on, in order."""
        for at in range(slot * maps_bytes, (slot + count) * maps_bytes, maps_bytes):
            start = at + self._place.offset
            if any(maps[start : start + 4]):  # the count: most tables of most small shards are empty
                self._put(HashTable(self._place, maps[at : at + maps_bytes]).rows(self._form))

    def add_words(self, maps: Words) -> None:
        """Reduce the maps of a microVM, held as these."""
        if any(maps.part(self._place.offset, HASH_HEADER)[:4]):  # an empty table has as much memory as a full one
            self._put(HashTable(self._place, maps.widened()).rows(self._form))

    def merge(self, more: HashReduction) -> None:
        """Reduce what the shards that follow were reduced to."""
        mine, theirs = self._columns, more.columns()
        if mine is None and not self._values:
            self._adopt(Columns(theirs.keys, bytearray(theirs.values)))
        elif mine is None or not self._reduce(mine, theirs):
            self._put(self._rows(theirs))

    def _reduce(self, mine: Columns, theirs: Columns) -> bool:
        """Reduce columns that are alike; False where they are not."""
        if mine.keys != theirs.keys:
            held, new = set(mine.keys), set(theirs.keys)
            more, lacking = sorted(new - held), sorted(held - new)
            if (len(more) + len(lacking)) * _ALIKE > len(mine.keys) + len(theirs.keys):
                return False
            self._union.take(self._definition, len(more))
            mine, theirs = self._filled(mine, more, theirs), self._filled(theirs, lacking, mine)
            self._columns = mine
        width = self._definition.width if len(mine.values) % self._definition.width == 0 else 1
        into, values = memoryview(mine.values), memoryview(theirs.values)
        reduce_array(into, values, 1, 0, self._definition.reducer, width)
        return True

    def _filled(self, columns: Columns, lacking: list[bytes], other: Columns) -> Columns:
        """Return columns with the keys that they are lacking, under which a value lies that changes nothing of the
        other's: that one itself, or zero where numbers are added."""
        size, done = self._definition.value_size, 0
        parts: list[bytearray | bytes] = []
        for key in lacking:
            here, there = bisect_left(columns.keys, key) * size, bisect_left(other.keys, key) * size
            value = bytes(size) if self._definition.reducer in _ADDING else other.values[there : there + size]
            parts += (columns.values[done:here], value)
            done = here
        keys = sorted([*columns.keys, *lacking]) if lacking else columns.keys
        return Columns(keys, bytearray(b"".join([*parts, columns.values[done:]])))

    def columns(self) -> Columns:
        """Return all of it as columns."""
        if self._columns is None:
            values, self._values = self._values, {}
            keys = sorted(values)
            self._columns = Columns(keys, self._joined([values[key] for key in keys]))
        return self._columns

    def pack(self) -> bytes:
        """Return it as bytes."""
        return b"".join((*self.columns().keys, self.columns().values))

    def unpack(self, data: Buffer) -> None:
        """Be what `pack` gave; ValueError for what it cannot have given."""
        key, value = self._definition.key_size, self._definition.value_size
        count, rest = divmod(len(data), key + value)
        keys: list[bytes] = _split(data[: count * key], f"{key}s")
        if rest or not all(map(lt, keys, islice(keys, 1, None))):
            raise ValueError(f"{len(data)} bytes are no keys in ascending order with their values")
        self._adopt(Columns(keys, bytearray(data[count * key :])))

    def entries(self) -> Entries:
        """Return (key, value), sorted by key."""
        found, size = self.columns(), self._definition.value_size

        def listed() -> Iterable[tuple[bytes, bytes]]:
            return zip(found.keys, _split(found.values, f"{size}s"), strict=True)

        return Entries(listed, found.values, size, size, found.keys)

    def _adopt(self, columns: Columns) -> None:
        self._columns = columns
        self._union.take(self._definition, len(columns.keys))

    def _put(self, rows: Iterable[tuple[bytes, Any]]) -> None:
        if self._columns is not None:
            self._values, self._columns = dict(self._rows(self._columns)), None
        values, join = self._values, self._join
        had = len(values)
        for key, value in rows:
            before = values.get(key)
            values[key] = value if before is None else join(before, value)
        self._union.take(self._definition, len(values) - had)

    def _rows(self, columns: Columns) -> Iterable[tuple[bytes, Any]]:
        return zip(columns.keys, _split(columns.values, self._form), strict=True)

    def _joined(self, values: list[Any]) -> bytearray:
        if self._form in UNSIGNED.values():  # sums wrap
            mask = (1 << 8 * self._definition.width) - 1
            values = [value & mask for value in values]
        return bytearray(b"".join(values) if self._form.endswith("s") else array(self._form, values))


def _joining(definition: MapDefinition) -> tuple[str, Callable[[Any, Any], Any]]:
    """Return the form of a value in struct's words, and what reduces two of them."""
    reducer, size, width = definition.reducer, definition.value_size, definition.width
    if size == width and reducer in ORDERED:
        forms, choose = ORDERED[reducer]
        return forms[width], choose
    if size == width and (reducer is Reducer.SUM or reducer in BITWISE):
        return UNSIGNED[width], BITWISE.get(reducer, add)
    return f"{size}s", lambda before, after: combine(before, after, reducer, width)


def _split(data: Buffer, form: str) -> list[Any]:
    """Return all values of a form that follow each other."""
    return [each for (each,) in Struct(f"<{form}").iter_unpack(data)]
