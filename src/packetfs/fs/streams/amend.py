"""Extents that changed inside and end where they did: no cut is looked for again, in them or in those before them.

`Amender` reads them where somebody knows what changed; who read them anyway compares them with the old ones. Why so
little must be hashed for it is said in `packet/rivals.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from packetfs.dataclass import dataclass
from packetfs.fs.streams.oldcontent import OldContent
from packetfs.fs.streams.oldprogram import OldProgram, Segment
from packetfs.fs.streams.window import ReadInto
from packetfs.packet.cut import WINDOW, hash_window
from packetfs.packet.digest import Digest
from packetfs.packet.rivals import NO_RIVAL, Span, are_inside, has_less, rivals
from packetfs.pages import pages
from packetfs.pool.lookup import Like
from packetfs.typing import Final, Protocol, TypeAlias

_AHEAD: Final = 64
"""Extents among which those that change are looked for, so that their old content is read together."""
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
    old: Like | None


class Amender:
    """Reads extents that changed, and says which of them are chunks still."""

    def __init__(self, known: Known, read_into: ReadInto, mean: int, old: OldContent | None) -> None:
        """`old` gives old content, if there is any."""
        self._known = known
        self._read_into = read_into
        self._mean = mean
        self._most = mean + mean // 2
        self._old = old
        self._memory = pages(min(self._most, known.size))
        self._looked = 0
        """Up to where it was looked for changes."""

    def amend(self, program: OldProgram, before: Iterable[Segment]) -> Amended | None:
        """Return the content of the current extent, good until the next call; None where its end, or one of an extent
        `before` it that is not settled yet, may be another."""
        old = program.current()
        if old is None:
            return None
        end = old.start + old.length
        if not 2 * WINDOW < old.length <= self._most or end > self._known.size:
            return None
        spans = self._spans(old.start, end)
        if not are_inside(spans, old.length):
            return None
        if self._old is not None and old.start >= self._looked:
            self._old.expect(self._coming(program, old.start))
        like = self._load_old(old)
        view = self._memory[: old.length]
        if like is not None:
            view[:] = like.content
        for start, stop in spans if like is not None else [(0, old.length)]:
            if not self._read(old.start + start, view[start:stop]):
                return None
        earlier = [self._earlier(segment, old.start, view) for segment in before if segment.digest is not None]
        return Amended(view, like) if is_still_cut(view, spans, self._mean, earlier) else None

    def _spans(self, at: int, end: int) -> list[Span]:
        """Return what is not known to be as it was."""
        start, spans = at, list[Span]()
        while (at := self._known.unchanged(at)) < end:
            stop = min(self._known.changed(at), end)
            spans.append((at - start, stop - start))
            at = stop
        return spans

    def _coming(self, program: OldProgram, at: int) -> Iterator[tuple[Digest, int]]:
        """Yield the extents that change, of those that are held from a place on."""
        self._looked = program.held_until(_AHEAD)
        while (at := self._known.unchanged(at)) < self._looked:
            segment = program.containing(at)
            if segment.digest is not None:
                yield segment.digest, segment.length
            at = segment.start + segment.length

    def _load_old(self, old: Segment) -> Like | None:
        """Return an extent with its old content; None where it is not held."""
        return self._old.read(old.digest, old.length) if self._old is not None and old.digest is not None else None

    def _earlier(self, segment: Segment, start: int, view: memoryview) -> Earlier:
        """Return an extent before the place `start`, where these bytes are now, as `is_still_cut` wants it."""
        seen = segment.start + self._most - start

        def holds(rival: int) -> bool:
            if has_less(view, min(seen, len(view)), rival):  # one that did not change: it was no rival before
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


def reading(known: Known, old: OldProgram, content: OldContent, read_into: ReadInto) -> ReadInto:
    """Return what reads a stream as `read_into` does, but what did not change out of old extents: several at once, and
    what is cut anew is compared with the same ones."""

    def read(offset: int, memory: memoryview) -> int:
        same = min(known.unchanged(offset) - offset, len(memory))
        return (content.fill(old, offset, memory, same) if same else 0) or read_into(offset, memory)

    return read


def is_still_cut(new: memoryview, spans: Sequence[Span], mean: int, earlier: Iterable[Earlier]) -> bool:
    """Tell whether what stands in place of an extent, other in these spans alone and as long, is one chunk as that was,
    and those before it end where they did."""
    before = list(earlier)
    least = rivals(new, spans, mean, [seen for seen, _ in before])
    if least is None:
        return False
    return all(rival == NO_RIVAL or holds(rival) for rival, (_, holds) in zip(least, before, strict=True))
