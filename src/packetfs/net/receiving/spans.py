"""A delta as it arrives: what is where in the new content, so that bytes that stay in place need not be read.

Only what is copied from the base at its own offset counts as unchanged. The program of the base says which extents
those bytes are, so the new root follows from it and from what is new: a change of a few bytes in a file of 100 MB is
applied and verified in a few milliseconds, where hashing all of it again takes thirty.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from packetfs.errors import Unverified
from packetfs.limits import MIB
from packetfs.net.wire.packed import COPY, FILL, LITERAL, Instruction
from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_HELD_ITEMS: Final = 1 << 15
_HELD_BYTES: Final = 4 * MIB
"""Instructions and their literals that are held. Nothing reads further back than a window of an import, 1 MiB, from as
much that is looked at ahead; who asks for what has gone gets no answer, and the file is sent again as a whole."""
_DROPPED_BYTES: Final = MIB // 2
"""Literals that are dropped at a time."""


class Spans:
    """The content that instructions make (`ingest.Known`, and its bytes in order), pulled as far as it is asked for."""

    def __init__(
        self,
        path: bytes,
        size: int,
        steps: Iterator[tuple[Instruction, bytes]],
        read: Callable[[Instruction, int, int], Buffer],
        take: Callable[[Instruction, bytes], None] | None = None,
    ) -> None:
        """`steps`: instructions with their literals. `read`: returns bytes of what a COPY copies, from an offset in it
        on. `take`: is shown each instruction once, in order."""
        self.size = size
        self._path = path
        self._steps = steps
        self._read = read
        self._take = take
        self._starts: list[int] = []
        self._items: list[tuple[Instruction, bytes]] = []
        self._end = 0
        self._literals = 0
        self._same = 0, 0
        """Bytes that are copied in place, up to where those end."""
        self._other = 0, 0
        """What the last instruction makes at which such bytes ended."""

    def unchanged(self, at: int) -> int:
        """Return where the bytes end that are copied in place, from `at` on; who asks mostly asks again."""
        first, end = self._same
        if first <= at < end:
            return end
        first, end = self._other
        if first <= at < end:
            return at
        begin = at
        while (index := self._find(at)) >= 0:
            start, item = self._starts[index], self._items[index][0]
            if item.kind != COPY or item.offset != start:
                self._other = start, start + item.length
                break
            at = start + item.length
        self._same = begin, at
        return at

    def changed(self, at: int) -> int:
        """Return where the instruction ends that makes the byte at `at`."""
        index = self._find(at)
        return self.size if index < 0 else self._starts[index] + self._items[index][0].length

    def zeros(self, at: int) -> int:
        """Runs are read."""
        return at

    def read_into(self, offset: int, view: memoryview) -> int:
        """Fill `view` as far as the instruction at `offset` goes; return the bytes, 0 at the end."""
        index = self._find(offset)
        if index < 0 and offset < self.size:
            raise Unverified(path=self._path)
        if index < 0:
            return 0
        (item, literals), skip = self._items[index], offset - self._starts[index]
        count = min(item.length - skip, len(view))
        piece: Buffer
        if item.kind == LITERAL:
            piece = literals[skip : skip + count]
        elif item.kind == FILL:
            piece = bytes([item.byte]) * count
        else:
            piece = self._read(item, item.offset + skip, count)
        if not piece or len(piece) > count:
            raise Unverified(path=self._path)
        view[: len(piece)] = piece
        return len(piece)

    def finish(self) -> None:
        """Pull what is left: the content ends where it was announced to, and `take` has seen all of it."""
        while self._pull():
            pass

    def _find(self, at: int) -> int:
        """Return the index of the instruction that makes the byte at `at`, -1 where there is none, or none any more."""
        while at >= self._end:
            if not self._pull():
                return -1
        return bisect_right(self._starts, at) - 1

    def _pull(self) -> bool:
        step = next(self._steps, None)
        if step is None:
            if self._end != self.size:
                raise Unverified(path=self._path)
            return False
        item, literals = step
        if self._end + item.length > self.size:
            raise Unverified(path=self._path)
        if self._take is not None:
            self._take(item, literals)
        self._starts.append(self._end)
        self._items.append(step)
        self._end += item.length
        self._literals += len(literals)
        if len(self._items) > 2 * _HELD_ITEMS or self._literals > _HELD_BYTES + _DROPPED_BYTES:
            self._drop()
        return True

    def _drop(self) -> None:
        """Give up the oldest."""
        count = 0
        while len(self._items) - count > _HELD_ITEMS or self._literals > _HELD_BYTES:
            self._literals -= len(self._items[count][1])
            count += 1
        del self._starts[:count], self._items[:count]
