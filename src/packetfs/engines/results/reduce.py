"""Maps of shards become one, in shard order: element by element, as the map's definition says.

Arrays are reduced over all their entries, so that an entry that a shard did not touch counts as zeros there; of hash
tables the union of keys is taken (tables.py). Read-only maps and rings have no result.
"""

from __future__ import annotations

from packetfs.engines.results.elements import reduce_array
from packetfs.packet.layout import Buffer
from packetfs.typing import TYPE_CHECKING, TypeAlias
from packetfs.vm.image import ARRAYS, HASHES, Image, MapPlace
from packetfs.vm.program import MapDefinition

if TYPE_CHECKING:
    from packetfs.engines.results.brief import Brief
    from packetfs.engines.results.entries import Entries
    from packetfs.engines.results.narrow import Words
    from packetfs.engines.results.tables import HashReduction, Union


class ArrayReduction:
    """The reduction of an array so far: its bytes, as they lie in a microVM."""

    def __init__(self, place: MapPlace, definition: MapDefinition) -> None:
        self._place = place
        self._definition = definition
        self._memory: Buffer | None = None
        self._words: tuple[Words, int] | None = None
        """All of it, where it is held as these, from there on."""

    def add(self, maps: memoryview, slot: int, count: int, maps_bytes: int) -> None:
        """Reduce the maps of `count` microVMs from `slot` on, in order."""
        start = slot * maps_bytes + self._place.offset
        size = self._place.size
        if self._all() is None:
            self._memory = bytearray(maps[start : start + size])
            start, count = start + maps_bytes, count - 1
        if count:
            self._reduce(maps[start : start + (count - 1) * maps_bytes + size], count, maps_bytes)

    def add_brief(self, maps: Brief) -> None:
        """Reduce the maps of a microVM, held as these."""
        self._reduce_words(maps.words, maps.start(self._place))

    def merge(self, more: ArrayReduction) -> None:
        """Reduce what the shards that follow were reduced to."""
        if more._words is not None:
            self._reduce_words(*more._words)
        elif self._all() is None:
            self._memory = None if more._memory is None else bytearray(more._memory)
        elif more._memory is not None:
            self._reduce(memoryview(more._memory), 1, 0)

    def _reduce(self, values: memoryview, count: int, stride: int) -> None:
        reduce_array(memoryview(self._own()), values, count, stride, self._definition.reducer, self._width)

    def _reduce_words(self, words: Words, start: int) -> None:
        if self._all() is None:
            self._memory = bytearray(words.widened()[start : start + self._place.size])
        else:
            words.reduce(self._own(), start, self._definition.reducer, self._width)

    @property
    def _width(self) -> int:
        """Bytes of an element: LAST and FIRST take values whose size is no multiple of them, and copy these whole."""
        return self._definition.width if self._place.size % self._definition.width == 0 else 1

    def _own(self) -> bytearray:
        """Return its bytes, which may be changed."""
        if not isinstance(self._memory, bytearray):
            self._memory = bytearray(self._all() or b"")
        return self._memory

    def _all(self) -> Buffer | None:
        """Return its bytes, None before there are any."""
        if self._words is not None:
            words, start = self._words
            self._memory, self._words = words.widened()[start : start + self._place.size], None
        return self._memory

    def pack(self) -> bytes:
        """Return it as bytes."""
        return bytes(self._all() or b"")

    def unpack(self, data: Buffer) -> None:
        """Be what `pack` gave, which must not change any more; ValueError for what it cannot have given."""
        if len(data) not in (0, self._place.size):
            raise ValueError(f"{len(data)} bytes of an array of {self._place.size}")
        self._memory = memoryview(data) if len(data) else None

    def hold(self, words: Words, start: int, size: int) -> None:
        """Be what these are from `start` on, where a word begins, as `unpack` would be; ValueError as there."""
        if size != self._place.size:
            raise ValueError(f"{size} bytes of an array of {self._place.size}")
        self._words = words, start

    def entries(self) -> Entries:
        """Return (index, value) of what is not all zero."""
        from packetfs.engines.results.entries import Entries  # when the job is done

        return Entries(self._all() or b"", self._place.value_size, self._place.stride)


Reduction: TypeAlias = "ArrayReduction | HashReduction"


def reductions(image: Image) -> dict[int, Reduction]:
    """Return an empty reduction for each map that has a result, by index."""
    found: dict[int, Reduction] = {}
    union: Union | None = None
    for index, (place, definition) in enumerate(zip(image.maps, image.definitions, strict=True)):
        if place.read_only:
            continue
        if place.type in ARRAYS:
            found[index] = ArrayReduction(place, definition)
        elif place.type in HASHES:
            from packetfs.engines.results.tables import HashReduction, Union  # most programs have none

            union = union or Union()
            found[index] = HashReduction(place, definition, union)
    return found
