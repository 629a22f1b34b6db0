"""How it is seen what a stream has in place of old extents: by their fingerprints, or as somebody says who knows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from packetfs.fs.streams.oldcontent import OldContent
from packetfs.fs.streams.oldprogram import OldProgram, Stretch
from packetfs.fs.streams.prints import Prints
from packetfs.fs.streams.window import ReadInto
from packetfs.packet.cut import WINDOW, hash_window
from packetfs.packet.inplace import differing
from packetfs.packet.rivals import Span, are_inside, has_less
from packetfs.pages import pages
from packetfs.pool.lookup import Like
from packetfs.typing import Final, NamedTuple, Protocol

_SAME: Final = b"\1"


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


class Change(NamedTuple):
    """The new content of an extent, good until the next is read, and where it may be other than the old."""

    new: memoryview
    spans: Sequence[Span]


class Sight(Protocol):
    """What a stream has in place of old extents."""

    compares: bool
    """Whether old content is needed to see what changed in an extent."""

    def same(self, at: int, old: Stretch) -> bytes:
        """Return 1 for each of these extents that stand in the stream from `at` on, else 0: fewer where that is
        another for a while, none where nothing is known."""

    def read(self, at: int, length: int, like: Like | None) -> Change | None:
        """Return what stands in place of one, which is `like` where that is held; None where it is none that changed
        inside alone."""

    def ends(self, at: int, rival: int, new: memoryview, seen: int) -> bool:
        """Tell whether an extent that ends at a place still does: not behind a window of this hash in the bytes that
        it has `seen` of what was read last, `new`."""


class Told:
    """Somebody knows what changed."""

    compares = False

    def __init__(self, known: Known, read_into: ReadInto, most: int) -> None:
        self._known = known
        self._read_into = read_into
        self._memory = pages(min(most, known.size))
        self._others: list[Span] = []
        """What may be other than it was, of the extents that were looked at last."""

    def same(self, at: int, old: Stretch) -> bytes:
        starts, known = old.starts, self._known
        if starts[0] != at:
            return b""
        state, others = bytearray(old.extents), list[Span]()
        limit = min(starts[-1], known.size)
        while at < limit:
            end = known.unchanged(at)
            first, stop = bisect_left(starts, at), bisect_right(starts, end) - 1
            if first < stop:
                state[first:stop] = _SAME * (stop - first)
            at = known.changed(end) if end < limit else limit
            if end < at:
                others.append((end, at))
        self._others = others
        return bytes(state)

    def read(self, at: int, length: int, like: Like | None) -> Change | None:
        if at + length > self._known.size:
            return None
        spans = self._spans(at, at + length)
        if not are_inside(spans, length):
            return None
        view = self._memory[:length]
        if like is not None:
            view[:] = like.content
        for start, stop in spans if like is not None else [(0, length)]:
            if not _fill(self._read_into, at + start, view[start:stop]):
                return None
        return Change(view, spans)

    def ends(self, at: int, rival: int, new: memoryview, seen: int) -> bool:
        if has_less(new, min(seen, len(new)), rival):  # one that did not change: it was no rival before
            return True
        return _ends(self._read_into, at, rival)

    def _spans(self, at: int, end: int) -> list[Span]:
        """Return what is not known to be as it was, of one of those."""
        others, spans = self._others, list[Span]()
        index = bisect_right(others, (at, at))
        index -= index > 0 and others[index - 1][1] > at
        while index < len(others) and others[index][0] < end:
            start, stop = others[index]
            spans.append((max(start - at, 0), min(stop, end) - at))
            index += 1
        return spans


class Printed:
    """Old extents have fingerprints."""

    compares = True

    def __init__(self, prints: Prints, read_into: ReadInto, most: int) -> None:
        self._prints = prints
        self._read_into = read_into
        self._memory = pages(most)

    def same(self, at: int, old: Stretch) -> bytes:
        return self._prints.same(at, old)

    def read(self, at: int, length: int, like: Like | None) -> Change | None:
        view = self._memory[:length]
        if like is None or not _fill(self._read_into, at, view):
            return None
        return Change(view, differing(view, like.content))

    def ends(self, at: int, rival: int, new: memoryview, seen: int) -> bool:  # noqa: ARG002 (to read is as quick)
        return _ends(self._read_into, at, rival)


def _ends(read_into: ReadInto, at: int, rival: int) -> bool:
    last = memoryview(bytearray(WINDOW))
    return _fill(read_into, at - WINDOW, last) and hash_window(last) <= rival


def _fill(read_into: ReadInto, start: int, memory: memoryview) -> bool:
    """Fill memory from the stream; False where that ends before."""
    filled = 0
    while filled < len(memory):
        count = read_into(start + filled, memory[filled:])
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
