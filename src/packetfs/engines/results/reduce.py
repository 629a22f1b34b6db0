"""Maps of shards become one, in shard order: element by element, as the map's definition says.

Arrays are reduced over all their entries, so that an entry that a shard did not touch counts as zeros there; of hash
tables the union of keys is taken (tables.py). Read-only maps and rings have no result.
"""

from __future__ import annotations

from functools import partial

from packetfs.dataclass import replace
from packetfs.engines.results.elements import reduce_array
from packetfs.engines.results.entries import Entries
from packetfs.engines.results.tables import HashReduction, Union
from packetfs.vm.image import ARRAYS, HASHES, Image, MapPlace
from packetfs.vm.maps import entries
from packetfs.vm.program import MapDefinition


class ArrayReduction:
    """The reduction of an array so far: its bytes, as they lie in a microVM."""

    def __init__(self, place: MapPlace, definition: MapDefinition) -> None:
        self._place = place
        self._definition = definition
        self.memory: bytearray | None = None

    def add(self, maps: memoryview, slot: int, count: int, maps_bytes: int) -> None:
        """Reduce the maps of `count` microVMs from `slot` on, in order."""
        start = slot * maps_bytes + self._place.offset
        size = self._place.size
        if self.memory is None:
            self.memory = bytearray(maps[start : start + size])
            start, count = start + maps_bytes, count - 1
        if count:
            self._reduce(maps[start : start + (count - 1) * maps_bytes + size], count, maps_bytes)

    def merge(self, more: ArrayReduction) -> None:
        """Reduce what the shards that follow were reduced to."""
        if self.memory is None:
            self.memory = None if more.memory is None else bytearray(more.memory)
        elif more.memory is not None:
            self._reduce(memoryview(more.memory), 1, 0)

    def _reduce(self, values: memoryview, count: int, stride: int) -> None:
        # LAST and FIRST take values whose size is no multiple of the width: they are copied whole.
        width = self._definition.width if self._place.size % self._definition.width == 0 else 1
        reduce_array(memoryview(self.memory or b""), values, count, stride, self._definition.reducer, width)

    def pack(self) -> bytes:
        """Return it as bytes."""
        return bytes(self.memory or b"")

    def unpack(self, data: bytes) -> None:
        """Be what `pack` gave; ValueError for what it cannot have given."""
        if len(data) not in (0, self._place.size):
            raise ValueError(f"{len(data)} bytes of an array of {self._place.size}")
        self.memory = bytearray(data) if data else None

    def entries(self) -> Entries:
        """Return (index, value) of what is not all zero."""
        place, memory = self._place, self.memory or b""
        listed = partial(entries, replace(place, offset=0), memoryview(memory))
        return Entries(listed, memory, place.value_size, place.stride, None)


Reduction = ArrayReduction | HashReduction


def reductions(image: Image) -> dict[int, Reduction]:
    """Return an empty reduction for each map that has a result, by index."""
    found: dict[int, Reduction] = {}
    union = Union()
    for index, (place, definition) in enumerate(zip(image.maps, image.definitions, strict=True)):
        if place.read_only:
            continue
        if place.type in ARRAYS:
            found[index] = ArrayReduction(place, definition)
        elif place.type in HASHES:
            found[index] = HashReduction(place, definition, union)
    return found
