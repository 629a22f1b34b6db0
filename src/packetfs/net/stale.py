"""What a plain directory holds of a listed tree: its old files are cut and hashed, and asked for by extent id."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from packetfs.errors import Unverified
from packetfs.fs.ingest import ingest
from packetfs.net.listing import Listed, Piece, pieces_of
from packetfs.packet.digest import Digest
from packetfs.packet.slots import SLOT, SlotIndex
from packetfs.packet.tree import leaves
from packetfs.pool.pool import Pool

_OFFSET_BITS: Final = 40
_PLACES_MAX: Final = 4
"""Places remembered of one extent."""
_FIRST_SLOTS: Final = 1 << 12


class StaleExtents:
    """Extents of files that are about to be replaced, by id; the programs of those files go to `pool`."""

    def __init__(self, pool: Pool, open_read: Callable[[bytes], int]) -> None:
        self._pool = pool
        self._open_read = open_read
        self._paths: list[bytes] = []
        self._slots = SlotIndex(bytearray(SLOT * _FIRST_SLOTS))
        self._room = _FIRST_SLOTS * 2 // 3
        self._pairs = array("Q")
        self._held: dict[bytes, list[tuple[Piece, int]]] = {}

    def root_of(self, path: bytes) -> Digest:
        """Return the root of a file, reading all of it."""
        descriptor = self._open_read(path)
        try:
            return ingest(
                self._pool,
                lambda offset, view: os.preadv(descriptor, [view], offset),
                os.fstat(descriptor).st_size,
                keep=False,
            ).root
        finally:
            os.close(descriptor)

    def add(self, path: bytes, root: Digest) -> None:
        """Make the extents of a file findable."""
        number = len(self._paths)
        self._paths.append(path)
        for piece in pieces_of(leaves(self._pool, root)):
            if piece.offset < 1 << _OFFSET_BITS:
                self._put(piece.id, number << _OFFSET_BITS | piece.offset)

    def _put(self, key: bytes, value: int) -> None:
        if len(self._slots.get(key)) >= _PLACES_MAX:
            return
        if not self._room:
            self._grow()
        self._pairs.extend((int.from_bytes(key, "little"), value))
        with suppress(ValueError):  # one part of it is crowded: an extent that is not found is sent
            self._slots.put(key, value)
        self._room -= 1

    def _grow(self) -> None:
        slots = self._slots.capacity * 2
        self._slots = SlotIndex(bytearray(SLOT * slots))
        self._room = slots * 2 // 3 - len(self._pairs) // 2
        for at in range(0, len(self._pairs), 2):
            with suppress(ValueError):
                self._slots.put(self._pairs[at].to_bytes(8, "little"), self._pairs[at + 1])

    def match(self, listed: Listed) -> list[bool]:
        """Tell which pieces of a new file are held, and remember where."""
        held = []
        for piece in listed.pieces:
            found = self._slots.get(piece.id)
            held.append(bool(found))
            if found:
                self._held.setdefault(listed.path, []).append((piece, found[0]))
        return held

    def open(self, path: bytes) -> HeldFile:
        """Return the new file `path` as far as its pieces are held."""
        places = {piece.offset: (piece.length, value) for piece, value in self._held.get(path, ())}
        return HeldFile(path, places, self._read)

    def _read(self, value: int, length: int) -> bytes:
        descriptor = self._open_read(self._paths[value >> _OFFSET_BITS])
        try:
            return os.pread(descriptor, length, value & (1 << _OFFSET_BITS) - 1)
        finally:
            os.close(descriptor)


class HeldFile:
    """Reads pieces of a new file where old files have them; content is not checked here: the root is, in the end."""

    def __init__(self, path: bytes, places: dict[int, tuple[int, int]], read: Callable[[int, int], bytes]) -> None:
        self._path = path
        self._places = places
        self._read = read
        self._last: tuple[int, bytes] = (0, b"")

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes from `offset` on, to the end of its piece at the most."""
        start, data = self._last
        if not start <= offset < start + len(data):
            if offset not in self._places:
                raise Unverified(path=self._path)
            start, data = offset, self._read(self._places[offset][1], self._places[offset][0])
            self._last = (start, data)
        return data[offset - start : offset - start + length]
