"""The end of the arena: what is appended, gathered in memory and brought into the last segment's file.

Small extents are gathered and written together; large ones are written from where they lie. Where nobody reads what is
written soon (a cache), or new pages of the page cache are dear, much goes past it: all is gathered then and written in
whole blocks, and the last block, which is not whole yet, stays in memory. Such blocks are written behind who adds more
(behind.py): until they have landed they are read from memory.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, chain

from packetfs.errors import PacketFSError
from packetfs.limits import APPEND_BUFFER, APPEND_DIRECT, APPEND_PAST, SEGMENT
from packetfs.packet.layout import PACKET, Buffer
from packetfs.pages import pages
from packetfs.pool.ahead import STEP, Ahead
from packetfs.pool.behind import Behind, Flight
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
        self._behind = Behind(storage)
        self._flight: Flight | None = None
        """The blocks before what lies first in memory, as long as it is not known that they are in the file."""
        self._spare = memoryview(b"")
        """Memory for what is gathered while others are on their way, if it writes past the page cache and none are."""

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
        if position < self._base:
            before = min(length, self._base - position)
            return self._read_before(position, before) + self.read(self._base, length - before)
        start = position - self._base
        return bytes(self._space[start : min(start + length, self._gathered)])

    def _read_before(self, position: int, length: int) -> bytes:
        """Return bytes before what lies first in memory: from the file, and from what is on its way there."""
        flight, found = self._flight, b""
        base = self._base if flight is None else flight.base
        if position < base:
            found = self._storage.read(self._file().fd, min(length, base - position), position - self._first)
        if flight is not None and position + length > base:
            found += flight.space[max(position - base, 0) : position + length - base]
        return found

    def erase(self, position: int) -> None:
        """Overwrite a packet of the last segment with zeros, in memory and in its file."""
        self._land()
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
            self._gather(chain.from_iterable(extents))

    def _gather(self, parts: Iterable[Buffer]) -> None:
        space, at = self._space, self._gathered
        for part in parts:
            end = at + len(part)
            space[at:end] = part
            at = end
        self._gathered = at

    def _pass(self, extents: Sequence[Sequence[Buffer]]) -> None:
        begun = self._end
        try:
            ends = list(accumulate(sum(map(len, extent)) for extent in extents))
            first = 0
            while first < len(extents):
                before = ends[first - 1] if first else 0
                fits = bisect_right(ends, before + len(self._space) - self._gathered, first)
                self._gather(chain.from_iterable(extents[first:fits]))
                if fits < len(extents):
                    self._pass_one(extents[fits], self._end)
                first = fits + 1
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
                self._drain(begun)
            else:
                self.write_out()
            self.written = min(self.written, begun)

    def _take_back(self, end: int) -> None:
        """Forget what was added behind a position."""
        if end < self._base:
            self._call_back()
        if end < self._base:
            self._load(end)
        self._gathered = end - self._base
        self._stored = min(self._stored, end)
        self.written = min(self.written, end)

    # writing

    def begin(self, position: int) -> None:
        """Go on in a new file; nothing is gathered or on its way."""
        self._base = self._stored = self.written = position
        self._first = position // SEGMENT * SEGMENT
        self._gathered = 0
        self._ahead = Ahead(self._storage, position - self._first - STEP, SEGMENT)  # who fills segments goes on

    def write_out(self) -> None:
        """Hand everything gathered to the kernel; when that fails it stays gathered and readable."""
        if self.is_past and self._gathered >= APPEND_DIRECT:
            self._drain(self.written)  # what reaches into the last block is whole when that is written too
        self._land()
        if self.pending:
            self._write([self._unstored()], self.pending)
        self.written = self._stored

    def close(self) -> None:
        """Give back blocks that were had ahead; all is written, as far as it can be."""
        self._behind.close()
        if self._ahead.end > self._stored - self._first:
            with suppress(PacketFSError):  # they are not needed, but do no harm
                self._storage.truncate(self._file().fd, self._stored - self._first)

    def _write(self, buffers: list[Buffer], size: int) -> None:
        """Write what comes behind all that is stored, up to the end, through the page cache; nothing is on its way."""
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
            both = pages(2 * APPEND_PAST)
            self._space, self._spare = both[:APPEND_PAST], both[APPEND_PAST:]
            self.is_past = True
            self._load(self._stored)

    def _load(self, end: int) -> None:
        """Go on in the block that a position is in, all before which is stored."""
        self._base = end // BLOCK * BLOCK
        self._gathered = end - self._base
        if self._gathered:
            found = self._storage.read(self._file().fd, self._gathered, self._base - self._first)
            self._space[: self._gathered] = found

    def _drain(self, begun: int) -> None:
        """Let the whole blocks that are gathered be written, or write all of it where that can only be done through the
        page cache. `begun`: where the extent begins whose end may not be among them."""
        self._land()
        file = self._file()
        if not self.is_past or file.past < 0:
            self.is_past = False
            self._write([self._unstored()], self.pending)
            return
        whole, offset, space = self._gathered // BLOCK * BLOCK, self._base - self._first, self._space
        self._ahead.reach(file.fd, offset, offset + whole)
        more, rest, end = self._spare, self._gathered - whole, self._base + whole
        more[:rest] = space[whole : self._gathered]
        flight = Flight(file, space, self._base, whole, min(end, begun))
        self._space, self._flight, self._base, self._gathered = more, flight, end, rest  # no call: no interrupt between
        self._behind.begin(flight, offset)

    def _land(self) -> None:
        """Wait until the blocks that are on their way are in the file, and write there what could not go past the page
        cache; while that cannot be either, they are on their way."""
        flight = self._flight
        if flight is None:
            return
        before = time.perf_counter()
        self._behind.wait(flight)
        self._pace.add(flight.done, time.perf_counter() - before)
        if flight.done < flight.size:
            rest = flight.space[flight.done : flight.size]
            self._storage.write(flight.file.fd, [rest], flight.base + flight.done - self._first)
        self.is_past = self.is_past and flight.done == flight.size and not self._pace.is_slow
        self._stored = max(self._stored, flight.end)
        self.written = flight.whole
        self._spare, self._flight = flight.space, None

    def _call_back(self) -> None:
        """Let the blocks that are on their way be gathered again, in place of what comes behind."""
        flight = self._flight
        if flight is not None:
            self._behind.wait(flight)
            self._space, self._spare, self._flight = flight.space, self._space, None
            self._base, self._gathered = flight.base, flight.size

    def _let_go(self, count: int) -> None:
        """Keep no more of what is stored in memory than the last block, if it is not whole."""
        rest = self._gathered - count
        self._space[:rest] = self._space[count : self._gathered]
        self._base += count
        self._gathered = rest
