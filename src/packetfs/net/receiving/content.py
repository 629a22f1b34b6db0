"""Arriving content on its way into a program: fed piece by piece, its root is known when the last one is in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from packetfs.errors import Unverified
from packetfs.fs.streams.ingest import ingest
from packetfs.limits import MIB
from packetfs.net.receiving.delivery import Delivery, Run
from packetfs.net.receiving.spans import Spans
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import INLINE, copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Kind
from packetfs.packet.layout import Buffer
from packetfs.packet.tree import TreeWriter
from packetfs.pool.pool import Pool
from packetfs.typing import Final, Protocol

_RUN_PIECE = bytes(1 << 16)
_TOGETHER: Final = MIB
"""Bytes of chunks that wait for others: those of a frame, also where it copies many more than it brings."""


class Tee(Protocol):
    """Somebody who takes the content while it passes."""

    def take(self, piece: Buffer | Run) -> None:
        """Take one piece, whose memory is good until `settle`."""

    def settle(self) -> None:
        """Be done with all pieces so far."""


class Feed:
    """Turns a delivery's pieces into what `ingest` pulls, showing each piece to `tee` on the way."""

    def __init__(self, delivery: Delivery, tee: Tee | None = None) -> None:
        self._pieces = _flatten(_seen(delivery, tee))
        self._rest: memoryview = memoryview(b"")

    def read_into(self, offset: int, view: memoryview) -> int:  # noqa: ARG002 (the content comes in order)
        """Fill `view` as far as the content goes; return the bytes."""
        filled = 0
        while filled < len(view):
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            count = min(len(self._rest), len(view) - filled)
            view[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        return filled


def _seen(delivery: Delivery, tee: Tee | None) -> Iterator[Buffer | Run]:
    """Yield the pieces of a delivery, each after `tee` has seen it."""
    if tee is None:
        yield from delivery.pieces()
        return
    for piece in delivery.pieces(tee.settle):
        tee.take(piece)
        yield piece


def _flatten(pieces: Iterator[Buffer | Run]) -> Iterator[Buffer]:
    for piece in pieces:
        if isinstance(piece, Run):
            yield from _spread(piece)
        else:
            yield piece


def _spread(run: Run) -> Iterator[Buffer]:
    block = _RUN_PIECE if not run.byte else bytes([run.byte]) * len(_RUN_PIECE)
    left = run.length
    while left:
        yield memoryview(block)[:left]
        left -= min(left, len(block))


def take_in(
    pool: Pool,
    path: bytes,
    delivery: Delivery,
    root: bytes,
    *,
    old_root: Digest | None = None,
    keep: bool = True,
    tee: Tee | None = None,
    spans: Spans | None = None,
) -> Digest:
    """Put a delivery into a pool (`keep` False: its programs only) and return its root.

    `spans` is the delivery as instructions, where what it leaves in place is so in `old_root`. Unverified unless the
    root is `root`; what comes early has none to compare yet.
    """
    if delivery.whole:
        taken = _build(pool, delivery, keep, tee)
    elif spans is not None:
        compared = not delivery.early
        taken = ingest(pool, spans.read_into, old_root=old_root, keep=keep, known=spans, trusting=compared).root
        spans.finish()
    else:
        feed = Feed(delivery, tee)
        taken = ingest(pool, feed.read_into, old_root=old_root, keep=keep).root
    if taken != root and not delivery.early:
        raise Unverified(path=path)
    return taken


def _build(pool: Pool, delivery: Delivery, keep: bool, tee: Tee | None) -> Digest:
    """Make the program whose leaves are the pieces: the sender has cut, and the root tells whether it did so right."""
    leaves = _Leaves(pool, delivery.path, keep, tee)
    for piece in delivery.pieces(leaves.settle):
        leaves.take(piece)
    return leaves.close()


class _Leaves:
    """Makes a leaf of each piece. Chunks wait for those behind them, so that they are hashed and kept together."""

    __slots__ = ("_chunks", "_is_short", "_keep", "_path", "_pool", "_tee", "_waiting", "_writer")

    def __init__(self, pool: Pool, path: bytes, keep: bool, tee: Tee | None) -> None:
        self._pool = pool
        self._path = path
        self._keep = keep
        self._tee = tee
        self._writer = TreeWriter(pool, Kind.FILE, pool.mean)
        self._chunks: list[Buffer] = []
        self._waiting = 0
        self._is_short = False

    def take(self, piece: Buffer | Run) -> None:
        """Take one piece, whose memory is good until `settle`."""
        if self._tee is not None:
            self._tee.take(piece)
        if isinstance(piece, Run):
            self._add_chunks()
            self._writer.add(fill_leaf(piece.byte, piece.length), piece.length)
            self._is_short = False
            return
        size, mean = len(piece), self._pool.mean
        if self._is_short or size > mean * 3 // 2:
            raise Unverified(path=self._path)  # no cutter makes such pieces, and many small ones would cost much
        self._is_short = size < mean // 2
        if size <= INLINE:
            self._add_chunks()
            self._writer.add(data_leaf(bytes(piece)), size)
        else:
            self._chunks.append(piece)
            self._waiting += size
            if self._waiting >= _TOGETHER:
                self._add_chunks()

    def settle(self) -> None:
        """Be done with all pieces so far."""
        self._add_chunks()
        if self._tee is not None:
            self._tee.settle()

    def _add_chunks(self) -> None:
        if not self._chunks:
            return
        chunks = [(digest_of(chunk), chunk) for chunk in self._chunks]
        self._chunks.clear()
        self._waiting = 0
        if self._keep:
            self._pool.put_all(chunks)
        sizes = [len(chunk) for _, chunk in chunks]
        leaves = map(copy_leaf, [digest for digest, _ in chunks], sizes)
        self._writer.add_extents(b"".join(leaves), [0, *accumulate(sizes)])

    def close(self) -> Digest:
        """Return the root."""
        self._add_chunks()
        return self._writer.close()
