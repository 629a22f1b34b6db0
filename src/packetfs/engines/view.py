"""The part of a source that a worker looks at: one buffer, used again for every batch."""

from __future__ import annotations

from packetfs.engines.source import Source
from packetfs.limits import RUN_WINDOW, WINDOW_TAIL


class View:
    """Bytes [start, stop) of a source. `final`: the source ends where it does."""

    def __init__(self) -> None:
        self._buffer = bytearray(RUN_WINDOW + WINDOW_TAIL)
        self._source: Source | None = None
        self.start = 0
        self.stop = 0

    @property
    def final(self) -> bool:
        return self._source is not None and self._source.size == self.stop

    @property
    def data(self) -> memoryview:
        """What is here; the memory changes with the next `cover`."""
        return memoryview(self._buffer)[: self.stop - self.start]

    def cover(self, source: Source, start: int, stop: int) -> bool:
        """Have the bytes from `start` to `stop`, or to the end of the source; those that are here are not read again.
        Return whether any byte is here that was not."""
        if source is not self._source or not self.start <= start <= self.stop:
            self._source, self.start, self.stop = source, start, start
        if stop <= self.stop:
            return False
        if stop - self.start > len(self._buffer):
            self._move(start, stop - start)
        had = self.stop
        self.stop += source.read_into(had, memoryview(self._buffer)[had - self.start : stop - self.start])
        return self.stop > had

    def _move(self, start: int, size: int) -> None:
        """Give up the bytes before `start`; a larger buffer is made for a long record, and given up behind it."""
        kept = self._buffer[start - self.start : self.stop - self.start]
        wanted = max(size, RUN_WINDOW + WINDOW_TAIL)
        if not wanted <= len(self._buffer) <= 4 * wanted:
            self._buffer = bytearray(wanted)
        self._buffer[: len(kept)] = kept
        self.start = start

    def forget(self) -> None:
        """Let the next `cover` read anew."""
        self._source = None

    def find(self, byte: bytes, start: int, stop: int) -> int:
        """Return where in the source `byte` is first found in [start, stop), which must be here; -1 if nowhere."""
        at = self._buffer.find(byte, start - self.start, stop - self.start)
        return at + self.start if at >= 0 else -1
