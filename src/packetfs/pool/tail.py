"""The end of the arena: what is appended, gathered in memory and brought into the last segment's file.

Small extents are gathered and written together; large ones are written from where they lie. Where nobody reads what is
written soon (a cache), or new pages of the page cache are dear, much goes past it: all is gathered then and written in
whole blocks, and the last block, which is not whole yet, stays in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain

from packetfs.errors import PacketFSError
from packetfs.limits import APPEND_BUFFER, APPEND_DIRECT, APPEND_PAST, SEGMENT
from packetfs.packet.layout import PACKET, Buffer
from packetfs.pages import pages
from packetfs.pool.ahead import STEP, Ahead
from packetfs.pool.dear import Dear
from packetfs.pool.past import BLOCK, Pace
from packetfs.pool.segment import SegmentFile
from packetfs.pool.storage import Storage


class Tail:
    """The bytes of one arena from some position on, the last of which are in memory alone."""

    def __init__(
        self, storage: Storage, file: Callable[[], SegmentFile], first: int, end: int, *, is_cache: bool
    ) -> None:
        """`file` opens the last segment, which begins at the position `first`. `end`: from where on is written."""
        self._storage = storage
        self._file = file
        self._first = first
        self._is_cache = is_cache
        self._space = pages(APPEND_BUFFER)  # growing one cost more
        self._base = end
        """The position of what lies first in memory."""
        self._gathered = 0
        self._stored = end
        """All before it is in the file."""
        self.written = end
        """Where the first extent begins that is not whole in its file."""
        self.is_past = False
        """Whether it writes past the page cache."""
        self._begun = end
        self._ahead = Ahead(storage, end - first, SEGMENT)
        self._dear = Dear()
        self._pace = Pace()

    @property
    def _end(self) -> int:
        return self._base + self._gathered

    @property
    def pending(self) -> int:
        """Bytes that are in memory alone."""
        return self._end - self._stored

    def _unstored(self) -> memoryview:
        return self._space[self._stored - self._base : self._gathered]

    def read(self, position: int, length: int) -> bytes:
        """Return bytes from `written` or a later position on: fewer at the end."""
        start = position - self._base
        if start >= 0:
            return bytes(self._space[start : min(start + length, self._gathered)])
        first = self._storage.read(self._file().fd, min(length, -start), position - self._first)
        return first + bytes(self._space[: min(max(length + start, 0), self._gathered)])

    def erase(self, position: int) -> None:
        """Overwrite a packet of the last segment with zeros, in memory and in its file."""
        start = position - self._base
        if 0 <= start < self._gathered:
            self._space[start : start + PACKET] = bytes(PACKET)
        if position < self._stored:
            self._storage.write(self._file().fd, [bytes(PACKET)], position - self._first)

    # adding

    def add(self, extents: Sequence[Sequence[Buffer]], size: int) -> None:
        """Append extents, each in parts, of so many bytes together. A call that raises has added nothing."""
        if self.is_past:
            self._pass(extents)
        elif size >= APPEND_DIRECT:
            self._write([self._unstored(), *chain.from_iterable(extents)], self.pending + size)
        else:
            if self._gathered + size > len(self._space):
                self.write_out()
            for extent in extents:
                self._gather(extent)

    def _gather(self, parts: Iterable[Buffer]) -> None:
        space, at = self._space, self._gathered
        for part in parts:
            end = at + len(part)
            space[at:end] = part
            at = end
        self._gathered = at

    def _pass(self, extents: Iterable[Sequence[Buffer]]) -> None:
        begun = self._end
        try:
            for extent in extents:
                if self._gathered + sum(map(len, extent)) <= len(self._space):
                    self._gather(extent)
                else:
                    self._pass_one(extent, self._end)
        except BaseException:
            self._take_back(begun)
            raise

    def _pass_one(self, extent: Iterable[Buffer], begun: int) -> None:
        """Gather what there is room for, and make some."""
        for part in extent:
            rest = memoryview(part).cast("B")
            while rest:
                self._make_room(begun)
                fits = rest[: len(self._space) - self._gathered]
                self._gather([fits])
                rest = rest[len(fits) :]

    def _make_room(self, begun: int) -> None:
        """Have room for something more of the extent that begins at `begun`."""
        if self._gathered == len(self._space):
            if self.is_past:
                self._drain()
            else:
                self.write_out()
            self.written = min(self.written, begun)

    def _take_back(self, end: int) -> None:
        """Forget what was added behind a position."""
        if end < self._base:
            self._load(end)
        self._gathered = end - self._base
        self._stored = min(self._stored, end)
        self.written = min(self.written, end)

    # writing

    def begin(self, position: int) -> None:
        """Go on in a new file; nothing is gathered."""
        self._base = self._stored = self.written = position
        self._first = position // SEGMENT * SEGMENT
        self._gathered = 0
        self._ahead = Ahead(self._storage, position - self._first - STEP, SEGMENT)  # who fills segments goes on

    def write_out(self) -> None:
        """Hand everything gathered to the kernel; when that fails it stays gathered and readable."""
        if self.is_past and self._gathered >= APPEND_DIRECT:
            self._drain()
        if self.pending:
            self._write([self._unstored()], self.pending)
        self.written = self._stored

    def close(self) -> None:
        """Give back blocks that were had ahead; all is written."""
        if self._ahead.end > self._stored - self._first:
            with suppress(PacketFSError):  # they are not needed, but do no harm
                self._storage.truncate(self._file().fd, self._stored - self._first)

    def _write(self, buffers: list[Buffer], size: int) -> None:
        """Write what comes behind all that is stored, up to the end, through the page cache."""
        fd, offset = self._file().fd, self._stored - self._first
        self._ahead.reach(fd, offset, offset + size)
        self._dear.watch(lambda: self._storage.write(fd, buffers, offset), size)
        self._stored += size
        self.written = self._stored
        if self.is_past:
            self._let_go(self._gathered // BLOCK * BLOCK)
            return
        self._base, self._gathered = self._stored, 0
        if self._dear.is_so or (self._is_cache and self._stored - self._begun >= STEP):
            self._go_past()

    # past the page cache

    def _go_past(self) -> None:
        """Write past the page cache from now on, where there is such a way."""
        self._dear, self._is_cache = Dear(), False  # where there is none, nobody asks again soon
        if not self._pace.is_slow and self._file().past >= 0:
            self._space = pages(APPEND_PAST)
            self.is_past = True
            self._load(self._stored)

    def _load(self, end: int) -> None:
        """Go on in the block that a position is in, all before which is stored."""
        self._base = end // BLOCK * BLOCK
        self._gathered = end - self._base
        if self._gathered:
            found = self._storage.read(self._file().fd, self._gathered, self._base - self._first)
            self._space[: self._gathered] = found

    def _drain(self) -> None:
        """Write the whole blocks that are gathered, or all of it where that can only be done through the page cache."""
        whole = self._gathered // BLOCK * BLOCK
        file, offset = self._file(), self._base - self._first
        self._ahead.reach(file.fd, offset, offset + whole)
        before = time.perf_counter()
        done = self._storage.write_past(file.past, self._space[:whole], offset) if file.past >= 0 else 0
        self._pace.add(done, time.perf_counter() - before)
        if done < whole or self._pace.is_slow:
            self.is_past = False
            self._write([self._unstored()], self.pending)
        else:
            self._stored = max(self._stored, self._base + whole)
            self.written = self._stored
            self._let_go(whole)

    def _let_go(self, count: int) -> None:
        """Keep no more of what is stored in memory than the last block, if it is not whole."""
        rest = self._gathered - count
        self._space[:rest] = self._space[count : self._gathered]
        self._base += count
        self._gathered = rest
