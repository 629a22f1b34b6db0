"""The changed parts of a file over its program: written bytes in a scratch file, holes as ranges, the rest unread."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.fs.posix.programs import Programs, zeros
from packetfs.fs.posix.ranges import Kind, Ranges
from packetfs.fs.posix.scratch import Scratch
from packetfs.fs.streams.ingest import Ingested, ingest
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool


class Overlay:
    """One file's bytes: ranges first, then the first `_kept` bytes of the program `base`, then a hole up to `size`."""

    buffered = 0

    def __init__(self, pool: Pool, programs: Programs, base: Digest, size: int, holes: int) -> None:
        self._pool = pool
        self._programs = programs
        self._base = base
        self._base_data = size - holes
        self._kept = size
        self._ranges = Ranges(size)
        self._scratch: Scratch | None = None
        self.size = size

    @property
    def count(self) -> int:
        """Ranges, which take memory."""
        return len(self._ranges)

    @property
    def allocated(self) -> int:
        """Bytes that are in no hole; where a file with holes was changed, at most."""
        return self._ranges.data + min(self._kept - self._ranges.below, self._base_data)

    @property
    def written(self) -> int:
        """Bytes in the scratch file."""
        return self._ranges.data

    # reading

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, Kind | None]]:
        """Yield (start, end, kind) of what makes up [start, stop); None for the base."""
        while start < stop:
            end, kind = self._ranges.at(start)
            end = stop if end < 0 else min(end, stop)
            if kind is None and start < self._kept:
                end = min(end, self._kept)
            elif kind is None:
                kind = Kind.HOLE
            yield start, end, kind
            start = end

    def read(self, start: int, stop: int) -> list[Buffer]:
        """Return the bytes [start, stop), as far as the file goes."""
        found: list[Buffer] = []
        for first, last, kind in self._parts(start, min(stop, self.size)):
            if kind is None:
                found += self._programs.read(self._base, first, last)
            elif kind is Kind.DATA and self._scratch is not None:
                found += self._scratch.read(first, last - first)
            else:
                found += zeros(last - first)
        return found

    def _read_into(self, offset: int, out: memoryview) -> int:
        stop = min(offset + len(out), self.size)
        for first, last, kind in self._parts(offset, stop):
            part = out[first - offset : last - offset]
            if kind is None:
                self._programs.read_into(self._base, first, part)
            elif kind is Kind.DATA and self._scratch is not None:
                self._scratch.read_into(first, part)
            else:
                part[:] = bytes(len(part))
        return max(stop - offset, 0)

    # changing

    def write(self, offset: int, data: memoryview) -> None:
        if self._scratch is None:
            self._scratch = Scratch(self._pool)
        self._scratch.write(data, offset)
        end = offset + len(data)
        self._ranges.mark(offset, end, Kind.DATA)
        self.size = max(self.size, end)

    def clear(self, start: int, stop: int) -> None:
        """Make a hole, as far as the file goes."""
        stop = min(stop, self.size)
        if start < stop:
            self._ranges.mark(start, stop, Kind.HOLE)
            if self._scratch is not None:
                self._scratch.punch(start, stop)

    def truncate(self, size: int) -> None:
        if size < self.size:
            self._ranges.lower(size)
            self._kept = min(self._kept, size)
            if self._scratch is not None:
                self._scratch.punch(size, self.size)
        self.size = size

    # what an ingest may know

    def unchanged(self, at: int) -> int:
        """Return where what is as in the program ends."""
        end, kind = self._ranges.at(at)
        if kind is not None or at >= self._kept:
            return at
        return self._kept if end < 0 else min(end, self._kept)

    def changed(self, at: int) -> int:
        """Return where what was written, or is behind the program, ends."""
        end, _ = self._ranges.at(at)
        return self.size if end < 0 else min(end, self.size)

    def zeros(self, at: int) -> int:
        """Return where the hole at an offset ends."""
        start = at
        while at < self.size:
            end, kind = self._ranges.at(at)
            end = self.size if end < 0 else min(end, self.size)
            if kind is Kind.DATA:
                break
            if kind is None and at < self._kept:
                leaf_end, is_zeros = self._programs.is_hole(self._base, at, self._kept)
                if not is_zeros:
                    break
                end = min(end, leaf_end)
            at = end
        return max(at, start)

    def settle(self) -> Ingested:
        """Make it a program. Asked again after it failed, it begins anew."""
        return ingest(self._pool, self._read_into, self._base, known=self)
