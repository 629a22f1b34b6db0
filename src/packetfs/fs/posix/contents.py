"""The bytes of files while they change: which content a file has, and when it becomes a program."""

from __future__ import annotations

import errno
import os

from packetfs.errors import PacketFSError
from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.nodes import SHOWN, Node, Nodes
from packetfs.fs.posix.overlay import Overlay
from packetfs.fs.posix.programs import Later, Programs
from packetfs.fs.posix.stream import Stream
from packetfs.fs.streams.ingest import ingest
from packetfs.limits import POSIX_HELD, POSIX_OVERLAY_BYTES, POSIX_OVERLAYS, POSIX_QUIET_SECONDS, POSIX_RANGES
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.typing import Final

SIZE_MAX: Final = (1 << 63) - 1


class Contents:
    """The unsettled files of a filesystem, the one that was written last at the end."""

    def __init__(self, pool: Pool, programs: Programs, nodes: Nodes) -> None:
        self._pool = pool
        self._programs = programs
        self._nodes = nodes
        self._pending: dict[int, Node] = {}
        self._quiet: dict[int, float] = {}
        self._empty: Digest = NO_DIGEST

    @property
    def empty(self) -> Digest:
        """The program of a file without bytes."""
        if self._empty == NO_DIGEST or not self._pool.holds(self._empty):  # gc may have taken it
            self._empty = ingest(self._pool, lambda _offset, _memory: 0).root
        return self._empty

    # reading

    def read(self, node: Node, offset: int, size: int) -> list[Buffer]:
        """Return bytes of a file, where they lie if they are settled; fewer at its end."""
        found = self.find(node, offset, size)
        return found() if callable(found) else found

    def find(self, node: Node, offset: int, size: int) -> list[Buffer] | Later:
        """The same, unless the disk would have to be waited for."""
        stop = min(offset + size, node.length)
        if offset >= stop:
            return []
        if isinstance(node.content, Stream):
            held = node.content.read(offset, stop)
            if held is not None:
                return held
            self._spread(node)
        if isinstance(node.content, Overlay):
            return node.content.read(offset, stop)
        return self._programs.find(node.root, offset, stop)

    def seek(self, node: Node, offset: int, whence: int) -> int:
        """Return where data or a hole begins from an offset on."""
        self.settle(node)
        if offset < 0 or offset >= node.size:
            fail(errno.ENXIO)
        wanted = whence == os.SEEK_HOLE
        while offset < node.size:
            end, is_hole = self._programs.is_hole(node.root, offset, node.size)
            if is_hole == wanted:
                return offset
            offset = end
        return node.size if wanted else fail(errno.ENXIO)

    # changing

    def write(self, node: Node, offset: int, data: memoryview) -> None:
        if offset < 0 or offset + len(data) > SIZE_MAX:
            fail(errno.EFBIG)
        if node.content is None and not node.size and not offset:
            node.content = Stream(self._pool)
        if isinstance(node.content, Stream) and node.content.takes(offset, offset + len(data)):
            self._touch(node)
            node.content.write(offset, data)
        else:
            self._overlay(node).write(offset, data)
        self._bound(node)

    def truncate(self, node: Node, size: int) -> None:
        if not 0 <= size <= SIZE_MAX:
            fail(errno.EFBIG if size > 0 else errno.EINVAL)
        if size == node.length:
            return
        if not size:
            self.discard(node)
            if node.size:
                node.content = Stream(self._pool)
                self._touch(node)
        elif not (isinstance(node.content, Stream) and node.content.resize(size)):
            self._overlay(node).truncate(size)
        self._bound(node)

    def clear(self, node: Node, start: int, stop: int) -> None:
        """Make a range of a file a hole, as far as the file goes."""
        if start < min(stop, node.length) and not (
            isinstance(node.content, Stream) and node.content.clear(start, stop)
        ):
            self._overlay(node).clear(start, stop)
        self._bound(node)

    def replace(self, node: Node, other: Node) -> None:
        """Give a file the whole content of another, which costs nothing."""
        self.settle(other)
        self.discard(node)
        node.root, node.size, node.holes = other.root, other.size, other.holes
        self._nodes.change(node, SHOWN)

    def _overlay(self, node: Node) -> Overlay:
        """Return the overlay of a file that is to be changed at any place."""
        if isinstance(node.content, Stream):
            self._spread(node)
        if node.content is None:
            holes = self._nodes.holes(node)
            node.content = Overlay(self._pool, self._programs, Digest(node.root), node.size, holes)
        self._touch(node)
        assert isinstance(node.content, Overlay)  # noqa: S101 - the stream has just gone
        return node.content

    def _spread(self, node: Node) -> None:
        """End the stream of a file: what comes next is an overlay on it."""
        self.settle(node)

    def _touch(self, node: Node) -> None:
        self._pending.pop(node.ino, None)
        self._pending[node.ino] = node
        self._quiet.pop(node.ino, None)

    def _bound(self, node: Node) -> None:
        """Settle what was not written for longest, where too much waits."""
        content = node.content
        if content is not None and content.count > POSIX_RANGES:
            self.settle(node)
        if len(self._pending) > 1 and (len(self._pending) > POSIX_OVERLAYS or self._is_too_much()):
            self.settle(next(iter(self._pending.values())))

    def _is_too_much(self) -> bool:
        held = written = 0
        for node in self._pending.values():
            if isinstance(node.content, Overlay):
                written += node.content.written
            elif node.content is not None:
                held += node.content.buffered
        return held > POSIX_HELD or written > POSIX_OVERLAY_BYTES

    # settling

    def settle(self, node: Node) -> None:
        """Make what changed in a file a program; where that fails it stays as it is, and can be tried again."""
        content = node.content
        if content is None:
            return
        done = content.settle()
        node.root, node.size, node.holes = done.root, done.size, done.sparse
        node.content = None
        self._pending.pop(node.ino, None)
        self._quiet.pop(node.ino, None)
        self._nodes.change(node, SHOWN)

    def settle_all(self) -> None:
        for node in list(self._pending.values()):
            self.settle(node)

    def settle_quiet(self, now: float) -> None:
        """Settle what was not written for a while. What fails is tried again later."""
        self._programs.forget()
        for node in list(self._pending.values()):
            since = self._quiet.setdefault(node.ino, now)
            if now - since >= POSIX_QUIET_SECONDS and node.nlink:
                self._quiet[node.ino] = now
                try:
                    self.settle(node)
                except PacketFSError:
                    continue

    def discard(self, node: Node) -> None:
        """Forget what changed in a file."""
        node.content = None
        self._pending.pop(node.ino, None)
        self._quiet.pop(node.ino, None)
