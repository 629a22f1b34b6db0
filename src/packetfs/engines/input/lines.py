"""Where lines begin, and how many come before an offset: counted only for programs that ask for a record's number."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

from packetfs.accel import native
from packetfs.engines.input.source import Source
from packetfs.limits import RUN_WINDOW
from packetfs.packet.layout import Buffer
from packetfs.threading import Lock
from packetfs.typing import Final

NEWLINE = b"\n"
PIECE = 512
"""Bytes of the first look for a newline."""


class LineCounter:
    """Counts the newlines of a source from its beginning, once, in steps that are remembered."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._counts = [0]
        self._lock = Lock()
        self.here = 0
        self._at = 0

    def advance(self, stop: int) -> None:
        """Count up to `stop` and let `here` tell the newlines before it: for pipes, whose bytes come once."""
        self.here += count_lines(self._source, self._at, stop)
        self._at = stop

    def before(self, offset: int) -> int:
        """Return how many newlines are in [0, offset)."""
        steps, start = offset // RUN_WINDOW, offset // RUN_WINDOW * RUN_WINDOW
        with self._lock:
            while len(self._counts) <= steps:
                at = (len(self._counts) - 1) * RUN_WINDOW
                self._counts.append(self._counts[-1] + count_lines(self._source, at, at + RUN_WINDOW))
        return self._counts[steps] + count_lines(self._source, start, offset)


def first_lines_python(window: Buffer, start: int, edges: Buffer) -> bytes:
    """Return for each shard where the first line that begins in it does, or where it ends, as words. `edges`: where the
    shards begin, and the last one ends, as words. ValueError where the window, from `start` on, has not the shards and
    the byte before them."""
    data, at = bytes(window), memoryview(edges).cast("B").cast("Q").tolist()
    if not at or at != sorted(at) or not 0 <= start <= max(at[0] - 1, 0) or at[-1] > start + len(data):
        raise ValueError("the shards lie elsewhere")
    found = [_line(data, first - start, stop - start) + start if first else 0 for first, stop in pairwise(at)]
    return pack(f"{len(found)}Q", *found)


def _line(data: bytes, first: int, stop: int) -> int:
    newline = data.find(NEWLINE, first - 1, stop - 1) if first < stop else -1
    return stop if newline < 0 else newline + 1


first_lines: Final = first_lines_python if native is None else native.first_lines
"""The core can bear that the window is a mapped file."""


def find_newline(source: Source, start: int, stop: int) -> int:
    """Return where the first newline in [start, stop) is, -1 if there is none; each piece is twice as long as the one
    before, since most lines are short."""
    at, piece = start, PIECE
    while at < stop:
        end = min(at + piece, stop)
        found = bytes(source.read(at, end)).find(NEWLINE)
        if found >= 0:
            return at + found
        at, piece = end, min(2 * piece, RUN_WINDOW)
    return -1


def count_lines(source: Source, start: int, stop: int) -> int:
    """Return how many newlines are in [start, stop)."""
    return sum(
        bytes(source.read(at, min(at + RUN_WINDOW, stop))).count(NEWLINE) for at in range(start, stop, RUN_WINDOW)
    )
