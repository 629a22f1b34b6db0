"""The segments of the program that a file had before, as far as an ingest looks ahead in them.

They are made of a node at a time. Digests are looked for in them behind a difference alone, and indexed only then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise, takewhile
from operator import attrgetter
from struct import iter_unpack
from typing import NamedTuple

from packetfs.errors import BadProgram, PacketFSError
from packetfs.fs.leaves import Leaves
from packetfs.fs.nodes import lowest_nodes
from packetfs.packet.digest import Digest
from packetfs.packet.fingerprint import FINGERPRINT
from packetfs.packet.layout import HEADER, PACKET, Op
from packetfs.packet.tree import Store, read_head
from packetfs.typing import Final

_BEHIND: Final = 64
"""Segments kept behind the place, so that a step back finds them: no 13/8 of a mean hold more."""
_PASSED: Final = 1024
"""Segments behind the place until all but those go."""
_AHEAD: Final = 64
_AHEAD_STEP: Final = 4
_HELD_MAX: Final = 4096
"""Segments held: 64 are looked at after a difference and 4 more for each new chunk that is not among them, until these
stand for 256 MiB (1 MiB of memory); the oldest then go."""
_DIGEST_END: Final = HEADER + 32
_COPY: Final = int(Op.COPY)
_DATA: Final = int(Op.DATA)
_FILL: Final = int(Op.FILL)
_UNKNOWN: Final = (b"",)


start_of: Final = attrgetter("start")
_has_print: Final = attrgetter("print")


class Segment(NamedTuple):
    """One leaf of a file's program: `digest` for an extent, `data` for bytes in the leaf, else a run of `byte`."""

    start: int
    length: int
    leaf: bytes
    digest: Digest | None = None
    data: bytes = b""
    byte: int = -1
    print: bytes = b""
    """The fingerprint of an extent, where it is known."""


class OldProgram:
    """A place among the segments of a canonical program, and a way to find it again by a chunk's digest."""

    def __init__(self, store: Store, root: Digest | None, prints: bytes = b"") -> None:
        """`prints`: the fingerprints of its extents, in order, or nothing."""
        self._store = store
        self._root = root
        self._source = iter(()) if root is None else _segments(store, root, 0, prints)
        self._nodes = iter(()) if root is None else _nodes(store, root)
        self._node: tuple[int, bytes] | None = (-1, b"")
        self._held: list[Segment] = []
        self._first = 0
        """The number of the first one that is held; the place, and so on, are numbers too."""
        self._at = 0
        self._seen = 0
        """How far digests were looked for."""
        self._places: dict[Digest, int] = {}
        self._indexed = 0
        """Up to where the digests of those that are held have their places."""

    @classmethod
    def load(cls, store: Store, root: Digest | None, mean: int, prints: bytes = b"") -> OldProgram:
        """Return the program at its start; an empty one where there is none, or it was cut by another mean."""
        try:
            same = root is not None and read_head(store, root).mean == mean
        except PacketFSError:
            same = False
        return cls(store, root if same else None, prints)

    def current(self) -> Segment | None:
        """Return the segment at the place, None behind the last."""
        place = self._at - self._first
        while place >= len(self._held):
            if not self._load():
                return None
        return self._held[place]

    @property
    def place(self) -> int:
        """The number of the current segment."""
        return self._at

    def printed(self, most: int) -> list[Segment]:
        """Return the next segments that are held, as far as they are extents whose fingerprints are known."""
        return list(takewhile(_has_print, self.ahead(most)))

    def ahead(self, most: int) -> list[Segment]:
        """Return the next segments that are held."""
        place = self._at - self._first
        return self._held[place : place + most]

    def until(self, start: int, longest: int) -> list[Segment]:
        """Return the next extents that are held and begin at `start` or before, as far as none is too long."""
        place = self._at - self._first
        stop = bisect_right(self._held, start, place, key=start_of)
        return list(takewhile(lambda one: one.digest is not None and one.length <= longest, self._held[place:stop]))

    def advance(self, count: int = 1) -> None:
        """Go on to the next segment, or several further."""
        self._at += count
        if self._at - self._first > _PASSED:
            self._drop(self._at - self._first - _BEHIND)

    def go_back(self, count: int) -> None:
        """Step back over segments just passed."""
        self._at = max(self._at - count, self._first)

    def find(self, digest: Digest) -> bool:
        """Go behind the chunk of this digest, if it is near."""
        self._seen = max(self._seen + _AHEAD_STEP, self._at + _AHEAD)
        while self._first + len(self._held) < self._seen and self._load():
            if len(self._held) > _HELD_MAX:
                self._drop(len(self._held) - _HELD_MAX)
        self._index()
        place = self._places.get(digest)
        if place is None:
            return False
        self._at = place
        self.advance()
        return True

    @property
    def passed(self) -> int:
        """Where the segment just passed starts."""
        return self._held[self._at - self._first - 1].start

    def spanning(self, start: int, end: int) -> list[Segment]:
        """Return the segments that reach into [start, end), as far as those before are held still."""
        while not self._held or self._held[-1].start + self._held[-1].length < end:
            if not self._load():
                break
        first = max(bisect_right(self._held, start, key=start_of) - 1, 0)
        stop = bisect_left(self._held, end, first, key=start_of)
        return [one for one in self._held[first:stop] if one.start + one.length > start]

    def align(self, offset: int) -> bool:
        """Go forward to the segment that starts at an offset, if one does."""
        while (segment := self.current()) is not None and segment.start < offset:
            self.advance()
        return segment is not None and segment.start == offset

    def meet(self, offset: int) -> bool:
        """Go to the segment that starts at an offset, if it is one of those that are held."""
        place = bisect_left(self._held, offset, key=start_of)
        if place == len(self._held) or self._held[place].start != offset:
            return False
        self._at = self._first + place
        return True

    def node(self, offset: int) -> bytes | None:
        """Return the TREE packet of the node that starts at an offset, if there is one."""
        while self._node is not None and self._node[0] < offset:
            self._node = next(self._nodes, None)
        return None if self._node is None or self._node[0] != offset else self._node[1]

    def is_plain(self, node: bytes) -> bool:
        """Tell whether a node can be read, and holds no runs."""
        try:
            return _FILL not in self._store.read(Digest(node[HEADER:_DIGEST_END]))[::PACKET]
        except PacketFSError:
            return False

    def restart(self, offset: int) -> None:
        """Go to the segment that starts at an offset, without looking at those before."""
        self._held.clear()
        self._places.clear()
        self._first = self._at = self._seen = self._indexed = 0
        self._source = iter(()) if self._root is None else _segments(self._store, self._root, offset)

    def _load(self) -> bool:
        """Hold those of one more node; False behind the last."""
        more = next(self._source, None)
        if more is None:
            return False
        self._held += more
        return True

    def _index(self) -> None:
        """Give each digest that is held its place, the first of several."""
        start = max(self._indexed, self._first)
        for place, segment in enumerate(self._held[start - self._first :], start):
            if segment.digest is not None:
                self._places.setdefault(segment.digest, place)
        self._indexed = self._first + len(self._held)

    def _drop(self, count: int) -> None:
        """Give up the oldest segments."""
        for place, segment in enumerate(self._held[: max(self._indexed - self._first, 0)][:count], self._first):
            if segment.digest is not None and self._places.get(segment.digest) == place:
                del self._places[segment.digest]
        del self._held[:count]
        self._first += count
        self._at = max(self._at, self._first)


def _nodes(store: Store, root: Digest) -> Iterator[tuple[int, bytes]]:
    try:
        yield from lowest_nodes(store, root)
    except PacketFSError:
        return


def _segments(store: Store, root: Digest, start: int = 0, prints: bytes = b"") -> Iterator[list[Segment]]:
    """Yield what is readable, node by node: a damaged program ends early, and the rest of the file is cut anew."""
    try:
        found, known = Leaves(store), iter_unpack(f"{FINGERPRINT}s", prints[: len(prints) // FINGERPRINT * FINGERPRINT])
        for base, starts, packets in found.packed(root, start, found.size(root)):
            yield _segments_of(base, starts, packets, known)
    except PacketFSError:
        return


def _segments_of(base: int, starts: list[int], packets: bytes, prints: Iterator[tuple[bytes]]) -> list[Segment]:
    """Return the segments of one node, whose first one makes the bytes from `base + starts[0]` on."""
    found: list[Segment] = []
    at = 0
    for start, end in pairwise(starts):
        leaf = packets[at : at + PACKET]
        at += PACKET
        if leaf[0] == _COPY:
            (known,) = next(prints, _UNKNOWN)
            found.append(Segment(base + start, end - start, leaf, Digest(leaf[HEADER:_DIGEST_END]), b"", -1, known))
        elif leaf[0] == _DATA:
            found.append(Segment(base + start, end - start, leaf, data=leaf[HEADER : HEADER + end - start]))
        elif leaf[0] == _FILL:
            found.append(Segment(base + start, end - start, leaf, byte=leaf[HEADER]))
        else:
            raise BadProgram(root="of a file", reason="a leaf is no part of one")
    return found
