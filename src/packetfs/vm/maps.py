"""Maps in the memory of a microVM: arrays, and hash tables with open addressing and a free list.

A hash table is a header (count, free, high, removed), an index of `capacity` words, and entries (next free, low bits of
the hash, key, value). An index word is 0 (empty, ends a probe), entry + 1, or more than max_entries (removed). A free
entry says entry + 1 of the next free one, or LAST; a held one says 0. The program can write all of this itself, so
nothing here trusts it: every number is bounded before it is used, and every probe ends after `capacity` steps.
"""

from __future__ import annotations

from struct import Struct

from packetfs.dataclass import dataclass, field
from packetfs.packet.layout import Buffer
from packetfs.typing import Any, Final, Iterable, Iterator
from packetfs.vm.context import GOLDEN
from packetfs.vm.image import ARRAYS, HASH_HEADER, HASHES, MapPlace, entry_value, up

NO_ENTRY: Final = -2
"""-ENOENT: the key is not there."""
TOO_BIG: Final = -7
"""-E2BIG: no room, or an index beyond the array."""
EXISTS: Final = -17
"""-EEXIST: the key is there, and only a new one is wanted."""
INVALID: Final = -22
"""-EINVAL: the map or the flags do not allow it."""
NEW, HELD = 1, 2
"""Flags of an update: the key must not be there, or must be."""

REMOVED: Final = 0xFFFFFFFF
LAST: Final = 0xFFFFFFFF
_M64: Final = (1 << 64) - 1
_M32: Final = (1 << 32) - 1
_WORD: Final = Struct("<I")
_COUNT, _FREE, _HIGH, _REMOVED = 0, 4, 8, 12


@dataclass(slots=True)
class Effort:
    """What work on maps cost: `words` of hash tables' indices that were looked at or written anew."""

    words: int = 0


def lookup(place: MapPlace, memory: memoryview, key: Buffer, effort: Effort) -> int:
    """Return the offset of the value in `memory` (the map's region), or -1."""
    if place.type in ARRAYS:
        index = int.from_bytes(key, "little")
        return place.offset + index * place.stride if index < place.max_entries else -1
    if place.type not in HASHES:
        return -1
    table = HashTable(place, memory, effort)
    at = table.find(bytes(key))
    return table.entry(at[1]) + entry_value(place) if at else -1


def update(place: MapPlace, memory: memoryview, key: Buffer, value: Buffer, flags: int, effort: Effort) -> int:
    """Set a value; return 0 or a negative errno. The caller has refused read-only maps, rings and unknown flags."""
    if place.type in ARRAYS:
        at = lookup(place, memory, key, effort)
        if at < 0 or flags == NEW:
            return TOO_BIG if at < 0 else EXISTS
        memory[at : at + place.value_size] = value
        return 0
    return HashTable(place, memory, effort).update(bytes(key), bytes(value), flags)


def delete(place: MapPlace, memory: memoryview, key: Buffer, effort: Effort) -> int:
    """Remove a key from a hash table; return 0 or NO_ENTRY."""
    return HashTable(place, memory, effort).delete(bytes(key))


def entries(place: MapPlace, memory: memoryview) -> Iterable[tuple[bytes, bytes]]:
    """Return key and value of every entry that is held; those of arrays that are not all zero, by index (u32)."""
    if place.type in ARRAYS:
        size, zero = place.value_size, bytes(place.value_size)
        values = Struct(f"{size}s{place.stride - size}x").iter_unpack(memory[place.offset : place.offset + place.size])
        return [(_WORD.pack(index), value) for index, (value,) in enumerate(values) if value != zero]
    return HashTable(place, memory).held() if place.type in HASHES else ()


def hash_of(key: bytes) -> int:
    """Return the 64-bit hash of a key: its words, zero padded, each mixed in by a multiplication and a shift.

    The last round has no word: without it, keys that differ only in the last bytes of a word would share low bits.
    """
    h, padded = 0, key.ljust(up(len(key)), b"\0")
    for at in range(0, len(padded), 8):
        h = (h ^ int.from_bytes(padded[at : at + 8], "little")) * GOLDEN & _M64
        h ^= h >> 32
    h = h * GOLDEN & _M64
    return h ^ h >> 32


@dataclass(frozen=True, slots=True)
class HashTable:
    """One hash table in the memory of a region."""

    place: MapPlace
    memory: memoryview
    effort: Effort = field(default_factory=Effort)

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Return index position and entry of a key."""
        h = hash_of(key)
        for position, word in self._probe(h):
            self.effort.words += 1
            if word == 0:
                return None
            if word <= self.place.max_entries and self._is(word - 1, h & _M32, key):
                return position, word - 1
        return None

    def update(self, key: bytes, value: bytes, flags: int) -> int:
        at = self.find(key)
        if at and flags == NEW:
            return EXISTS
        if not at and flags == HELD:
            return NO_ENTRY
        if at:
            self._set_value(at[1], value)
            return 0
        return self._insert(key, value)

    def delete(self, key: bytes) -> int:
        at = self.find(key)
        if not at:
            return NO_ENTRY
        position, entry = at
        self._set(self._index(position), REMOVED)
        self._add(_COUNT, -1)
        self._add(_REMOVED, 1)
        self._set_entry(entry, self._header(_FREE) or LAST)
        self._set_header(_FREE, entry + 1)
        return 0

    def held(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values by entry."""
        yield from self.rows(f"{self.place.value_size}s")

    def rows(self, value: str) -> Iterator[tuple[bytes, Any]]:
        """Yield keys, and values as struct's `value` has them. Rows are unpacked at once: jobs reduce many tables."""
        place, start = self.place, self.entry(0)
        padding = up(place.key_size) - place.key_size, up(place.value_size) - place.value_size
        row = Struct(f"<I4x{place.key_size}s{padding[0]}x{value}{padding[1]}x")
        used = min(self._header(_HIGH), place.max_entries)
        found = row.iter_unpack(self.memory[start : start + used * place.stride])
        return ((key, number) for following, key, number in found if not following)

    def entry(self, entry: int) -> int:
        """Return where an entry lies in the region."""
        return self.place.offset + HASH_HEADER + up(4 * self.place.capacity) + entry * self.place.stride

    def _insert(self, key: bytes, value: bytes) -> int:
        free, high = self._header(_FREE), self._header(_HIGH)
        entry = free - 1 if free else high
        if self._header(_COUNT) >= self.place.max_entries or entry >= self.place.max_entries:
            return TOO_BIG
        if (self._header(_COUNT) + 1 + self._header(_REMOVED)) * 8 > self.place.capacity * 7:
            self._rebuild()
        h = hash_of(key)
        position = self._room(h)
        if position is None:
            return TOO_BIG
        self._take(entry, free)
        if self._word(self._index(position)) and self._header(_REMOVED):
            self._add(_REMOVED, -1)
        self._set(self._index(position), entry + 1)
        self._add(_COUNT, 1)
        self._set_entry(entry, 0, h & _M32)
        at = self.entry(entry) + 8
        self.memory[at : at + up(len(key))] = key.ljust(up(len(key)), b"\0")
        self._set_value(entry, value.ljust(up(len(value)), b"\0"))
        return 0

    def _take(self, entry: int, free: int) -> None:
        """Take the entry from the free list, or from what was never used."""
        if not free:
            self._add(_HIGH, 1)
            return
        following = self._word(self.entry(entry))
        self._set_header(_FREE, 0 if following == LAST else following)

    def _rebuild(self) -> None:
        """Forget what was removed: put the held entries into an empty index."""
        start = self._index(0)
        self.effort.words += self.place.capacity + min(self._header(_HIGH), self.place.max_entries)
        self.memory[start : start + 4 * self.place.capacity] = bytes(4 * self.place.capacity)
        self._set_header(_REMOVED, 0)
        for entry in self._held():
            position = next((p for p, word in self._probe(self._word(self.entry(entry) + 4)) if word == 0), None)
            if position is not None:
                self._set(self._index(position), entry + 1)

    def _held(self) -> Iterator[int]:
        used = min(self._header(_HIGH), self.place.max_entries)
        return (entry for entry in range(used) if self._word(self.entry(entry)) == 0)

    def _room(self, h: int) -> int | None:
        """Return the first index position of a probe that is empty or removed."""
        return next((p for p, word in self._probe(h) if word == 0 or word == REMOVED), None)

    def _probe(self, h: int) -> Iterator[tuple[int, int]]:
        mask = self.place.capacity - 1
        for step in range(self.place.capacity):
            position = (h + step) & mask
            yield position, self._word(self._index(position))

    def _is(self, entry: int, low: int, key: bytes) -> bool:
        at = self.entry(entry)
        return self._word(at + 4) == low and self.memory[at + 8 : at + 8 + len(key)] == key

    def _set_entry(self, entry: int, following: int, low: int | None = None) -> None:
        self._set(self.entry(entry), following)
        if low is not None:
            self._set(self.entry(entry) + 4, low)

    def _set_value(self, entry: int, value: bytes) -> None:
        at = self.entry(entry) + entry_value(self.place)
        self.memory[at : at + len(value)] = value

    def _index(self, position: int) -> int:
        return self.place.offset + HASH_HEADER + 4 * position

    def _header(self, field: int) -> int:
        return self._word(self.place.offset + field)

    def _set_header(self, field: int, value: int) -> None:
        self._set(self.place.offset + field, value)

    def _add(self, field: int, change: int) -> None:
        self._set_header(field, self._header(field) + change & _M32)

    def _word(self, at: int) -> int:
        return int(_WORD.unpack_from(self.memory, at)[0])

    def _set(self, at: int, value: int) -> None:
        _WORD.pack_into(self.memory, at, value)
