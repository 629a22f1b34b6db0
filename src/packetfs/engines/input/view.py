"""The part of a source that a worker looks at: mapped where the source can be, else read into one buffer."""

from __future__ import annotations

from packetfs.engines.input.source import Source
from packetfs.limits import MAPPED_WINDOW, RUN_WINDOW, WINDOW_TAIL
from packetfs.pages import pages


class View:
    """Bytes [start, stop) of a source. `final`: the source ends where it does.

    maps: whether whoever looks can bear that a mapped file becomes shorter (the C core can, Python cannot).
    """

    def __init__(self, *, maps: bool) -> None:
        self._maps = maps
        self._buffer = memoryview(b"")
        self._source: Source | None = None
        self._mapped: memoryview | None = None
        self.start = 0
        self.stop = 0

    @property
    def final(self) -> bool:
        return self._source is not None and self._source.size == self.stop

    @property
    def data(self) -> memoryview:
        """What is here; read bytes change with the next `cover`."""
        here = self._buffer if self._mapped is None else self._mapped
        return here[: self.stop - self.start]

    def has(self, start: int, stop: int) -> bool:
        """Tell whether all bytes from `start` to `stop` are here."""
        return self.start <= start and stop <= self.stop

    def reach(self, source: Source) -> int:
        """Return how many bytes of a source are worth looking at together."""
        return MAPPED_WINDOW if self._maps and source.maps else RUN_WINDOW

    def cover(self, source: Source, start: int, stop: int) -> bool:
        """Have the bytes from `start` to `stop`, or to the end of the source; those that are here are not read again.
        Return whether any byte is here that was not."""
        if source is not self._source or not self.start <= start <= self.stop:
            self._source, self.start, self.stop = source, start, start
        if stop <= self.stop:
            return False
        had = self.stop
        if not self._map(source, start, stop):
            self._read(source, start, stop)
        return self.stop > had

    def _map(self, source: Source, start: int, stop: int) -> bool:
        mapped = source.map(start, stop) if self._maps else None
        if mapped is not None:
            self._mapped, self.start, self.stop = mapped, start, start + len(mapped)
        elif self._mapped is not None:  # the buffer has nothing of what was mapped
            self._mapped, self.start, self.stop = None, start, start
        return mapped is not None

    def _read(self, source: Source, start: int, stop: int) -> None:
        if stop - self.start > len(self._buffer):
            self._move(start, stop - start)
        had = self.stop
        self.stop += source.read_into(had, self._buffer[had - self.start : stop - self.start])

    def _move(self, start: int, size: int) -> None:
        """Give up the bytes before `start`; a larger buffer is made for a long record, and given up behind it."""
        kept = self._buffer[start - self.start : self.stop - self.start]
        wanted = max(size, RUN_WINDOW + WINDOW_TAIL)
        if not wanted <= len(self._buffer) <= 4 * wanted:
            self._buffer = pages(wanted)
        self._buffer[: len(kept)] = kept
        self.start = start

    def read_again(self) -> None:
        """Read what could not be looked at where it is mapped: SourceChanged or SourceUnavailable say why."""
        if self._source is not None:
            self._source.read(self.start, self.stop)
