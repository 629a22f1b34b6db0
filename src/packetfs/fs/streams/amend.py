"""Extents that changed inside and end where they did: no cut is looked for again, in them or in those before them.

`Amender` reads them where somebody knows what changed; `is_amended` is for bytes that were read anyway.

A chunk ends at the first window with the least hash of its range, and no run starts there. Where the edges of an extent
are as before, and all of it is still one chunk, its own end holds. An extent before it whose range reaches into it
keeps its end unless a window that changed has a lesser hash; and if the least of those that it can see did not change,
that was no rival before, so nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.fs.streams.oldprogram import Segment
from packetfs.fs.streams.window import ReadInto
from packetfs.packet.cut import WINDOW, cut, find_least, hash_window
from packetfs.packet.digest import Digest
from packetfs.typing import Protocol, TypeAlias


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
"""Fill memory with the payload of an extent, which is verified, from an offset on."""


class Amender:
    """Reads extents that changed, and says which of them are chunks still."""

    def __init__(self, known: Known, read_into: ReadInto, mean: int, load: Load | None) -> None:
        """`load` gives old content, if there is any."""
        self._known = known
        self._read_into = read_into
        self._mean = mean
        self._most = mean + mean // 2
        self._load = load
        self._memory = memoryview(bytearray(self._most))
        self._old = memoryview(bytearray(self._most if load is not None else 0))

    def amend(self, old: Segment, before: Iterable[Segment]) -> Amended | None:
        """Return the content of an extent, good until the next call; None where its end, or one of an extent
        `before` it that is not settled yet, may be another."""
        end = old.start + old.length
        if not 2 * WINDOW < old.length <= self._most or end > self._known.size:
            return None
        if self._known.unchanged(old.start) < old.start + WINDOW:
            return None
        content = self._load_old(old)
        memory = self._memory[: old.length]
        view = self._read(old.start, memory) if content is None else self._overlay(old.start, memory, content)
        if view is None or not _is_chunk(view, self._mean):
            return None
        if not all(self._is_end(segment, old.start, view) for segment in before):
            return None
        return Amended(view, content) if self._known.unchanged(end - WINDOW) >= end else None

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

    def _overlay(self, start: int, view: memoryview, content: memoryview) -> memoryview | None:
        """Fill `view` with old content, and what changed in it from the stream; None where that ends before."""
        view[:] = content
        at, end = start, start + len(view)
        while (at := self._known.unchanged(at)) < end:
            stop = min(self._known.changed(at), end)
            if self._read(at, view[at - start : stop - start]) is None:
                return None
            at = stop
        return view

    def _is_end(self, segment: Segment, start: int, view: memoryview) -> bool:
        """Tell whether an extent before the place `start` ends where it did, with these bytes there."""
        seen = min(segment.start + self._most - start, len(view))
        if segment.digest is None or seen < WINDOW:
            return True
        place = find_least(view, 0, WINDOW, seen)
        if self._known.unchanged(start + place - WINDOW) >= start + place:
            return True
        last = self._read(segment.start + segment.length - WINDOW, memoryview(bytearray(WINDOW)))
        return last is not None and hash_window(last) <= hash_window(view[place - WINDOW : place])

    def _read(self, start: int, memory: memoryview) -> memoryview | None:
        """Fill memory from the stream; None where that ends before."""
        filled = 0
        while filled < len(memory):
            count = self._read_into(start + filled, memory[filled:])
            if not count:
                return None
            filled += count
        return memory


def is_amended(new: memoryview, old: memoryview, mean: int, before: Iterable[tuple[memoryview, int]]) -> bool:
    """Tell whether what stands in place of an extent is one chunk as that was, and those `before` it end where they
    did: of each, its last bytes, and how many of the new bytes it sees."""
    if not 2 * WINDOW < len(old) == len(new) <= mean + mean // 2:
        return False
    if new[:WINDOW] != old[:WINDOW] or new[-WINDOW:] != old[-WINDOW:] or not _is_chunk(new, mean):
        return False
    return all(_is_end_still(last, new[:seen], old) for last, seen in before if seen >= WINDOW)


def _is_end_still(last: memoryview, new: memoryview, old: memoryview) -> bool:
    """Tell whether no new window is a better end than the `last` one of an extent before."""
    place = find_least(new, 0, WINDOW, len(new))
    least = new[place - WINDOW : place]
    return least == old[place - WINDOW : place] or hash_window(last) <= hash_window(least)


def _is_chunk(view: memoryview, mean: int) -> bool:
    """Tell whether bytes whose edges are an old extent's are one chunk, and no run reaches across an edge."""
    is_apart = not _is_constant(view[:WINDOW]) and not _is_constant(view[-WINDOW:])
    return is_apart and cut(view, mean, True) == [len(view)]


def _is_constant(view: memoryview) -> bool:
    return view[1:] == view[:-1]
