"""Extents that changed inside and end where they did: no cut is looked for again, in them or in those before them.

`Amender` reads them where somebody knows what changed; who read them anyway compares them with the old ones.

A chunk ends at the first window with the least hash of its range, and no run starts there. Where the edges of an extent
are as before, and no run is new in it, its own end and those of extents before it whose range reaches into it hold
unless a window that changed has a lesser hash: all others were no rivals before. So no more than those are hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.fs.streams.oldprogram import Segment
from packetfs.fs.streams.window import ReadInto
from packetfs.packet.cut import WINDOW, find_least, hash_window
from packetfs.packet.digest import Digest
from packetfs.pages import pages
from packetfs.typing import Final, Protocol, TypeAlias

_SPANS: Final = 8
"""Stretches that are looked at one by one; of more, all from the first to the last are: that takes 20 us at most."""

Span: TypeAlias = tuple[int, int]
"""[start, end) of bytes that may differ from the old ones, by offsets in the extent."""
Earlier: TypeAlias = tuple[int, Callable[[int], bool]]
"""An extent before a changed one whose end is not settled: on how many bytes of that it depends, and what tells whether
it ends before a window with this hash."""


class Known(Protocol):
    """What somebody knows of a stream before it is read: nothing moved, and some of it changed."""

    @property
    def size(self) -> int:
        """Bytes of the stream."""

    def unchanged(self, at: int) -> int:
        """Return where the bytes end that are, from `at` on, those of the old program: `at` where none are."""

    def changed(self, at: int) -> int:
        """Return where the bytes end that may be others, from `at` on, which is not as it was."""

    def zeros(self, at: int) -> int:
        """Return where the zeros end that are known to begin at `at`: `at` where none are."""


@dataclass(frozen=True, slots=True)
class Amended:
    """The new and the old content of an extent; None where the old is not held."""

    new: memoryview
    old: memoryview | None


Load: TypeAlias = Callable[[Digest, int, memoryview], None]
"""Fill memory with the payload of an extent, from an offset on."""


class Amender:
    """Reads extents that changed, and says which of them are chunks still."""

    def __init__(self, known: Known, read_into: ReadInto, mean: int, load: Load | None) -> None:
        """`load` gives old content, if there is any."""
        self._known = known
        self._read_into = read_into
        self._mean = mean
        self._most = mean + mean // 2
        self._load = load
        room = min(self._most, known.size)
        self._memory = pages(room)
        self._old = pages(room if load is not None else 0)

    def amend(self, old: Segment, before: Iterable[Segment]) -> Amended | None:
        """Return the content of an extent, good until the next call; None where its end, or one of an extent
        `before` it that is not settled yet, may be another."""
        end = old.start + old.length
        if not 2 * WINDOW < old.length <= self._most or end > self._known.size:
            return None
        spans = self._spans(old.start, end)
        if not are_inside(spans, old.length):
            return None
        content = self._load_old(old)
        view = self._memory[: old.length]
        if content is not None:
            view[:] = content
        for start, stop in spans if content is not None else [(0, old.length)]:
            if not self._read(old.start + start, view[start:stop]):
                return None
        earlier = [self._earlier(segment, old.start, view) for segment in before if segment.digest is not None]
        return Amended(view, content) if is_still_cut(view, spans, self._mean, earlier) else None

    def _spans(self, at: int, end: int) -> list[Span]:
        """Return what is not known to be as it was."""
        start, spans = at, list[Span]()
        while (at := self._known.unchanged(at)) < end:
            stop = min(self._known.changed(at), end)
            spans.append((at - start, stop - start))
            at = stop
        return spans

    def _load_old(self, old: Segment) -> memoryview | None:
        """Return the old content of an extent; None where it is not held."""
        if self._load is None or old.digest is None:
            return None
        content = self._old[: old.length]
        try:
            self._load(old.digest, 0, content)
        except PacketFSError:
            return None
        return content

    def _earlier(self, segment: Segment, start: int, view: memoryview) -> Earlier:
        """Return an extent before the place `start`, where these bytes are now, as `is_still_cut` wants it."""
        seen = segment.start + self._most - start

        def holds(rival: int) -> bool:
            place = find_least(view, 0, WINDOW, min(seen, len(view)))
            if hash_window(view[place - WINDOW : place]) < rival:  # one that did not change: it was no rival before
                return True
            last = memoryview(bytearray(WINDOW))
            return self._read(segment.start + segment.length - WINDOW, last) and hash_window(last) <= rival

        return seen, holds

    def _read(self, start: int, memory: memoryview) -> bool:
        """Fill memory from the stream; False where that ends before."""
        filled = 0
        while filled < len(memory):
            count = self._read_into(start + filled, memory[filled:])
            if not count:
                return False
            filled += count
        return True


def are_inside(spans: Sequence[Span], length: int) -> bool:
    """Tell whether something changed in an extent of this length, but for its edges."""
    return bool(spans) and spans[0][0] >= WINDOW and spans[-1][1] <= length - WINDOW


def is_still_cut(new: memoryview, spans: Sequence[Span], mean: int, earlier: Iterable[Earlier]) -> bool:
    """Tell whether what stands in place of an extent, other in these spans alone and as long, is one chunk as that was,
    and those before it end where they did."""
    if not are_inside(spans, len(new)) or _is_constant(new[:WINDOW]) or _is_constant(new[-WINDOW:]):
        return False
    if len(spans) > _SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    if _may_have_run(new, spans, mean // 8):
        return False
    rival = _least(new, spans, mean // 2, len(new) - 1)
    if rival is not None and rival <= hash_window(new[-WINDOW:]):
        return False
    rivals = ((_least(new, spans, WINDOW, min(seen, len(new))), holds) for seen, holds in earlier)
    return all(rival is None or holds(rival) for rival, holds in rivals)


def _least(new: memoryview, spans: Iterable[Span], low: int, high: int) -> int | None:
    """Return the least hash of the windows that changed and end in [low, high], None where there is none."""
    least: int | None = None
    for start, end in spans:
        first, last = max(low, start + 1), min(high, end + WINDOW - 1)
        if first <= last:
            place = find_least(new, 0, first, last)
            found = hash_window(new[place - WINDOW : place])
            least = found if least is None else min(found, least)
    return least


def _may_have_run(new: memoryview, spans: Iterable[Span], shortest: int) -> bool:
    """Tell whether there may be a run of so many bytes in which some changed: it has a whole block of half as many."""
    block = shortest // 2
    for start, end in spans:
        for at in range(max(start - shortest, 0) // block * block, min(end + shortest, len(new) - block + 1), block):
            if new[at] == new[at + block // 2] == new[at + block - 1] and _is_constant(new[at : at + block]):
                return True
    return False


def _is_constant(view: memoryview) -> bool:
    return view[1:] == view[:-1]
