"""Old content of a receiver: found by extent id for what is listed, and signed where no listed extent has it."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

from packetfs.errors import PacketFSError, Unverified
from packetfs.limits import RUNS_HELD_MAX
from packetfs.net.wire.listing import Listed, Piece, pieces_of
from packetfs.packet.digest import Digest
from packetfs.packet.growing import GrowingIndex
from packetfs.packet.tree import leaves
from packetfs.pool.pool import Pool
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.net.wire.signatures import Run

_OFFSET_BITS: Final = 40

Read = Callable[[int, int, int], bytes]
"""Reads an old file by its number: offset and length; fewer bytes, or an error, where they are not there."""


class OldFiles:
    """Files that are about to be replaced or removed, by number, in the order in which they were added."""

    def __init__(self, pool: Pool, read: Read) -> None:
        """`pool` has their programs, `read` their bytes."""
        self._pool = pool
        self._read = read
        self._roots: list[Digest] = []
        self._listed = GrowingIndex()
        self.lacking = 0
        """Bytes of listed pieces that were not found."""

    def add(self, root: Digest) -> None:
        """Add the next old file."""
        self._roots.append(root)

    def root(self, number: int) -> Digest:
        """Return the root of an old file."""
        return self._roots[number]

    def note(self, piece: Piece, *, held: bool) -> None:
        """Remember a piece that is listed: what has its id is not stale."""
        self._listed.put(piece.id, 0)
        self.lacking += 0 if held else piece.length

    def stale(self) -> StaleContent:
        """Return what no listed piece has, once all are known."""
        content = StaleContent(self._read)
        for number, root in enumerate(self._roots):
            with suppress(PacketFSError):  # whose program is damaged is of no use
                for piece in pieces_of(leaves(self._pool, root)):
                    if not self._listed.get(piece.id):
                        content.add(number, piece.offset, piece.length)
        return content


class FoundFiles(OldFiles):
    """Old files of a plain directory, whose extents are found by id in the files."""

    def __init__(self, pool: Pool, read: Read) -> None:
        super().__init__(pool, read)
        self._places = GrowingIndex()
        self._held: dict[bytes, list[tuple[Piece, int]]] = {}

    def add(self, root: Digest) -> None:
        number = len(self._roots)
        super().add(root)
        for piece in pieces_of(leaves(self._pool, root)):
            if piece.offset < 1 << _OFFSET_BITS:
                self._places.put(piece.id, number << _OFFSET_BITS | piece.offset)

    def match(self, listed: Listed) -> list[bool]:
        """Tell which pieces of a new file are held, and remember where."""
        held = []
        for piece in listed.pieces:
            found = self._places.get(piece.id)
            held.append(bool(found))
            if found:
                self._held.setdefault(listed.path, []).append((piece, found[0]))
            self.note(piece, held=held[-1])
        return held

    def open(self, path: bytes) -> HeldFile:
        """Return the new file `path` as far as its pieces are held."""
        places = {piece.offset: (piece.length, value) for piece, value in self._held.get(path, ())}
        return HeldFile(path, places, self._read_place)

    def _read_place(self, value: int, length: int) -> bytes:
        return self._read(value >> _OFFSET_BITS, value & (1 << _OFFSET_BITS) - 1, length)


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


class StaleContent:
    """Stretches of old files as one address space; neighbours in a file are one run."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._starts = array("Q")
        self._files = array("Q")
        self._offsets = array("Q")
        self.size = 0

    def add(self, number: int, offset: int, length: int) -> None:
        """Append a stretch of an old file."""
        if not self._continues(number, offset):
            if len(self._starts) >= RUNS_HELD_MAX:
                return
            self._starts.append(self.size)
            self._files.append(number)
            self._offsets.append(offset)
        self.size += length

    def _continues(self, number: int, offset: int) -> bool:
        if not self._starts or self._files[-1] != number:
            return False
        return self._offsets[-1] + self.size - self._starts[-1] == offset

    @property
    def runs(self) -> list[Run]:
        """Return where each run begins and its length."""
        return [(start, end - start) for start, end in pairwise([*self._starts, self.size])]

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes from `offset` on, to the end of its run at the most."""
        run = bisect_right(self._starts, offset) - 1
        if run < 0 or offset >= self.size:
            return b""
        end = self._starts[run + 1] if run + 1 < len(self._starts) else self.size
        return self._read(self._files[run], self._offsets[run] + offset - self._starts[run], min(length, end - offset))

    def pieces(self, start: int, length: int, size: int) -> Iterator[bytes]:
        """Yield a stretch in pieces of `size` bytes; what cannot be read any more comes as zeros."""
        for at in range(start, start + length, size):
            wanted = min(size, start + length - at)
            try:
                data = self.read(at, wanted)
            except (OSError, PacketFSError):
                data = b""
            yield data + bytes(wanted - len(data))
