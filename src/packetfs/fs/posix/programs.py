"""Bytes of settled files, as views of the arena."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from packetfs.errors import BadProgram
from packetfs.fs.leaves import Leaves
from packetfs.packet.digest import Digest, short
from packetfs.packet.execute import fill
from packetfs.packet.layout import HEADER, Buffer, Op
from packetfs.packet.tree import produces
from packetfs.pool.pool import Pool
from packetfs.typing import Final, NamedTuple, TypeAlias

_ZEROS: Final = memoryview(bytes(1 << 20))
_DIGEST_END: Final = HEADER + 32
_COPY, _DATA, _FILL = int(Op.COPY), int(Op.DATA), int(Op.FILL)
Later: TypeAlias = Callable[[], list[Buffer]]
"""A read that waits for the disk: it may be called in any thread."""


class Piece(NamedTuple):
    """A part of an extent; `root` is the program that says so."""

    digest: Digest
    start: int
    stop: int
    root: Digest

    def of(self, view: memoryview) -> memoryview:
        """Return the part."""
        if self.stop > len(view):
            raise _too_short(self.root)
        return view[self.start : self.stop]


class Programs:
    """Reads the programs of files in one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._leaves = Leaves(pool)
        self._last: tuple[bytes, memoryview] = b"", memoryview(b"")
        """The extent that was read last: a read mostly ends inside one, and the next begins there."""

    def read(self, root: Digest, start: int, stop: int) -> list[Buffer]:
        """Return the bytes [start, stop) of a program where they lie; fewer where it ends before."""
        parts = self._parts(root, start, stop)
        return [part.of(self._pool.view(part.digest)) if isinstance(part, Piece) else part for part in parts]

    def find(self, root: Digest, start: int, stop: int) -> list[Buffer] | Later:
        """The same, unless the disk would have to be waited for, as far as a look at both ends tells."""
        found: list[Buffer] = []
        for base, starts, leaves in self._leaves.runs(root, start, stop):
            for index, leaf in enumerate(leaves):
                at, end = base + starts[index], base + starts[index + 1]
                if leaf[0] != _COPY or leaf[1]:
                    found += _produce(root, leaf, max(start - at, 0), min(stop, end) - at)
                    continue
                view = self._peek(leaf[HEADER:_DIGEST_END], at <= start or end >= stop)
                if view is None:
                    return partial(_fetch, self._pool, list(self._parts(root, start, stop)))
                first = int.from_bytes(leaf[8:16], "little")
                if first + end - at > len(view):
                    raise _too_short(root)
                if first or at < start or end > stop or end - at < len(view):
                    view = view[first + max(start - at, 0) : first + min(stop, end) - at]
                found.append(view)
        return found

    def _peek(self, digest: bytes, look: bool) -> memoryview | None:
        last, view = self._last
        if digest == last:
            return view
        found = self._pool.peek(Digest(digest), look)
        if found is not None and look:
            self._last = digest, found
        return found

    def _parts(self, root: Digest, start: int, stop: int) -> Iterator[Buffer | Piece]:
        for at, leaf in self._leaves.between(root, start, stop):
            skip, end = max(start - at, 0), min(stop - at, produces(leaf))
            if leaf[0] == _COPY and not leaf[1]:
                first = int.from_bytes(leaf[8:16], "little")
                yield Piece(Digest(leaf[HEADER:_DIGEST_END]), first + skip, first + end, root)
            else:
                yield from _produce(root, leaf, skip, end)

    def read_into(self, root: Digest, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of a program from `start` on, which it must have.

        They are read, not copied out of a mapping: there a disk that fails would end the process.
        """
        at = 0
        for part in self._parts(root, start, start + len(out)):
            size = part.stop - part.start if isinstance(part, Piece) else len(part)
            if isinstance(part, Piece):
                self._pool.read_into(part.digest, part.start, out[at : at + size])
            else:
                out[at : at + size] = part
            at += size
        if at < len(out):
            raise BadProgram(root=short(root), reason="it ends too soon")

    def forget(self) -> None:
        """Let go of the view that is kept, and with it of the lease on what it shows."""
        self._last = b"", memoryview(b"")

    # holes

    def is_hole(self, root: Digest, offset: int, size: int) -> tuple[int, bool]:
        """Return where the leaf at an offset ends, and whether it is a run of zeros."""
        for at, leaf in self._leaves.between(root, offset, offset + 1):
            return min(at + produces(leaf), size), is_zeros(leaf)
        return size, True

    def holes(self, root: Digest, size: int) -> int:
        """Return how many bytes of a file are in runs of zeros."""
        return sum(produces(leaf) for _, leaf in self._leaves.between(root, 0, size) if is_zeros(leaf))


def _fetch(pool: Pool, parts: list[Buffer | Piece]) -> list[Buffer]:
    """Return bytes that may have to come from the disk: copies, as nobody may wait for a page of a mapping either."""
    return [
        pool.read_range(part.digest, part.start, part.stop - part.start) if isinstance(part, Piece) else part
        for part in parts
    ]


def is_zeros(leaf: bytes) -> bool:
    """Tell whether a leaf is a run of zeros."""
    return leaf[0] == _FILL and not any(leaf[HEADER:])


def zeros(length: int) -> Iterator[memoryview]:
    """Yield `length` zeros that take no memory of their own."""
    while length > 0:
        yield _ZEROS[:length]
        length -= len(_ZEROS)


def _too_short(root: Digest) -> BadProgram:
    return BadProgram(root=short(root), reason="it copies what is not in an extent")


def _produce(root: Digest, leaf: bytes, skip: int, end: int) -> Iterator[Buffer]:
    """Yield the bytes [skip, end) of what a leaf makes that copies nothing."""
    if leaf[0] == _DATA:
        yield leaf[HEADER + skip : HEADER + end]
    elif leaf[0] == _FILL:
        yield from _run(leaf, skip, end - skip)
    else:
        raise BadProgram(root=short(root), reason="it has packets that do not belong in a file")


def _run(leaf: bytes, skip: int, take: int) -> Iterator[Buffer]:
    pattern = leaf[HEADER : HEADER + leaf[4]]
    if not pattern:
        raise BadProgram(root="of a file", reason="FILL has no pattern")
    return zeros(take) if not any(pattern) else fill(pattern, skip, take)
