"""The program that a stream becomes, leaf by leaf, with the fingerprints of its extents; a tee sees each leaf."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from packetfs.fs.nodes import NodeWriter
from packetfs.fs.streams.oldprogram import Segment, Stretch
from packetfs.fs.streams.prints import Prints
from packetfs.fs.streams.tee import Tee
from packetfs.packet.digest import Digest
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Kind
from packetfs.pool.pool import Pool
from packetfs.typing import Callable, Final

_NO_DATA: Final = memoryview(b"")


class NewProgram:
    """Writes leaves in order. A run that comes in parts is one leaf, which is written when something else comes."""

    def __init__(self, pool: Pool, prints: Prints | None, tee: Tee | None) -> None:
        self._writer = NodeWriter(pool, Kind.FILE, pool.mean)
        self._prints = prints
        self._tee = tee
        self.run_byte = -1
        """Of what a run may go on; -1 where none does."""
        self._run_length = 0
        self.sparse = 0
        """Bytes in runs of zeros."""

    @property
    def is_seen(self) -> bool:
        """Whether somebody wants each leaf, and its content."""
        return self._tee is not None

    @property
    def between_nodes(self) -> bool:
        """Whether the next leaf begins a node."""
        return not self._run_length and self._writer.between_nodes

    def chunk(self, digest: Digest, content: memoryview) -> None:
        """Write a leaf that copies a chunk, which was cut."""
        if self._run_length:
            self._end_run()
        if self._prints is not None:
            self._prints.add(self._prints.of(content))
        self._write(copy_leaf(digest, len(content)), len(content), digest, content)

    def chunks(self, digests: Sequence[Digest], contents: Sequence[memoryview]) -> None:
        """Write leaves that copy chunks, which were cut one behind the other."""
        if self._run_length:
            self._end_run()
        if self._prints is not None:
            self._prints.add(b"".join(map(self._prints.of, contents)))
        sizes = [len(content) for content in contents]
        leaves = list(map(copy_leaf, digests, sizes))
        self._writer.add_extents(b"".join(leaves), [0, *accumulate(sizes)])
        if self._tee is not None:
            self._tee.extents(leaves, contents)

    def data(self, content: memoryview) -> None:
        """Write a leaf that holds so few bytes itself."""
        if self._run_length:
            self._end_run()
        self._write(data_leaf(bytes(content)), len(content))

    def run(self, byte: int, length: int) -> None:
        """Let the run of a byte go on, or begin."""
        if byte != self.run_byte:
            self._end_run()
            self.run_byte = byte
        self._run_length += length

    def extent(self, old: Segment, content: Callable[[], memoryview]) -> None:
        """Write a segment of the old program that is no run; `content` is asked for where its bytes are needed."""
        if self._run_length:
            self._end_run()
        digest = old.digest
        if self._prints is not None and digest is not None:
            self._prints.add(old.print or self._prints.of(content()))
        if self._tee is None:
            self._write(old.leaf, old.length, digest or b"")
            return
        self._write(old.leaf, old.length, digest or b"", content() if digest is not None else _NO_DATA)
        self.settle()  # the next look ahead may move the window

    def extents(self, old: Stretch) -> None:
        """Write extents of the old program that lie side by side, where nobody sees them."""
        if self._run_length:
            self._end_run()
        if self._prints is not None:
            self._prints.add(old.prints)
        self._writer.add_extents(old.leaves, old.starts)

    def node(self, packet: bytes) -> None:
        """Write a whole node of the old program, where the next leaf begins one."""
        self._writer.add_node(packet)

    def settle(self) -> None:
        """Be done with all content that was shown."""
        if self._tee is not None:
            self._tee.settle()

    def close(self) -> Digest:
        """Return the root."""
        self._end_run()
        root = self._writer.close()
        if self._tee is not None:
            self._tee.end(root)
        return root

    def _write(self, leaf: bytes, length: int, key: bytes = b"", content: memoryview = _NO_DATA) -> None:
        self._writer.add(leaf, length, key)
        if self._tee is not None:
            self._tee.leaf(leaf, content)

    def _end_run(self) -> None:
        if self._run_length:
            self._write(fill_leaf(self.run_byte, self._run_length), self._run_length)
            if not self.run_byte:
                self.sparse += self._run_length
        self.run_byte = -1
        self._run_length = 0
