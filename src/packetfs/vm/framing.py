"""Where the next record lies in a window of a file. The window never decides what a record is, only when it is seen."""

from __future__ import annotations

from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.typing import Final, TypeAlias
from packetfs.vm.layout import Fault, Framing, Stop

RECORD_MAX: Final = (1 << 28) - 512
"""Bytes of the longest record: with head- and tailroom it fits a region."""
PIECE: Final = 256
"""Bytes of the first look for a newline; each further look is twice as long."""
PAIR: Final = Struct("<QQ")
"""A record of LIST: file offsets where it begins and ends."""

Found: TypeAlias = tuple[int, int] | Stop | Fault
"""A record's file offsets, or: not in the window (Stop.WINDOW), no more (Stop.DONE), impossible (Fault.RECORD)."""


@dataclass(frozen=True, slots=True)
class Window:
    """Bytes of the file from offset `start` on. `final`: the file ends where they end."""

    data: memoryview
    start: int
    final: bool

    @property
    def end(self) -> int:
        return self.start + self.data.nbytes

    def holds(self, start: int, stop: int) -> bool:
        return self.start <= start and stop <= self.end

    def part(self, start: int, stop: int) -> memoryview:
        return self.data[start - self.start : stop - self.start]


@dataclass(frozen=True, slots=True)
class Records:
    """How the file becomes records. size: bytes of FIXED ones, and within which the lines of LINES begin. bounds: the
    pairs of LIST, else empty."""

    framing: Framing
    size: int
    bounds: memoryview

    def find(self, window: Window, position: int, end: int) -> Found:
        """Return the record at `position`: a file offset, or an index of LIST. end: where the shard ends."""
        if self.framing == Framing.LIST:
            return self._listed(window, position)
        if position < window.start:
            return Stop.WINDOW
        if position >= window.end:
            return Stop.DONE if window.final else Stop.WINDOW
        stop = position + self.size
        if self.framing != Framing.FIXED:
            within = min(self.size, end - position) if self.framing == Framing.LINES else 1
            stop = _line_end(window, position, within)
        if stop > window.end and window.final:
            stop = window.end
        return _within(window, position, stop)

    def _listed(self, window: Window, index: int) -> Found:
        if index >= self.bounds.nbytes // PAIR.size:
            return Fault.RECORD
        start, stop = PAIR.unpack_from(self.bounds, index * PAIR.size)
        if stop < start:
            return Fault.RECORD
        if window.final:
            start, stop = min(start, window.end), min(stop, window.end)
        if not window.start <= start <= window.end:
            return Stop.WINDOW
        return _within(window, start, stop)


def _within(window: Window, start: int, stop: int) -> Found:
    """Judge by what is in the window only where that is too long already, so that no window changes a verdict."""
    if min(stop, window.end) - start > RECORD_MAX:
        return Fault.RECORD
    return (start, stop) if stop <= window.end else Stop.WINDOW


def _line_end(window: Window, position: int, within: int) -> int:
    """Return the file offset behind the last line that begins in the `within` bytes from `position` on; one behind the
    window's end when it does not hold that."""
    start, piece = position - window.start, PIECE
    at, limit = start + within - 1, min(window.data.nbytes, start + RECORD_MAX + 1)
    while at < limit:
        found = bytes(window.data[at : min(at + piece, limit)]).find(b"\n")
        if found >= 0:
            return window.start + at + found + 1
        at, piece = at + piece, 2 * piece
    return window.end + 1
