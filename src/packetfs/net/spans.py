"""A small delta as a whole: what is where in the new content, so that bytes that stay in place need not be read.

Only what is copied from the base at its own offset counts as unchanged. The program of the base says which extents
those bytes are, so the new root follows from it and from what is new: a change of a few bytes in a file of 100 MB is
applied and verified in a few milliseconds, where hashing all of it again takes thirty.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from packetfs.errors import Unverified
from packetfs.net.packed import COPY, FILL, LITERAL, Instruction


class Spans:
    """The content that a list of instructions makes (`ingest.Known`, and its bytes at any offset)."""

    def __init__(
        self, path: bytes, items: list[Instruction], literals: bytes, read: Callable[[Instruction, int, int], bytes]
    ) -> None:
        """`read`: returns bytes of what a COPY copies, from an offset in it on."""
        self._path = path
        self._items = items
        self._literals = literals
        self._read = read
        self._starts: list[int] = []
        self._taken: list[int] = []
        at = taken = 0
        for item in items:
            self._starts.append(at)
            self._taken.append(taken)
            at += item.length
            taken += item.length if item.kind == LITERAL else 0
        self.size = at

    def unchanged(self, at: int) -> int:
        """Return where the bytes end that are copied in place, from `at` on."""
        index = bisect_right(self._starts, at) - 1
        while 0 <= index < len(self._items) and at < self.size:
            item, start = self._items[index], self._starts[index]
            if item.kind != COPY or item.offset != start:
                break
            at = start + item.length
            index += 1
        return at

    def zeros(self, at: int) -> int:
        """Runs are read."""
        return at

    def read_into(self, offset: int, view: memoryview) -> int:
        """Fill `view` as far as the instruction at `offset` goes; return the bytes, 0 at the end."""
        if offset >= self.size:
            return 0
        index = bisect_right(self._starts, offset) - 1
        item, skip = self._items[index], offset - self._starts[index]
        count = min(item.length - skip, len(view))
        if item.kind == LITERAL:
            start = self._taken[index] + skip
            piece = self._literals[start : start + count]
        elif item.kind == FILL:
            piece = bytes([item.byte]) * count
        else:
            piece = self._read(item, item.offset + skip, count)
        if not piece or len(piece) > count:
            raise Unverified(path=self._path)
        view[: len(piece)] = piece
        return len(piece)
