"""Hash tables of shards become one: the union of their keys; where more than one has a key, its values are reduced.

What is added lies in a dict. What is kept, and what was read back, lies in columns: the keys in ascending order, then
the values. Two with the same keys are then reduced as arrays are, which is most of what stretches of one file come to.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from itertools import islice
from operator import add, lt
from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.engines.results.elements import BITWISE, ORDERED, UNSIGNED, combine, reduce_array
from packetfs.errors import MapTooLarge
from packetfs.limits import UNION_BYTES_MAX, UNION_ENTRIES_MAX
from packetfs.typing import Any
from packetfs.vm.image import MapPlace
from packetfs.vm.layout import Reducer
from packetfs.vm.maps import HashTable
from packetfs.vm.program import MapDefinition


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

    keys: bytes
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

    def merge(self, more: HashReduction) -> None:
        """Reduce what the shards that follow were reduced to."""
        mine, theirs = self._columns, more.columns()
        if mine is None and not self._values:
            self._adopt(Columns(theirs.keys, bytearray(theirs.values)))
        elif mine is not None and mine.keys == theirs.keys:
            width = self._definition.width if len(mine.values) % self._definition.width == 0 else 1
            into, values = memoryview(mine.values), memoryview(theirs.values)
            reduce_array(into, values, 1, 0, self._definition.reducer, width)
        else:
            self._put(self._rows(theirs))

    def columns(self) -> Columns:
        """Return all of it as columns."""
        if self._columns is None:
            values, self._values = self._values, {}
            keys = sorted(values)
            self._columns = Columns(b"".join(keys), self._joined([values[key] for key in keys]))
        return self._columns

    def pack(self) -> bytes:
        """Return it as bytes."""
        return b"".join((self.columns().keys, self.columns().values))

    def unpack(self, data: bytes) -> None:
        """Be what `pack` gave; ValueError for what it cannot have given."""
        key, value = self._definition.key_size, self._definition.value_size
        count, rest = divmod(len(data), key + value)
        found = Columns(data[: count * key], bytearray(data[count * key :]))
        keys = _split(found.keys, f"{key}s")
        if rest or not all(map(lt, keys, islice(keys, 1, None))):
            raise ValueError(f"{len(data)} bytes are no keys in ascending order with their values")
        self._adopt(found)

    def entries(self) -> Iterable[tuple[bytes, bytes]]:
        """Return (key, value), sorted by key."""
        definition, found = self._definition, self.columns()
        keys = _split(found.keys, f"{definition.key_size}s")
        return zip(keys, _split(found.values, f"{definition.value_size}s"), strict=True)

    def _adopt(self, columns: Columns) -> None:
        self._columns = columns
        self._union.take(self._definition, len(columns.keys) // self._definition.key_size)

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
        keys = _split(columns.keys, f"{self._definition.key_size}s")
        return zip(keys, _split(columns.values, self._form), strict=True)

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


def _split(data: bytes | bytearray, form: str) -> list[Any]:
    """Return all values of a form that follow each other."""
    return [each for (each,) in Struct(f"<{form}").iter_unpack(data)]
