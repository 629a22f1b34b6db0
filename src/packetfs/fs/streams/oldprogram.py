"""The segments of the program that a file had before, as far as an ingest looks ahead in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.fs.nodes import lowest_nodes
from packetfs.packet.digest import Digest
from packetfs.packet.layout import HEADER, PACKET, Op
from packetfs.packet.tree import Store, leaves, produces, read_head
from packetfs.typing import Final

_BEHIND: Final = 64
"""Segments kept behind the place, so that a step back finds them: no 13/8 of a mean hold more."""
_AHEAD: Final = 64
_FILL: Final = int(Op.FILL)
_AHEAD_STEP: Final = 4
_HELD_MAX: Final = 4096
"""Segments held: 64 are looked at after a difference and 4 more for each new chunk that is not among them, until these
stand for 256 MiB (1 MiB of memory); the oldest then go."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One leaf of a file's program: `digest` for an extent, `data` for bytes in the leaf, else a run of `byte`."""

    start: int
    length: int
    leaf: bytes
    digest: Digest | None = None
    data: bytes = b""
    byte: int = -1


class OldProgram:
    """A place among the segments of a canonical program, and a way to find it again by a chunk's digest."""

    def __init__(self, store: Store, root: Digest | None) -> None:
        self._store = store
        self._root = root
        self._source = iter(()) if root is None else _segments(store, root)
        self._nodes = iter(()) if root is None else _nodes(store, root)
        self._node: tuple[int, bytes] | None = (-1, b"")
        self._held: deque[Segment] = deque()
        self._first = 0
        self._at = 0
        self._places: dict[Digest, int] = {}

    @classmethod
    def load(cls, store: Store, root: Digest | None, mean: int) -> OldProgram:
        """Return the program at its start; an empty one where there is none, or it was cut by another mean."""
        try:
            same = root is not None and read_head(store, root).mean == mean
        except PacketFSError:
            same = False
        return cls(store, root if same else None)

    def current(self) -> Segment | None:
        """Return the segment at the place, None behind the last."""
        while self._at - self._first >= len(self._held):
            if not self._load():
                return None
        return self._held[self._at - self._first]

    def advance(self) -> None:
        """Go on to the next segment."""
        self._at += 1
        while self._at - self._first > _BEHIND:
            self._drop()

    def go_back(self, count: int) -> None:
        """Step back over segments just passed."""
        self._at = max(self._at - count, self._first)

    def find(self, digest: Digest) -> bool:
        """Go behind the chunk of this digest, if it is near."""
        place = self._places.get(digest)
        ahead = self._first + len(self._held) - self._at
        for _ in range(_AHEAD_STEP if ahead >= _AHEAD else _AHEAD - ahead):
            if place is not None or not self._load():
                break
            place = self._places.get(digest)
        if place is None:
            return False
        self._at = place
        self.advance()
        return True

    def spanning(self, start: int, end: int) -> list[Segment]:
        """Return the segments that reach into [start, end), as far as those before are held still."""
        for _ in range(_AHEAD):
            last = self._held[-1] if self._held else None
            if (last is not None and last.start + last.length >= end) or not self._load():
                break
        return [one for one in self._held if one.start < end and one.start + one.length > start]

    def align(self, offset: int) -> bool:
        """Go forward to the segment that starts at an offset, if one does."""
        while (segment := self.current()) is not None and segment.start < offset:
            self.advance()
        return segment is not None and segment.start == offset

    def plain_node(self, offset: int) -> bytes | None:
        """Return the TREE packet of the node that starts at an offset, if there is one and it holds no runs."""
        while self._node is not None and self._node[0] < offset:
            self._node = next(self._nodes, None)
        if self._node is None or self._node[0] != offset:
            return None
        packet = self._node[1]
        try:
            ops = self._store.read(Digest(packet[HEADER : HEADER + 32]))[::PACKET]
        except PacketFSError:
            return None
        return None if _FILL in ops else packet

    def restart(self, offset: int) -> None:
        """Go to the segment that starts at an offset, without looking at those before."""
        self._held.clear()
        self._places.clear()
        self._first = self._at = 0
        self._source = iter(()) if self._root is None else _segments(self._store, self._root, offset)

    def _load(self) -> bool:
        segment = next(self._source, None)
        if segment is None:
            return False
        if segment.digest is not None:
            self._places.setdefault(segment.digest, self._first + len(self._held))
        self._held.append(segment)
        if len(self._held) > _HELD_MAX:
            self._drop()
            self._at = max(self._at, self._first)
        return True

    def _drop(self) -> None:
        gone = self._held.popleft()
        if gone.digest is not None and self._places.get(gone.digest) == self._first:
            del self._places[gone.digest]
        self._first += 1


def _nodes(store: Store, root: Digest) -> Iterator[tuple[int, bytes]]:
    try:
        yield from lowest_nodes(store, root)
    except PacketFSError:
        return


def _segments(store: Store, root: Digest, start: int = 0) -> Iterator[Segment]:
    """Yield what is readable: a damaged program ends early, and the rest of the file is cut anew."""
    try:
        for at, leaf in leaves(store, root, start):
            yield _segment(at, leaf)
    except PacketFSError:
        return


def _segment(at: int, leaf: bytes) -> Segment:
    length = produces(leaf)
    if leaf[0] == Op.COPY:
        return Segment(at, length, leaf, Digest(leaf[HEADER : HEADER + 32]))
    if leaf[0] == Op.DATA:
        return Segment(at, length, leaf, data=leaf[HEADER : HEADER + length])
    return Segment(at, length, leaf, byte=leaf[HEADER])
