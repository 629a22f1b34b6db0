"""Bytes of settled files: views of the arena, found through the nodes of programs that were looked at last."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from packetfs.errors import BadProgram
from packetfs.limits import TREE_DEPTH_MAX
from packetfs.packet.codec import decode
from packetfs.packet.digest import Digest, short
from packetfs.packet.execute import fill
from packetfs.packet.head import Head
from packetfs.packet.layout import HEADER, PACKET, Buffer, Op
from packetfs.packet.tree import produces, split
from packetfs.pool.pool import Pool

_NODES: Final = 128
"""Nodes kept, of 128 leaves each (20 KB in memory): 1 GiB of content that is read without looking up any."""
_VIEWS: Final = 16
"""Extents whose view is kept: a read of 128 KiB mostly ends inside one, and the next begins there."""
_ZEROS: Final = memoryview(bytes(1 << 20))
_COPY, _DATA, _FILL, _TREE = int(Op.COPY), int(Op.DATA), int(Op.FILL), int(Op.TREE)


class _Node:
    """A node of a program: where each of its leaves begins, and the bytes of all."""

    __slots__ = ("leaves", "size", "starts")

    def __init__(self, packets: bytes) -> None:
        self.leaves = list(split(packets))
        self.starts = []
        at = 0
        for leaf in self.leaves:
            self.starts.append(at)
            at += produces(leaf)
        self.size = at


class Programs:
    """Reads the programs of files in one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._nodes: dict[bytes, _Node] = {}
        self._views: dict[bytes, memoryview] = {}

    def leaves(self, root: Digest, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, leaf) of what produces any of [start, stop)."""
        return self._walk(root, 0, start, stop, -1, TREE_DEPTH_MAX + 1)

    def _walk(
        self, digest: bytes, base: int, start: int, stop: int, size: int, depth: int
    ) -> Iterator[tuple[int, bytes]]:
        node = self._nodes.get(digest) or self._load(digest, size)
        if not depth or (size >= 0 and node.size != size):
            raise BadProgram(root=short(digest), reason="a node does not produce what is said of it")
        index = max(bisect_right(node.starts, start - base) - 1, 0)
        for at, leaf in zip(node.starts[index:], node.leaves[index:], strict=True):
            if base + at >= stop:
                return
            if leaf[0] == _TREE:
                inner = leaf[HEADER : HEADER + 32]
                yield from self._walk(inner, base + at, start, stop, produces(leaf), depth - 1)
            elif base + at + produces(leaf) > start:
                yield base + at, leaf

    def _load(self, digest: bytes, size: int) -> _Node:
        packets = self._pool.read(Digest(digest))
        if size < 0:
            Head.parse(decode(packets))
            packets = packets[PACKET:]
        if len(self._nodes) >= _NODES:
            del self._nodes[next(iter(self._nodes))]
        node = self._nodes[digest] = _Node(packets)
        return node

    def read(self, root: Digest, start: int, stop: int) -> list[Buffer]:
        """Return the bytes [start, stop) of a program where they lie; fewer where it ends before."""
        parts: list[Buffer] = []
        for at, leaf in self.leaves(root, start, stop):
            skip, end = max(start - at, 0), min(stop - at, produces(leaf))
            if leaf[0] == _COPY and not leaf[1]:
                first = int.from_bytes(leaf[8:16], "little")
                view = self._view(leaf[HEADER : HEADER + 32])
                if first + end > len(view):
                    raise BadProgram(root=short(root), reason="it copies what is not in an extent")
                parts.append(view[first + skip : first + end])
            elif leaf[0] == _DATA:
                parts.append(leaf[HEADER + skip : HEADER + end])
            elif leaf[0] == _FILL:
                parts.extend(_run(leaf, skip, end - skip))
            else:
                raise BadProgram(root=short(root), reason="it has packets that do not belong in a file")
        return parts

    def read_into(self, root: Digest, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of a program from `start` on, which it must have."""
        at = 0
        for part in self.read(root, start, start + len(out)):
            out[at : at + len(part)] = part
            at += len(part)
        if at < len(out):
            raise BadProgram(root=short(root), reason="it ends too soon")

    def _view(self, digest: bytes) -> memoryview:
        found = self._views.get(digest)
        if found is None:
            if len(self._views) >= _VIEWS:
                del self._views[next(iter(self._views))]
            found = self._views[digest] = self._pool.view(Digest(digest))
        return found

    def forget(self) -> None:
        """Let go of all views, and with them of the leases on what they show."""
        self._views.clear()

    # holes

    def is_hole(self, root: Digest, offset: int, size: int) -> tuple[int, bool]:
        """Return where the leaf at an offset ends, and whether it is a run of zeros."""
        for at, leaf in self.leaves(root, offset, offset + 1):
            return min(at + produces(leaf), size), is_zeros(leaf)
        return size, True

    def holes(self, root: Digest, size: int) -> int:
        """Return how many bytes of a file are in runs of zeros."""
        return sum(produces(leaf) for _, leaf in self.leaves(root, 0, size) if is_zeros(leaf))


def is_zeros(leaf: bytes) -> bool:
    """Tell whether a leaf is a run of zeros."""
    return leaf[0] == _FILL and not any(leaf[HEADER:])


def zeros(length: int) -> Iterator[memoryview]:
    """Yield `length` zeros that take no memory of their own."""
    while length > 0:
        yield _ZEROS[:length]
        length -= len(_ZEROS)


def _run(leaf: bytes, skip: int, take: int) -> Iterator[Buffer]:
    pattern = leaf[HEADER : HEADER + leaf[4]]
    if not pattern:
        raise BadProgram(root="of a file", reason="FILL has no pattern")
    return zeros(take) if not any(pattern) else fill(pattern, skip, take)
