"""The bytes of a file by its root: into memory of the caller, as an object, or as views where they lie in the arena."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from packetfs.errors import BadProgram, NotContiguous
from packetfs.fs.leaves import Leaves
from packetfs.limits import READ_PIECES
from packetfs.packet.codec import decode
from packetfs.packet.digest import Digest, short
from packetfs.packet.execute import Filling, fill_from, run_leaf
from packetfs.packet.layout import Op
from packetfs.typing import Final, Protocol


class Extents(Filling, Protocol):
    """A store that also gives payloads where they lie."""

    def view(self, digest: Digest) -> memoryview:
        """Return the payload where it lies."""


class Contents:
    """Reads files of one store."""

    def __init__(self, store: Extents) -> None:
        self._store: Final = store
        self._leaves: Final = Leaves(store)

    def size(self, root: Digest) -> int:
        """Return how many bytes a program makes."""
        return self._leaves.size(root)

    def read(self, root: Digest, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length), which must be in the file."""
        return b"".join(
            part
            for at, leaf in self._leaves.between(root, offset, offset + length)
            for part in self._run(at, leaf, offset, length)
        )

    def _run(self, at: int, leaf: bytes, offset: int, length: int) -> Iterator[bytes]:
        return run_leaf(self._store, leaf, max(offset - at, 0), offset + length - at)

    def read_into(self, root: Digest, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `offset` on; an extent's go there without a copy on the way."""
        for at, leaf in self._leaves.between(root, offset, offset + len(out)):
            skip = max(offset - at, 0)
            fill_from(self._store, leaf, skip, out[at + skip - offset :])

    def views(self, root: Digest, offset: int, length: int) -> Iterator[memoryview]:
        """Yield the bytes [offset, offset + length), one view for each extent; runs and inline data are copies."""
        end = offset + length
        for at, leaf in self._leaves.between(root, offset, end):
            skip = max(offset - at, 0)
            if _is_plain_copy(leaf):
                packet = decode(leaf)
                extent = self._store.view(Digest(packet.body[:32]))
                if packet.operand + packet.length > len(extent):
                    raise BadProgram(root=short(root), reason="it copies more than an extent has")
                yield extent[packet.operand + skip : packet.operand + min(packet.length, end - at)].toreadonly()
            else:
                yield from (memoryview(part) for part in run_leaf(self._store, leaf, skip, end - at))

    def view(self, path: str, root: Digest, offset: int, length: int, *, copy: bool | None) -> memoryview:
        """Return the same bytes as one read-only view: no copy where they lie in one extent, or NotContiguous."""
        if not length:
            return memoryview(b"")
        parts = [] if copy else list(islice(self.views(root, offset, length), 2))  # of a run there may be 2**43
        if len(parts) == 1:
            return parts[0]
        if copy is False:
            raise NotContiguous(path=path, count="several")
        joined = bytearray(length)
        self.read_into(root, offset, memoryview(joined))
        return memoryview(joined).toreadonly()


def _is_plain_copy(leaf: bytes) -> bool:
    """Tell whether a leaf copies from an extent; other kinds of COPY are for `run_leaf` to refuse."""
    return leaf[0] == Op.COPY and not leaf[1]


def span(size: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Return (offset, length) of what a slice takes of a file: negative positions count from its end."""
    first, last, _ = slice(start, end).indices(size)
    return first, max(last - first, 0)


def is_large(length: int) -> bool:
    """Tell whether joining pieces costs more than filling an object of the right size."""
    return length > READ_PIECES
