"""The segments of the program that a file had before, as far as an ingest looks ahead in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.packet.digest import Digest
from packetfs.packet.layout import HEADER, Op
from packetfs.packet.tree import Store, leaves, produces, read_head

_BEHIND: Final = 64
"""Segments kept behind the place, so that a step back finds them: no 13/8 of a mean hold more."""
_AHEAD: Final = 64
_AHEAD_STEP: Final = 4
_HELD_MAX: Final = 4096
"""Segments held: 64 are looked at after a difference and 4 more for each new chunk that is not among them, until these
stand for 256 MiB (1 MiB of memory); the oldest then go."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One leaf of a file's program: `digest` for an extent, `data` for bytes in the leaf, else a run of `byte`."""

    length: int
    leaf: bytes
    digest: Digest | None = None
    data: bytes = b""
    byte: int = -1


class OldProgram:
    """A place among the segments of a canonical program, and a way to find it again by a chunk's digest."""

    def __init__(self, segments: Iterator[Segment]) -> None:
        self._source = segments
        self._held: deque[Segment] = deque()
        self._first = 0
        self._at = 0
        self._places: dict[Digest, int] = {}

    @classmethod
    def load(cls, store: Store, root: Digest | None, mean: int) -> OldProgram:
        """Return the program at its start; an empty one where there is none, or it was cut by another mean."""
        if root is None:
            return cls(iter(()))
        try:
            same = read_head(store, root).mean == mean
        except PacketFSError:
            same = False
        return cls(_segments(store, root) if same else iter(()))

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


def _segments(store: Store, root: Digest) -> Iterator[Segment]:
    """Yield what is readable: a damaged program ends early, and the rest of the file is cut anew."""
    try:
        for _, leaf in leaves(store, root):
            yield _segment(leaf)
    except PacketFSError:
        return


def _segment(leaf: bytes) -> Segment:
    length = produces(leaf)
    if leaf[0] == Op.COPY:
        return Segment(length, leaf, Digest(leaf[HEADER : HEADER + 32]))
    if leaf[0] == Op.DATA:
        return Segment(length, leaf, data=leaf[HEADER : HEADER + length])
    return Segment(length, leaf, byte=leaf[HEADER])
