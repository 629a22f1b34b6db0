"""The exact difference between two programs as instructions: whole extents by digest, then bytes around what changed.

Extents that old and new share need neither reading nor hashing. What lies between them is a *gap*: its new bytes are
matched against the old bytes about where they should be, in bounded windows, by the match kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, starmap

from packetfs.dataclass import dataclass
from packetfs.errors import MissingExtent
from packetfs.limits import BATCH_CONTROL, BATCH_LITERALS, KIB, WINDOW_NEW, WINDOW_OLD, WINDOW_SLACK
from packetfs.net.sending.shared import Leaf, Shared
from packetfs.net.wire.packed import Packer
from packetfs.packet.digest import Digest
from packetfs.packet.kernels import match
from packetfs.packet.layout import Buffer, Op
from packetfs.packet.packing import Packed, Place, pack_in_place, pack_patch
from packetfs.packet.rivals import Span
from packetfs.packet.slots import SLOT, SlotIndex
from packetfs.packet.tree import produces
from packetfs.typing import Final, Protocol

_OFFSET_BITS: Final = 40
"""An offset and a source's number share one 64-bit value: files up to 1 TiB, 2**23 of them."""
_PLACES_MAX: Final = 4
"""Places remembered of one extent: content that repeats a thousand times needs no more to be found."""
_GAP_MAX: Final = 8 * WINDOW_NEW
"""Bytes of a gap after which it is matched without waiting for its end."""
_SEARCHES: Final = 16
"""Searches before they are judged, changes until the next where they do not pay, and the part that is worth them."""
_RARELY: Final = 16 * _SEARCHES
"""The most changes between two searches: the distance doubles as long as none pays."""
_WORTH_SEARCHING: Final = 64
"""Literal bytes for fewer of which there is no search."""
_WORTH_MATCHING: Final = 8 * KIB
"""Edited bytes of which more are matched with the old ones around them: of fewer nearly all are other ones."""
_VOTES: Final = 256
"""Leaves of a new file that decide which old file is its base."""


class Old(Protocol):
    """The receiver's old files by number; `read` raises MissingExtent where this side no longer has the content."""

    def read(self, source: int, offset: int, length: int) -> memoryview:
        """Return old bytes; they are good until the next call."""

    def size(self, source: int) -> int: ...


class New(Protocol):
    """Reads what one leaf of the new file produces; `offset` is where that stands in the file."""

    def __call__(self, offset: int, leaf: bytes) -> Buffer: ...


class Gathered:
    """Pieces in memory that is used again: new memory for each MiB would leave holes in the heap."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def fill(self, size: int, pieces: Iterable[Buffer]) -> memoryview:
        """Return the pieces one behind the other, `size` bytes at the most; they are good until the next call."""
        if size > len(self._memory):
            self._memory = bytearray()  # the old memory goes before there is new
            self._memory = bytearray(size)
        view, at = memoryview(self._memory), 0
        for piece in pieces:
            view[at : at + len(piece)] = piece
            at += len(piece)
        return view[:at]


class ExtentMap:
    """Where the receiver has which extent: digest -> places, 16 bytes a place. Built from prefixes: roots decide."""

    def __init__(self, places: int) -> None:
        self._slots = SlotIndex(bytearray(SLOT * (places * 3 // 2 + 16)))

        self._room = places

    def add(self, source: int, offset: int, leaves: bytes) -> None:
        """Add the extents that leaves of a source name, the first of which makes what stands at `offset`.

        Where one part of the map is crowded some are left out: an extent that is not found costs a comparison.
        """
        if self._room > 0 and offset < 1 << _OFFSET_BITS:
            first, limit = source << _OFFSET_BITS | offset, (source + 1) << _OFFSET_BITS
            self._room -= self._slots.put_extents(leaves, first, limit, _PLACES_MAX)

    def find(self, digest: bytes, near: Place) -> Place | None:
        """Return a place of the extent: `near` itself, else the nearest in the same source, else any."""
        places = [(value >> _OFFSET_BITS, value & ((1 << _OFFSET_BITS) - 1)) for value in self._slots.get(digest)]
        if not places or near in places:
            return near if places else None
        same = [place for place in places if place[0] == near[0]]
        return min(same, key=lambda place: abs(place[1] - near[1])) if same else places[0]


@dataclass(frozen=True, slots=True)
class Basis:
    """All that a delta may copy from. `places` None: nothing is known of the receiver."""

    places: ExtentMap | None
    old: Old
    patches: Callable[[Digest], tuple[bytes, list[Digest]] | None] | None = None
    """Return the patch that an extent of this side is stored as, if it is one, and what it is over."""


def choose_base(places: ExtentMap, leaves: Iterable[Leaf], same_path: int) -> int:
    """Return the source most of whose extents the file's beginning shares; if none is, the old version at its path.

    For a file that has no old version the first source with any extent of it; 0 says that there is nothing to copy.
    """
    copies = ((offset, leaf[16:48]) for offset, leaf in leaves if leaf[0] == Op.COPY)
    votes = Counter(place[0] for place in islice(_found(places, copies, same_path), _VOTES) if place is not None)
    if votes:
        return max(votes, key=lambda source: (votes[source], source == same_path))
    if same_path:
        return same_path
    return next((place[0] for place in _found(places, copies, same_path) if place is not None), 0)


def _found(places: ExtentMap, copies: Iterable[tuple[int, bytes]], source: int) -> Iterator[Place | None]:
    return (places.find(digest, (source, offset)) for offset, digest in copies)


class _Wider:
    """Whether to search around changed bytes for where they came from: as far as that paid so far.

    To search costs ten times what comparing in place does, and where records were overwritten there is nothing to find.
    """

    def __init__(self) -> None:
        self._asked = self._searched = 0
        self._cost = self._saved = 0
        self._step = self._next = _SEARCHES

    def pays(self, literals: int) -> bool:
        """Tell whether to search for so many bytes: wherever that saved a part worth it, else at first, then rarely."""
        if literals < _WORTH_SEARCHING:
            return False
        self._asked += 1
        if self._searched < _SEARCHES or self._saved * _SEARCHES > self._cost:
            return True
        if self._asked < self._next:
            return False
        self._step = min(self._step * 2, _RARELY)
        self._next = self._asked + self._step
        return True

    def note(self, cost: int, searched: int) -> None:
        """Take what there was to send without a search, and with one."""
        self._searched += 1
        self._cost += cost
        self._saved += max(cost - searched, 0)


class Difference:
    """Writes one file's delta to a packer: `run` yields whenever a block should be taken."""

    def __init__(
        self, basis: Basis, base: int, new: New, packer: Packer, declare: Callable[[int], int] | None = None
    ) -> None:
        """`declare` turns a source's number into the one that the receiver was told."""
        self._places, self._old, self._patches = basis.places, basis.old, basis.patches
        self._base = base
        self._size = basis.old.size(base) if base else 0
        self._new = new
        self._packer = packer
        self._declare = declare or int
        self._gap: list[Leaf] = []
        self._gap_bytes = 0
        self._data = Gathered()
        self._wider = _Wider()
        self.copied = 0

    def run(self, parts: Iterable[Leaf | Shared]) -> Iterator[None]:
        """Pack the whole file, leaf by leaf, or stretch by stretch where the base has the same at the same place."""
        for part in parts:
            if not isinstance(part, Shared):
                yield from self._leaf(*part)
            elif part.offset == self._packer.expected + self._gap_bytes:
                yield from self._close_gap((self._base, part.offset))
                self._copy(0, part.offset, part.size)
                self.copied += part.size
            else:
                for offset, leaf in part.leaves:
                    yield from self._leaf(offset, leaf)
            if self._full():
                yield
        yield from self._close_gap(None)

    def run_edits(self, spans: Iterable[Span], size: int, read: Callable[[int, int], Buffer]) -> Iterator[None]:
        """Pack a file of `size` bytes that differs from the base in these spans alone, which `read` returns."""
        done = 0
        for start, end in spans:
            self._keep(done, start)
            for at in range(start, end, WINDOW_NEW):
                self._edit(memoryview(read(at, min(at + WINDOW_NEW, end))))
                if self._full():
                    yield
            done = end
        self._keep(done, size)

    def _keep(self, start: int, end: int) -> None:
        if start < end:
            self._packer.copy(start, end - start)
            self.copied += end - start

    def _edit(self, data: memoryview) -> None:
        """Pack bytes that are not as the base has them at the same place; those of more than a block may lie near."""
        if len(data) > _WORTH_MATCHING:
            self._match(data, self._packer.expected + len(data))
        else:
            self._packer.literal(data)

    def _leaf(self, offset: int, leaf: bytes) -> Iterator[None]:
        size = produces(leaf)
        if leaf[0] == Op.FILL and int.from_bytes(leaf[4:8], "little") == 1:
            yield from self._close_gap(None)
            self._packer.fill(leaf[16], size)
            return
        place = self._find(leaf[16:48]) if leaf[0] == Op.COPY else None
        if place is not None:
            yield from self._close_gap(place)
            self._copy(*self._told(place), size)
            self.copied += size
            return
        patch = self._patch_of(leaf)
        if patch is not None:
            yield from self._close_gap(None)
            if self._send_patch(*patch, size):
                return
        if self._size:
            yield from self._widen_gap(offset, leaf, size)
        else:
            self._packer.literal(self._new(offset, leaf))

    def _patch_of(self, leaf: bytes) -> tuple[bytes, dict[Digest, Place]] | None:
        """Return the patch that an extent is stored as, where the receiver has all that it is over, and where."""
        found = self._patches(Digest(leaf[16:48])) if self._patches is not None and leaf[0] == Op.COPY else None
        if found is None:
            return None
        patch, bases = found
        places = {base: place for base in bases if (place := self._find(base)) is not None}
        return (patch, places) if len(places) == len(bases) else None

    def _send_patch(self, patch: bytes, places: dict[Digest, Place], size: int) -> bool:
        """Pack a patch of an extent of `size` bytes; False where it is damaged."""
        told = {base: self._told(place) for base, place in places.items()}
        try:
            packed = pack_patch(patch, size, told, self._packer.expected)
        except ValueError:
            return False
        self._send(packed, size)
        return True

    def _send(self, packed: Packed, size: int) -> None:
        head, between, tail = packed
        self.copied += size - len(between[1])
        if head is not None:
            self._copy(*head)
        if between[0]:
            self._packer.splice(*between)
        if tail is not None:
            self._copy(*tail)

    def _find(self, digest: bytes) -> Place | None:
        if self._places is None:
            return None
        return self._places.find(digest, (self._base, self._packer.expected + self._gap_bytes))

    def _told(self, place: Place) -> Place:
        """Return a place by the number that the receiver was told of its source; 0 is the base."""
        source, offset = place
        return 0 if source == self._base else self._declare(source), offset

    def _copy(self, source: int, offset: int, size: int) -> None:
        if source:
            self._packer.copy_from(source, offset, size)
        else:
            self._packer.copy(offset, size)

    def _widen_gap(self, offset: int, leaf: bytes, size: int) -> Iterator[None]:
        self._gap.append((offset, leaf))
        self._gap_bytes += size
        if self._gap_bytes >= _GAP_MAX:
            yield from self._close_gap(None)

    def _close_gap(self, following: Place | None) -> Iterator[None]:
        """Match the gap's bytes; `following` is where the extent behind it was found."""
        gap, self._gap, self._gap_bytes = self._gap, [], 0
        until = following[1] if following is not None and following[0] == self._base else None
        window: list[Leaf] = []
        size = 0
        for offset, leaf in gap:
            window.append((offset, leaf))
            size += produces(leaf)
            if size >= WINDOW_NEW:
                self._match(self._read(window, size), until)
                window, size = [], 0
                if self._full():
                    yield
        if window:
            self._match(self._read(window, size), until)

    def _read(self, leaves: list[Leaf], size: int) -> memoryview:
        return self._data.fill(size, starmap(self._new, leaves))

    def _match(self, data: memoryview, until: int | None) -> None:
        """Pack new bytes: what a gap as long as the old one has changed in place, else, and as far as that has been of
        use, what is found about where they should be."""
        at = self._packer.expected
        packed = self._in_place(data, at) if until is not None and until - at == len(data) else None
        if packed is None or self._wider.pays(len(packed[1][1])):
            packed = self._cheaper(packed, self._search(data, until))
        if packed is None:
            self._packer.literal(bytes(data))
        else:
            self._send(packed, len(data))

    def _in_place(self, data: memoryview, at: int) -> Packed | None:
        """Return what differs from the old bytes at the same place; None where those cannot be read."""
        try:
            old = self._old.read(self._base, at, len(data))
        except MissingExtent:
            return None
        return pack_in_place(data, old, at) if len(old) == len(data) else None

    def _cheaper(self, packed: Packed | None, found: tuple[bytes, bytes, int] | None) -> Packed | None:
        """Return what was packed in place, or what a search has found: whichever takes fewer bytes."""
        if packed is None:
            return None if found is None else (None, found, None)
        cost = _cost(packed[1])
        searched = cost if found is None else _cost(found)
        self._wider.note(cost, searched)
        return packed if found is None or cost <= searched else (None, found, None)

    def _search(self, data: memoryview, until: int | None) -> tuple[bytes, bytes, int] | None:
        """Match new bytes against the old ones about where they belong; None where those cannot be read any more."""
        expected = min(self._packer.expected, self._size)
        start = max(0, expected - WINDOW_SLACK)
        end = max(expected + len(data), until or 0) + WINDOW_SLACK
        end = min(end, self._size, start + WINDOW_OLD)
        try:
            old = self._old.read(self._base, start, end - start)
        except MissingExtent:
            return None
        return match(old, start, data, self._packer.expected)

    def _full(self) -> bool:
        return self._packer.literal_bytes >= BATCH_LITERALS or self._packer.size >= BATCH_CONTROL


def _cost(packed: tuple[bytes, bytes, int]) -> int:
    return len(packed[0]) + len(packed[1])
