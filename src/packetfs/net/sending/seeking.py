"""The receiver's stale content within new files: blocks that it signed are looked for in the bytes that it lacks."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from heapq import merge

from packetfs.limits import FINDS_MAX, INGEST_WINDOW
from packetfs.net.wire.listing import Bits
from packetfs.net.wire.messages import Signatures
from packetfs.net.wire.signatures import Layout
from packetfs.packet.blocks import block_find, block_index
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, NamedTuple

_FIELDS: Final = 3
Triple = tuple[int, ...]
"""Where in the new file, where in the stale content, how many bytes."""


class Part(NamedTuple):
    """A stretch of a new file; `stale` is where the receiver has it, or -1."""

    start: int
    end: int
    stale: int


class Finds:
    """What was found in each file, 24 bytes a find; finds of one file do not overlap."""

    def __init__(self) -> None:
        self._files: dict[bytes, array[int]] = {}
        self._fresh: array[int] = array("Q")
        self._room = FINDS_MAX
        self.bytes = 0

    def add(self, at: int, stale: int, length: int) -> None:
        """Add a find to the file under way, behind all others of this round."""
        fresh = self._fresh
        if fresh and fresh[-3] + fresh[-1] == at and fresh[-2] + fresh[-1] == stale:
            fresh[-1] += length
        elif self._room:
            fresh.extend((at, stale, length))
            self._room -= 1
        else:
            return
        self.bytes += length

    def close(self, path: bytes) -> None:
        """End the file under way."""
        fresh, self._fresh = self._fresh, array("Q")
        known = self._files.get(path)
        if known is not None and fresh:
            fresh = array("Q", (field for triple in merge(_triples(known), _triples(fresh)) for field in triple))
        if fresh:
            self._files[path] = fresh

    def cover(self, path: bytes) -> Cover:
        """Return what splits the file into what was found and what was not, as of now."""
        return Cover(self._files.get(path, array("Q")))


def _triples(flat: array[int]) -> Iterator[Triple]:
    return (tuple(flat[at : at + _FIELDS]) for at in range(0, len(flat), _FIELDS))


class Cover:
    """Splits stretches of one file, asked for in order."""

    def __init__(self, finds: array[int]) -> None:
        self._finds = finds
        self._next = 0

    def parts(self, start: int, end: int) -> Iterator[Part]:
        """Yield the parts of [start, end)."""
        while start < end:
            at, stale, length = self._find_behind(start)
            if at > start:
                yield Part(start, min(at, end), -1)
                start = min(at, end)
            else:
                stop = min(at + length, end)
                yield Part(start, stop, stale + start - at)
                start = stop

    def _find_behind(self, start: int) -> tuple[int, int, int]:
        """Return the first find that ends behind `start`."""
        finds = self._finds
        while self._next < len(finds):
            at, stale, length = finds[self._next : self._next + _FIELDS]
            if at + length > start:
                return at, stale, length
            self._next += _FIELDS
        return 1 << 64, 0, 0


class Seeker:
    """One round: takes the new bytes of a file in order, and notes the blocks that stand in them."""

    def __init__(self, said: Signatures, layout: Layout, finds: Finds) -> None:
        self._said = said
        self._layout = layout
        self._finds = finds
        self._table = block_index(said.sums, said.width)
        self._window = bytearray()
        self._start = 0
        self._expected = 0
        self.matched = Bits(bytes(layout.count + 7 >> 3))

    def feed(self, offset: int, data: Buffer) -> None:
        """Take bytes that stand at `offset` of the file."""
        if offset != self._start + len(self._window):
            self._search()
            self._window.clear()
            self._start = offset
        self._window += data
        if len(self._window) >= INGEST_WINDOW:
            done = self._search()
            del self._window[:done]
            self._start += done

    def close(self, path: bytes) -> None:
        """End the file."""
        self._search()
        self._window.clear()
        self._finds.close(path)

    def _search(self) -> int:
        """Look through the window; return how many bytes at its front are done with."""
        said, end = self._said, 0
        if len(self._window) < said.block:
            return 0
        found = block_find(self._table, said.sums, said.block, said.width, said.key, self._window, self._expected)
        for at, number, count in found:
            end = at
            for stale, length in self._layout.stretches(number, count):
                self._finds.add(self._start + end, stale, length)
                end += length
            self.matched.set(number, count)
            self._expected = number + count
        return max(end, len(self._window) - said.block + 1)
