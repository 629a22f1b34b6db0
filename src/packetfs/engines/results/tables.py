"""Hash tables of shards become one: the union of their keys; where more than one has a key, its values are reduced.

Tables are sorted columns (columns.py). They wait, as in a merge sort, until those behind them together have half as
many keys: so each key is merged a few times, however many shards there are.
"""

from __future__ import annotations

from struct import Struct

from packetfs.engines.results.columns import EMPTY, Columns, columns, is_rising, merge
from packetfs.engines.results.elements import reduce_array
from packetfs.engines.results.entries import Entries
from packetfs.errors import MapTooLarge
from packetfs.limits import UNION_BYTES_MAX, UNION_ENTRIES_MAX
from packetfs.packet.kernels import common_prefix
from packetfs.packet.layout import Buffer
from packetfs.typing import TYPE_CHECKING, Final, TypeAlias
from packetfs.vm.image import HASH_HEADER, MapPlace, up
from packetfs.vm.program import MapDefinition

if TYPE_CHECKING:
    from packetfs.engines.results.brief import Brief
    from packetfs.engines.results.narrow import Words

Kind: TypeAlias = tuple[int, int, int, int]
"""Bytes of a key and of a value, the reducer, and bytes of an element."""
HEADER: Final = Struct("<4I16x")
"""Of a hash table (vm/maps.py): keys, free entry, entries that were used, removed words."""


def check_union(definition: MapDefinition, entries: int, size: int) -> None:
    """Raise MapTooLarge when all hash tables of a job have too many keys over all shards; `size`: bytes of these and
    their values. The last ones were of this map."""
    if entries > UNION_ENTRIES_MAX or size > UNION_BYTES_MAX:
        name = definition.name.decode("utf-8", "backslashreplace")
        raise MapTooLarge(name=name, entries=UNION_ENTRIES_MAX, size=UNION_BYTES_MAX)


class Union:
    """All hash tables of a job, which have a bound together."""

    def __init__(self) -> None:
        self.tables: list[HashReduction] = []

    def check(self, definition: MapDefinition) -> None:
        """Raise MapTooLarge when there are too many keys, of which these were the last."""
        try:
            check_union(definition, *self._sizes())
        except MapTooLarge:
            for table in self.tables:  # a key may wait in several columns
                table.columns()
            check_union(definition, *self._sizes())

    def _sizes(self) -> tuple[int, int]:
        entries, sizes = zip(*(table.sizes() for table in self.tables), strict=True)
        return sum(entries), sum(sizes)


class HashReduction:
    """The reduction of a hash table so far."""

    def __init__(self, place: MapPlace, definition: MapDefinition, union: Union) -> None:
        self._place = place
        self._definition = definition
        self._union = union
        self._sizes = place.key_size, place.value_size
        self._kind = kind_of(definition)
        self._waiting: list[Columns] = []
        self._words: tuple[Words, int, int] | None = None
        """All of it, where it is held as so many bytes of these, from there on."""
        union.tables.append(self)

    def add(self, maps: memoryview, slot: int, count: int, maps_bytes: int) -> None:
        """Reduce the maps of `count` microVMs from `slot` on, in order."""
        for at in range(slot * maps_bytes, (slot + count) * maps_bytes, maps_bytes):
            self._push(columns_of(self._place, self._kind, maps[at : at + maps_bytes]))

    def add_brief(self, maps: Brief) -> None:
        """Reduce the maps of a microVM, held as these."""
        self._push(maps.columns(self._place))

    def merge(self, more: HashReduction) -> None:
        """Reduce what the shards that follow were reduced to."""
        self._push(more.shared())

    def columns(self) -> Columns:
        """Return all of it as columns."""
        self._widen()
        while len(self._waiting) > 1:
            self._merge_last()
        return self._waiting[0] if self._waiting else EMPTY

    def shared(self) -> Columns:
        """Return the same, for another one to hold as well: neither changes it in place."""
        found = self.columns()
        self._waiting = [Columns(found.keys, memoryview(found.values))] if len(found.keys) else []
        return self.columns()

    def sizes(self) -> tuple[int, int]:
        """Return how many keys it has, or more, and the bytes of these and of their values."""
        self._widen()
        keys = sum(len(each.keys) for each in self._waiting) // self._place.key_size
        return keys, keys * sum(self._sizes)

    def _push(self, more: Columns) -> None:
        self._widen()
        waiting = self._waiting
        if len(more.keys):
            waiting.append(more)
            while len(waiting) > 1 and len(waiting[-2].keys) < 2 * len(waiting[-1].keys):
                self._merge_last()
            self._union.check(self._definition)

    def _merge_last(self) -> None:
        *_, mine, more = self._waiting
        if len(mine.keys) == len(more.keys) == common_prefix(mine.keys, more.keys):
            *_, reducer, width = self._kind
            own = mine.values if isinstance(mine.values, bytearray) else bytearray(mine.values)  # of one that is shared
            reduce_array(memoryview(own), memoryview(more.values), 1, 0, reducer, width)
            self._waiting[-2:] = [Columns(mine.keys, own)]
        else:
            self._waiting[-2:] = [Columns(*merge(mine.keys, mine.values, more.keys, more.values, *self._kind))]

    def pack(self) -> bytes:
        """Return it as bytes."""
        found = self.columns()
        return b"".join((found.keys, found.values))

    def unpack(self, data: Buffer) -> None:
        """Be what `pack` gave, which must not change any more; ValueError for what it cannot have given."""
        self._push(self._checked(data))

    def hold(self, words: Words, start: int, size: int) -> None:
        """Be what these are from `start` on, where a word begins, as `unpack` would be; ValueError as there."""
        self._checked(_part(words, start, size))
        self._words = words, start, size

    def _checked(self, data: Buffer) -> Columns:
        key, value = self._sizes
        count, rest = divmod(len(data), key + value)
        found = Columns(data[: count * key], data[count * key :])
        if rest or not is_rising(found.keys, key):
            raise ValueError(f"{len(data)} bytes are no keys in ascending order with their values")
        return found

    def _widen(self) -> None:
        """Hold as columns what is held as words: not before somebody asks, as many wait for those before them."""
        if self._words is not None:
            found, self._words = _part(*self._words), None
            self._push(self._checked(found))

    def entries(self) -> Entries:
        """Return (key, value), sorted by key."""
        found, (key, value) = self.columns(), self._sizes
        return Entries(found.values, value, value, found.keys, key)


def kind_of(definition: MapDefinition) -> Kind:
    width = definition.width if definition.value_size % definition.width == 0 else 1  # of LAST and FIRST
    return definition.key_size, definition.value_size, definition.reducer, width


def _part(words: Words, start: int, size: int) -> memoryview:
    return memoryview(words.part(start, up(size)))[:size]


def columns_of(place: MapPlace, kind: Kind, maps: memoryview) -> Columns:
    """Return what a table in the maps memory of a microVM holds. The program may have written anything there."""
    count, _, high, _ = HEADER.unpack_from(maps, place.offset)
    if not count:  # most tables of most small shards are empty
        return EMPTY
    start = entries_at(place)
    return Columns(*columns(maps[start : start + min(high, place.max_entries) * place.stride], *kind))


def entries_at(place: MapPlace) -> int:
    return place.offset + HASH_HEADER + up(4 * place.capacity)
