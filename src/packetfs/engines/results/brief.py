"""Maps memory of a microVM that has ended, as it is remembered: hash tables as columns, without the index and the room
that only programs need, which are most of what they take.

    how many keys each table has, u64 each; all that is no table, as it lies; the columns of each table, in whole words
"""

from __future__ import annotations

from struct import pack, unpack

from packetfs.engines.results.columns import EMPTY, Columns, is_rising, lay
from packetfs.engines.results.narrow import Words
from packetfs.engines.results.tables import HEADER, columns_of, entries_at, kind_of
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, Iterator
from packetfs.vm.image import HASHES, Image, MapPlace, up

_WORD: Final = 8
_ZEROS: Final = bytes(1 << 16)


def brief(image: Image, maps: memoryview) -> Buffer:
    """Return maps memory as it is remembered."""
    counts: list[int] = []
    rest, found, behind = list[Buffer](), list[Buffer](), 0
    for index in _tables(image):
        place = image.maps[index]
        held = columns_of(place, kind_of(image.definitions[index]), maps)
        counts.append(len(held.keys) // place.key_size)
        rest.append(maps[behind : place.offset])
        behind = place.offset + place.size
        for column in (held.keys, held.values):
            found += column, bytes(-len(column) % _WORD)
    return b"".join((pack(f"<{len(counts)}Q", *counts), *rest, maps[behind:], *found)) if counts else maps


class Brief:
    """What `brief` gave, as words that stay narrow: many of these wait for those before them."""

    def __init__(self, image: Image, words: Words) -> None:
        """ValueError for words that it cannot have given."""
        self._image = image
        self.words = words
        """Those of an array are at `start`."""
        self._tables = _tables(image)
        self._front = _WORD * len(self._tables)
        self._places: dict[int, tuple[int, int]] = {}
        """Where the columns of a table begin, and how many keys it has, by where its memory lies."""
        at = self._front + image.maps_bytes - sum(image.maps[index].size for index in self._tables)
        counts = unpack(f"<{len(self._tables)}Q", words.part(0, self._front)) if self._tables else ()
        for index, count in zip(self._tables, counts, strict=True):
            place = image.maps[index]
            self._places[place.offset] = at, count
            at += up(count * place.key_size) + up(count * place.value_size)
            if count > place.max_entries or at > len(words) or not is_rising(self.columns(place).keys, place.key_size):
                raise ValueError("this is no hash table of this program")
        if at != len(words):
            raise ValueError("these are no maps of this program")

    def start(self, place: MapPlace) -> int:
        """Return the byte of the words at which an array begins."""
        before = (self._image.maps[index] for index in self._tables)
        return self._front + place.offset - sum(each.size for each in before if each.offset < place.offset)

    def columns(self, place: MapPlace) -> Columns:
        """Return what a hash table holds."""
        at, count = self._places[place.offset]
        if not count:
            return EMPTY
        keys, middle = count * place.key_size, up(count * place.key_size)
        both = memoryview(self.words.part(at, middle + up(count * place.value_size)))
        return Columns(both[:keys], both[middle : middle + count * place.value_size])

    def laid(self) -> Buffer:
        """Return the maps memory: that of tables without an index, in which nothing looks for keys any more."""
        if not self._tables:
            return self.words.widened()
        parts, at, behind = list[Buffer](), self._front, 0
        for index in self._tables:
            place = self._image.maps[index]
            parts += self.words.part(at, place.offset - behind), *self._laid(place)
            at, behind = at + place.offset - behind, place.offset + place.size
        return b"".join((*parts, self.words.part(at, self._image.maps_bytes - behind)))

    def _laid(self, place: MapPlace) -> Iterator[Buffer]:
        held = self.columns(place)
        entries = lay(held.keys, held.values, place.key_size, place.value_size)
        count = len(entries) // place.stride
        yield HEADER.pack(count, 0, count, 0)
        yield from _zeros(entries_at(place) - place.offset - HEADER.size)
        yield entries
        yield from _zeros(place.offset + place.size - entries_at(place) - len(entries))


def _tables(image: Image) -> list[int]:
    """Return the hash tables of each microVM, in the order in which they lie."""
    found = [index for index, place in enumerate(image.maps) if place.type in HASHES and not place.read_only]
    return sorted(found, key=lambda index: image.maps[index].offset)


def _zeros(count: int) -> list[bytes]:
    """Return so many zeros, in parts that share their memory."""
    return [_ZEROS] * (count // len(_ZEROS)) + [_ZEROS[: count % len(_ZEROS)]]
