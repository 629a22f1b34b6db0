"""The new tree as a receiver without a common root gets it: paths, entries, and the 8-byte ids of the extents.

Ids are prefixes of digests: they find what the receiver holds, and the root that an entry names decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from packetfs.limits import BATCH_CONTROL
from packetfs.net.items import PathReader, PathWriter, base_name
from packetfs.net.packed import pack_entry, unpack_entry
from packetfs.net.varint import Cursor, write_varint
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import produces

ID = 8
"""Bytes of an extent id: among 2**32 extents two share one with a chance of 1/2, and then a root tells."""


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
    pieces: tuple[Piece, ...]


def pieces_of(leaves: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
    """Yield the whole extents of a file's program."""
    for offset, leaf in leaves:
        if leaf[0] == Op.COPY:
            yield Piece(offset, produces(leaf), leaf[16 : 16 + ID])


class ListingWriter:
    """Writes records and hands them over in blocks."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._paths = PathWriter()
        self._out = bytearray()
        self.count = 0

    def add(self, path: bytes, entry: Entry, pieces: Iterable[Piece]) -> None:
        self._paths.write(self._out, path)
        pack_entry(self._out, entry)
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


class ListingReader:
    """Reads the blocks of ListingWriter."""

    def __init__(self) -> None:
        self._paths = PathReader()

    def read(self, records: bytes) -> Iterator[Listed]:
        cursor = Cursor(records)
        while not cursor.done:
            path = self._paths.read(cursor)
            entry = unpack_entry(cursor, base_name(path))
            yield Listed(path, entry, tuple(self._pieces(cursor)))

    def _pieces(self, cursor: Cursor) -> Iterator[Piece]:
        end = 0
        for _ in range(cursor.varint(cursor.end - cursor.at + 1)):
            offset = end + cursor.varint()
            end = offset + cursor.varint(1 << 32)
            yield Piece(offset, end - offset, cursor.take(ID))


class Bits:
    """A growing bitmap; bits beyond its end are 0."""

    __slots__ = ("count", "data")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.count = 0

    def append(self, bit: bool) -> None:
        if self.count >> 3 >= len(self.data):
            self.data.append(0)
        if bit:
            self.data[self.count >> 3] |= 1 << (self.count & 7)
        self.count += 1

    def __getitem__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self.data) and bool(self.data[at] >> (number & 7) & 1)
