"""Arriving content on its way into a program: fed piece by piece, its root is known when the last one is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from packetfs.errors import Unverified
from packetfs.fs.ingest import ingest
from packetfs.net.delivery import Delivery, Run
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool

_RUN_PIECE = bytes(1 << 16)


class Feed:
    """Turns a delivery's pieces into what `ingest` pulls, showing each piece to `tee` on the way."""

    def __init__(self, delivery: Delivery, tee: Callable[[Buffer | Run], None] | None = None) -> None:
        self._pieces = self._flatten(delivery.pieces(), tee)
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

    @staticmethod
    def _flatten(pieces: Iterator[Buffer | Run], tee: Callable[[Buffer | Run], None] | None) -> Iterator[Buffer]:
        for piece in pieces:
            if tee is not None:
                tee(piece)
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
    root: Digest,
    *,
    old_root: Digest | None = None,
    keep: bool = True,
    tee: Callable[[Buffer | Run], None] | None = None,
) -> None:
    """Put a delivery into a pool (`keep` False: its programs only); Unverified unless it has this root."""
    feed = Feed(delivery, tee)
    taken = ingest(pool, feed.read_into, delivery.size, old_root=old_root, keep=keep)
    if taken.root != root or taken.size != delivery.size:
        raise Unverified(path=path)
