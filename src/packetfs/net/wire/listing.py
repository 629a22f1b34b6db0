"""The new tree as a receiver without a common root gets it: paths, entries, and the 8-byte ids of the extents.

Ids are prefixes of digests: they find what the receiver holds, and the root that an entry names decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice

from packetfs.dataclass import dataclass
from packetfs.errors import BadMessage
from packetfs.limits import BATCH_CONTROL, COPIED_MAX, EXTENT_MAX, PIECES_MAX
from packetfs.net.wire.items import PathReader, PathWriter, base_name
from packetfs.net.wire.packed import pack_entry, read_entry
from packetfs.net.wire.varint import Cursor, write_varint
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import produces

ID = 8
"""Bytes of an extent id: among 2**32 extents two share one with a chance of 1/2, and then a root tells."""
_PIECE_MIN = ID + 2
"""Bytes of a piece in a record at the least."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One extent of a listed file: where it begins in the file, its bytes and its id."""

    offset: int
    length: int
    id: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """One name of the new tree; `pieces` only for files."""

    path: bytes
    entry: Entry
    pieces: Collection[Piece]


def pieces_of(leaves: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
    """Yield the whole extents of a file's program, as many as a listing names."""
    copies = ((offset, leaf) for offset, leaf in leaves if leaf[0] == Op.COPY)
    for offset, leaf in islice(copies, PIECES_MAX):
        yield Piece(offset, produces(leaf), leaf[16 : 16 + ID])


class ListingWriter:
    """Writes records and hands them over in blocks."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._paths = PathWriter()
        self._out = bytearray()
        self.count = 0

    def add(self, path: bytes, entry: Entry, pieces: Iterable[Piece], *, whole: bool = False) -> None:
        """Write one name; `whole`: a directory that stands for all that is below it, which is not listed."""
        self._paths.write(self._out, path)
        pack_entry(self._out, entry, whole=whole)
        found = list(pieces)
        write_varint(self._out, len(found))
        end = 0
        for piece in found:
            write_varint(self._out, piece.offset - end)
            write_varint(self._out, piece.length)
            self._out += piece.id
            end = piece.offset + piece.length
        self.count += 1
        if len(self._out) >= BATCH_CONTROL:
            self.flush()

    def flush(self) -> None:
        if self._out:
            self._send(bytes(self._out))
            self._out = bytearray()


class Pieces(Collection[Piece]):
    """The pieces of a listed file as they came: ten bytes each, where objects would take 200."""

    __slots__ = ("_count", "_data")

    def __init__(self, data: bytes, count: int) -> None:
        self._data = data
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __contains__(self, piece: object) -> bool:
        return any(piece == own for own in self)

    def __iter__(self) -> Iterator[Piece]:
        return _read_pieces(Cursor(self._data), self._count, COPIED_MAX)


def _read_pieces(cursor: Cursor, count: int, size: int) -> Iterator[Piece]:
    """Yield pieces that follow each other inside a file of `size` bytes, none longer than an extent can be."""
    end = 0
    for _ in range(count):
        offset = end + cursor.varint()
        end = offset + cursor.varint(EXTENT_MAX + 1)
        if offset == end or end > size:
            raise BadMessage(reason="a piece of a file that is empty or beyond its end")
        yield Piece(offset, end - offset, cursor.take(ID))


class ListingReader:
    """Reads the blocks of ListingWriter."""

    def __init__(self) -> None:
        self._paths = PathReader()

    def read(self, records: bytes) -> Iterator[Listed]:
        cursor = Cursor(records)
        while not cursor.done:
            path = self._paths.read(cursor)
            entry = read_entry(cursor, base_name(path), whole=True)
            yield Listed(path, entry, self._pieces(cursor, entry))

    def _pieces(self, cursor: Cursor, entry: Entry) -> Pieces:
        """Return the pieces of an entry, each looked at once before any is used."""
        count = cursor.varint((cursor.end - cursor.at) // _PIECE_MIN + 1)
        if count and not entry.is_file:
            raise BadMessage(reason="pieces of something that is no file")
        start = cursor.at
        for _ in _read_pieces(cursor, count, entry.size):
            pass
        return Pieces(bytes(cursor.data[start : cursor.at]), count)


class Bits:
    """A growing bitmap; bits beyond its end are 0."""

    __slots__ = ("count", "data")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.count = 0

    @property
    def population(self) -> int:
        """Return how many bits are set."""
        return int.from_bytes(self.data, "little").bit_count()

    def set(self, number: int, count: int = 1) -> None:
        """Set bits, whatever was appended."""
        self.data += bytes(max(0, (number + count + 7 >> 3) - len(self.data)))
        for at in range(number, number + count):
            self.data[at >> 3] |= 1 << (at & 7)

    def append(self, bit: bool) -> None:
        if self.count >> 3 >= len(self.data):
            self.data.append(0)
        if bit:
            self.data[self.count >> 3] |= 1 << (self.count & 7)
        self.count += 1

    def __getitem__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self.data) and bool(self.data[at] >> (number & 7) & 1)
