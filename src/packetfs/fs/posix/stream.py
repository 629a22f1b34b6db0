"""A file that is written front to back: its bytes become extents as they come, and are never copied to a disk twice.

What is not yet cut is in memory, and as long as that is the whole file, any part of it may change there. What the pool
could not take stays here too: a call that raises has lost nothing, and can be made again when there is room.
"""

from __future__ import annotations

from typing import Final

from packetfs.fs.ingest import Ingested
from packetfs.packet.cut import cut
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import INLINE, copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Kind
from packetfs.packet.layout import Buffer, Mark
from packetfs.packet.tree import TreeWriter
from packetfs.pool.pool import Pool

HELD: Final = 1 << 20
"""Bytes that wait before they are cut: after each cut some 100 KB are left that the next one looks at again."""


class _Later:
    """A store for the nodes of a program that never refuses: what the pool does not take waits for the next time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[tuple[bytes, Digest]] = []

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:  # noqa: ARG002 - programs all
        found = digest_of(payload) if digest is None else digest
        self._waiting.append((payload, found))
        return found

    def read(self, digest: Digest) -> bytes:
        return self._pool.read(digest)

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        return self._pool.read_range(digest, offset, length)

    def hand_over(self) -> None:
        while self._waiting:
            self._pool.put(*self._waiting[0], mark=Mark.PROGRAM)
            del self._waiting[0]


class Stream:
    """One file from its first byte on: `_cut` bytes are in the pool, the rest is held.

    What is held lies at the start of `_space`, which never shrinks: to give memory back and take it again for each
    megabyte took a third of the time.
    """

    count = 0

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._nodes = _Later(pool)
        self._writer = TreeWriter(self._nodes, Kind.FILE, pool.mean)
        self._space = bytearray()
        self._held = 0
        self._cut = 0
        self._run_byte = -1
        self._run = 0
        self._sparse = 0
        self._root: Digest | None = None

    @property
    def size(self) -> int:
        return self._cut + self._held

    @property
    def buffered(self) -> int:
        return len(self._space)

    @property
    def allocated(self) -> int:
        return self.size - self._sparse

    def takes(self, start: int, end: int) -> bool:
        """Tell whether bytes can be written here: at the end, or anywhere while all of the file is held."""
        if self._root is not None:
            return False
        return start == self.size or (not self._cut and end <= HELD)

    def write(self, offset: int, data: memoryview) -> None:
        if self._held >= HELD and offset == self.size:
            self._drain(HELD)
        start = offset - self._cut
        self._reach(start + len(data))
        self._space[start : start + len(data)] = data

    def _reach(self, end: int) -> None:
        """Hold bytes up to `end`, zeros where there were none."""
        if end <= self._held:
            return
        if end > len(self._space):
            self._space += bytes(end - len(self._space))
        self._held = end

    def resize(self, size: int) -> bool:
        """Truncate or extend what is held, where all of the file is; say whether that could be done."""
        if self._cut or self._root is not None or size > HELD:
            return False
        self.clear(size, self._held)
        self._reach(size)
        self._held = size
        return True

    def clear(self, start: int, stop: int) -> bool:
        """Make a range zeros, where all of the file is held; say whether that could be done."""
        if self._cut or self._root is not None:
            return False
        stop = min(stop, self._held)
        if start < stop:
            self._space[start:stop] = bytes(stop - start)
        return True

    def read(self, start: int, stop: int) -> list[Buffer] | None:
        """Return bytes that are held; None where others are asked for."""
        if start < self._cut or self._root is not None:
            return None
        return [bytes(self._space[start - self._cut : stop - self._cut])]

    def settle(self) -> Ingested:
        """Make it a program."""
        if self._root is None:
            self._drain(0)
            self._end_run()
            self._root = self._writer.close()
        self._nodes.hand_over()
        return Ingested(self._root, self._cut, self._cut, self._sparse)

    # cutting

    def _drain(self, wanted: int) -> None:
        """Cut what can be cut, and everything where nothing may be left."""
        self._nodes.hand_over()
        done = 0
        try:
            with memoryview(self._space)[: self._held] as held:
                for length in cut(held, self._pool.mean, not wanted, self._run_byte):
                    self._take(held, done, length)
                    done += abs(length)
        finally:
            self._held -= done
            self._space[: self._held] = self._space[done : done + self._held]
            self._cut += done
        self._nodes.hand_over()

    def _take(self, held: memoryview, at: int, length: int) -> None:
        if length < 0:
            if held[at] != self._run_byte:
                self._end_run()
                self._run_byte = held[at]
            self._run -= length
            return
        with held[at : at + length] as chunk:
            digest = self._pool.put(chunk) if length > INLINE else None
            self._end_run()
            if digest is None:
                self._writer.add(data_leaf(bytes(chunk)), length)
            else:
                self._writer.add(copy_leaf(digest, length), length, digest)

    def _end_run(self) -> None:
        if self._run:
            self._writer.add(fill_leaf(self._run_byte, self._run), self._run)
            if not self._run_byte:
                self._sparse += self._run
        self._run_byte, self._run = -1, 0
