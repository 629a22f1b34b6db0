"""The segments of the program that a file had before, as far as an ingest looks ahead in them.

They come a node at a time and are held as they are stored; what did not change is taken over so, many together. A
segment is taken apart where somebody asks for that one alone. Digests are looked for behind a difference, and indexed
only then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import sub
from struct import Struct

from packetfs.errors import BadProgram, PacketFSError
from packetfs.fs.leaves import Leaves, Packed
from packetfs.fs.nodes import lowest_nodes
from packetfs.packet.digest import Digest
from packetfs.packet.fingerprint import FINGERPRINT
from packetfs.packet.layout import HEADER, PACKET, Op
from packetfs.packet.tree import Store, read_head
from packetfs.typing import Final, NamedTuple

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
_EXTENTS: Final = Struct("<B15x32s16x")
"""The op of a leaf, and the digest where it is that of an extent."""
_EXTENT: Final = bytes([_COPY])
_SEGMENTS: Final = bytes([_COPY, _DATA, _FILL])


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


class Stretch(NamedTuple):
    """Extents that lie side by side: where each begins, and where the last ends; their leaves and fingerprints."""

    starts: list[int]
    leaves: bytes
    prints: bytes

    @property
    def extents(self) -> int:
        """How many they are."""
        return len(self.starts) - 1

    def part(self, first: int, stop: int) -> Stretch:
        """Return the extents `first` to `stop - 1`."""
        leaves = self.leaves[first * PACKET : stop * PACKET]
        return Stretch(self.starts[first : stop + 1], leaves, self.prints[first * FINGERPRINT : stop * FINGERPRINT])

    def segment(self, number: int) -> Segment:
        """Return one of them."""
        start, leaf = self.starts[number], self.leaves[number * PACKET : (number + 1) * PACKET]
        known = self.prints[number * FINGERPRINT : (number + 1) * FINGERPRINT]
        digest = Digest(leaf[HEADER:_DIGEST_END])
        return Segment(start, self.starts[number + 1] - start, leaf, digest, b"", -1, known)


class OldProgram:
    """A place among the segments of a canonical program, and a way to find it again by a chunk's digest."""

    def __init__(self, store: Store, root: Digest | None, prints: bytes = b"") -> None:
        """`prints`: the fingerprints of its extents, in order, or nothing."""
        self._store = store
        self._root = root
        self._source = iter(()) if root is None else _nodes_of(store, root, 0)
        self._nodes = iter(()) if root is None else _nodes(store, root)
        self._node: tuple[int, bytes] | None = (-1, b"")
        self._leaves = bytearray()
        """Those that are held, and where each begins; last, where the last one ends."""
        self._starts: list[int] = [0]
        self._known = bytearray()
        """Not 0 for each whose fingerprint is known."""
        self._prints = bytearray()
        """The fingerprints, zeros where one is not known; nothing where there are none at all."""
        self._coming = memoryview(prints)[: len(prints) // FINGERPRINT * FINGERPRINT]
        """Those of the extents that are not held yet."""
        self._first = 0
        """The number of the first one that is held; the place, and so on, are numbers too."""
        self._at = 0
        self._made: tuple[int, Segment | None] = -1, None
        """The segment that was made last, and its number: who asks for the current one asks again."""
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
        if self._made[0] == self._at:
            return self._made[1]
        while self._at - self._first >= len(self._known):
            if not self._load():
                return None
        made = self._segment(self._at - self._first)
        self._made = self._at, made
        return made

    def is_at(self, offset: int) -> bool:
        """Tell whether there is a current segment, and it starts at an offset."""
        while self._at - self._first >= len(self._known):
            if not self._load():
                return False
        return self._starts[self._at - self._first] == offset

    def extents(self, most: int, *, printed: bool) -> Stretch:
        """Return the next segments that are held, as far as they are extents; `printed`: with known fingerprints."""
        place = self._at - self._first
        stop = self._extents_end(place, min(place + most, len(self._known)))
        unknown = self._known.find(0, place, stop) if printed else -1
        return self._stretch(place, stop if unknown < 0 else unknown)

    def until(self, start: int, longest: int) -> Stretch:
        """Return the next extents that are held and begin at `start` or before, as far as none is too long."""
        place = self._at - self._first
        stop = self._extents_end(place, bisect_right(self._starts, start, place, len(self._known)))
        found = self._stretch(place, stop)
        lengths = list(map(sub, found.starts[1:], found.starts))
        if lengths and max(lengths) > longest:
            return found.part(0, next(number for number, length in enumerate(lengths) if length > longest))
        return found

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
        while self._first + len(self._known) < self._seen and self._load():
            if len(self._known) > _HELD_MAX:
                self._drop(len(self._known) - _HELD_MAX)
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
        return self._starts[self._at - self._first - 1]

    def spanning(self, start: int, end: int) -> list[Segment]:
        """Return the segments that reach into [start, end), as far as those before are held still."""
        while self._starts[-1] < end:
            if not self._load():
                break
        count = len(self._known)
        first = max(bisect_right(self._starts, start, 0, count) - 1, 0)
        stop = bisect_left(self._starts, end, first, count)
        return [self._segment(place) for place in range(first, stop) if self._starts[place + 1] > start]

    def align(self, offset: int) -> bool:
        """Go forward to the segment that starts at an offset, if one does."""
        while (current := self.current()) is not None and current.start < offset:
            place = bisect_left(self._starts, offset, self._at - self._first, len(self._known))
            self.advance(self._first + place - self._at)
        return current is not None and current.start == offset

    def meet(self, offset: int) -> bool:
        """Go to the segment that starts at an offset, if it is one of those that are held."""
        place = bisect_left(self._starts, offset, 0, len(self._known))
        if place == len(self._known) or self._starts[place] != offset:
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
        for held in self._leaves, self._known, self._prints, self._places:
            held.clear()
        self._starts, self._made = [0], (-1, None)
        self._first = self._at = self._seen = self._indexed = 0
        self._coming = self._coming[:0]
        self._source = iter(()) if self._root is None else _nodes_of(self._store, self._root, offset)

    def _segment(self, place: int) -> Segment:
        start = self._starts[place]
        length = self._starts[place + 1] - start
        leaf = bytes(self._leaves[place * PACKET : (place + 1) * PACKET])
        if leaf[0] == _COPY:
            known = self._prints[place * FINGERPRINT : (place + 1) * FINGERPRINT] if self._known[place] else b""
            return Segment(start, length, leaf, Digest(leaf[HEADER:_DIGEST_END]), print=bytes(known))
        if leaf[0] == _DATA:
            return Segment(start, length, leaf, data=leaf[HEADER : HEADER + length])
        return Segment(start, length, leaf, byte=leaf[HEADER])

    def _extents_end(self, place: int, stop: int) -> int:
        """Return where the extents end that are side by side from a place on, or `stop`."""
        ops = self._leaves[place * PACKET : stop * PACKET : PACKET]
        return place + len(ops) - len(ops.lstrip(_EXTENT))

    def _stretch(self, first: int, stop: int) -> Stretch:
        leaves = bytes(self._leaves[first * PACKET : stop * PACKET])
        prints = bytes(self._prints[first * FINGERPRINT : stop * FINGERPRINT])
        return Stretch(self._starts[first : stop + 1], leaves, prints)

    def _load(self) -> bool:
        """Hold those of one more node; False behind the last."""
        more = next(self._source, None)
        if more is None:
            return False
        base, starts, leaves = more
        self._starts[-1:] = [base + start for start in starts]
        self._leaves += leaves
        ops = leaves[::PACKET]
        if len(self._coming) >= len(ops) * FINGERPRINT and not ops.strip(_EXTENT):
            self._known += _EXTENT * len(ops)
            self._prints += self._coming[: len(ops) * FINGERPRINT]
            self._coming = self._coming[len(ops) * FINGERPRINT :]
            return True
        for op in ops if self._coming else b"":
            known = self._coming[:FINGERPRINT] if op == _COPY else b""
            self._known.append(bool(known))
            self._prints += known or bytes(FINGERPRINT)
            self._coming = self._coming[len(known) :]
        self._known += bytes(len(self._leaves) // PACKET - len(self._known))
        return True

    def _index(self) -> None:
        """Give each digest that is held its place, the first of several."""
        start = max(self._indexed, self._first)
        places = self._places
        for place, digest in self._digests(start - self._first, len(self._known)):
            places.setdefault(digest, place)
        self._indexed = self._first + len(self._known)

    def _digests(self, first: int, stop: int) -> Iterator[tuple[int, Digest]]:
        """Yield the extents among some that are held: number and digest."""
        leaves = memoryview(self._leaves)[first * PACKET : stop * PACKET]
        for place, (op, digest) in enumerate(_EXTENTS.iter_unpack(leaves), self._first + first):
            if op == _COPY:
                yield place, digest

    def _drop(self, count: int) -> None:
        """Give up the oldest segments."""
        count = min(count, len(self._known))
        places = self._places
        for place, digest in list(self._digests(0, min(max(self._indexed - self._first, 0), count))):
            if places.get(digest) == place:
                del places[digest]
        del self._leaves[: count * PACKET], self._known[:count], self._prints[: count * FINGERPRINT]
        del self._starts[:count]
        self._first += count
        self._at = max(self._at, self._first)


def _nodes(store: Store, root: Digest) -> Iterator[tuple[int, bytes]]:
    try:
        yield from lowest_nodes(store, root)
    except PacketFSError:
        return


def _nodes_of(store: Store, root: Digest, start: int) -> Iterator[Packed]:
    """Yield what is readable, node by node: a damaged program ends early, and the rest of the file is cut anew."""
    try:
        found = Leaves(store)
        for base, starts, leaves in found.packed(root, start, found.size(root)):
            if leaves[::PACKET].strip(_SEGMENTS):
                raise BadProgram(root="of a file", reason="a leaf is no part of one")
            yield base, starts, leaves
    except PacketFSError:
        return
