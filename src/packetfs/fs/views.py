"""A file's bytes where they lie in the mapped arena: nothing is copied, and a view keeps gc from punching under it."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.errors import NotContiguous
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.codec import decode
from packetfs.packet.digest import Digest
from packetfs.packet.execute import run_leaf
from packetfs.packet.layout import Op
from packetfs.packet.tree import leaves


def view(fs: FileSystem, path: bytes, offset: int = 0, length: int | None = None) -> memoryview:
    """Return the bytes [offset, offset + length) of a file as a view of the arena; NotContiguous where an extent ends.

    The cost does not depend on the length. A file of one chunk, or a range inside one, is always contiguous.
    """
    found = list(_views(fs, path, offset, length))
    if len(found) != 1:
        raise NotContiguous(path=path, count=len(found))
    return found[0]


def views(fs: FileSystem, path: bytes, offset: int = 0, length: int | None = None) -> list[memoryview]:
    """Return the same bytes as one view for each extent; runs and inline data are small copies."""
    return list(_views(fs, path, offset, length))


def _views(fs: FileSystem, path: bytes, offset: int, length: int | None) -> Iterator[memoryview]:
    end = None if length is None else offset + length
    for at, leaf in leaves(fs.pool, fs.content_root(path), offset, end):
        skip = max(offset - at, 0)
        stop = None if end is None else end - at
        if leaf[0] == Op.COPY:
            packet = decode(leaf)
            start, size = packet.operand, packet.length
            extent = fs.pool.view(Digest(packet.body[:32]))
            yield extent[start + skip : start + (size if stop is None else min(size, stop))]
        else:
            yield from (memoryview(part) for part in run_leaf(fs.pool, leaf, skip, stop))
