"""A file that is written front to back: its bytes become extents as they come, and are never copied to a disk twice.

What is not yet cut is in memory, and as long as that is the whole file, any part of it may change there. What the pool
could not take stays here too: a call that raises has lost nothing, and can be made again when there is room.
"""

from __future__ import annotations

from packetfs.errors import PacketFSError
from packetfs.fs.streams.ingest import Ingested
from packetfs.packet.cut import cut, reach_of
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import INLINE, copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Kind
from packetfs.packet.layout import Buffer, Mark
from packetfs.packet.tree import TreeWriter
from packetfs.pool.following import Following
from packetfs.pool.pool import Pool
from packetfs.typing import Final

HELD: Final = 1 << 20
"""Bytes that wait before they are cut: after each cut some 100 KB are left that the next one looks at again."""
_PASSES: Final = 1 << 18
"""Bytes of a write that are cut where they are: of fewer, most would be copied to what is held anyway."""
_SPAN: Final = 4
"""Means that are cut at a time while the pool may recognise what comes next; doubled as long as it does not."""


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
        self._chunks = Following(pool)
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
        if offset == self.size:
            if self._held >= HELD:
                self._drain()
            if self._cut and len(data) >= _PASSES:
                data = self._pass(data)
            offset = self.size
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
            self._drain(ended=True)
            self._end_run()
            self._root = self._writer.close()
        self._nodes.hand_over()
        return Ingested(self._root, self._cut, self._cut, self._sparse)

    # cutting

    def _drain(self, ended: bool = False) -> None:
        """Cut what can be cut of what is held, and everything where the file has ended."""
        before = self._cut
        try:
            with memoryview(self._space)[: self._held] as held:
                self._store(held, ended)
        finally:
            self._let_go(self._cut - before)

    def _let_go(self, done: int) -> None:
        self._held -= done
        self._space[: self._held] = self._space[done : done + self._held]

    def _pass(self, data: memoryview) -> memoryview:
        """Cut what comes behind what is held, of which only the first bytes are copied; return what is to be held.

        Where the pool takes no more, that is all the rest: the next call that cuts says so.
        """
        before, held = self._cut, self._held
        near = min(len(data), reach_of(self._pool.mean))
        self._reach(held + near)
        self._space[held : held + near] = data[:near]
        self._held = held
        try:
            with memoryview(self._space)[: held + near] as joined:
                self._store(joined, False)
            if (done := self._cut - before) >= held:
                self._store(data[done - held :], False)
        except PacketFSError:
            pass
        done = self._cut - before
        self._let_go(min(done, held))
        return data[max(done - held, 0) :]

    def _store(self, view: memoryview, ended: bool) -> None:
        """Make extents of what is cut or recognised at the front of some bytes; `_cut` says how many these were."""
        self._nodes.hand_over()
        mean, at, span = self._pool.mean, 0, _SPAN * self._pool.mean
        begun = self._cut
        while True:
            for length, digest in self._chunks.recognise(view[at:]):
                self._add(digest, length)
            at = self._cut - begun
            part = view[at : at + span]
            whole = len(part) == len(view) - at
            for length in cut(part, mean, ended and whole, self._run_byte):
                self._take(view[at : at + abs(length)], length)
                at += abs(length)
                if self._chunks.expects:
                    break
            else:
                if whole:
                    break
                span *= 2
                continue
            span = _SPAN * mean
        self._nodes.hand_over()

    def _take(self, chunk: memoryview, length: int) -> None:
        if length < 0:
            self._chunks.interrupt()
            if chunk[0] != self._run_byte:
                self._end_run()
                self._run_byte = chunk[0]
            self._run -= length
            self._cut -= length
        elif length > INLINE:
            self._add(self._chunks.put(chunk), length)
        else:
            self._chunks.interrupt()
            self._end_run()
            self._writer.add(data_leaf(bytes(chunk)), length)
            self._cut += length

    def _add(self, digest: Digest, length: int) -> None:
        self._end_run()
        self._writer.add(copy_leaf(digest, length), length, digest)
        self._cut += length

    def _end_run(self) -> None:
        if self._run:
            self._writer.add(fill_leaf(self._run_byte, self._run), self._run)
            if not self._run_byte:
                self._sparse += self._run
        self._run_byte, self._run = -1, 0
