"""Output in record order: what a batch emits waits until all before it has been delivered.

A turn's output goes straight to the receiver when nothing is before it, else to the spool. What was delivered is
counted in the ledger: a batch that is run again after a kill emits the same bytes, and those that went out are skipped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from packetfs.dataclass import dataclass, field
from packetfs.engines.ledger import Ledger
from packetfs.engines.spool import Spool
from packetfs.limits import OUTPUT_BUFFER
from packetfs.packet.layout import Buffer

_READ_AHEAD = 64 * 1024
"""Bytes of the spool that are read at a time where pieces are short."""
Output = Callable[[Buffer], None]


@dataclass(slots=True)
class Piece:
    """Output of one microVM in one turn: `data`, or `length` bytes at `at` in the spool, of an entry that ends at
    `end`."""

    length: int
    data: Buffer | None = None
    entry: int = 0
    at: int = 0
    end: int = 0


@dataclass(slots=True)
class _Stream:
    """What one batch emitted and nobody got yet, by microVM; the first `ended` microVMs have ended."""

    count: int
    ended: int = 0
    pieces: dict[int, deque[Piece]] = field(default_factory=dict)


class Delivery:
    """Takes the output of turns in any order, from any thread."""

    def __init__(self, out: Output, spool: Spool, ledger: Ledger, *, keep: bool, first: int = 0, sent: int = 0) -> None:
        """`first`: the batch whose output comes next; `sent`: bytes of output before it."""
        self._out = out
        self._spool = spool
        self._ledger = ledger
        self._keep = keep
        self._streams: dict[int, _Stream] = {}
        self._state = threading.Lock()
        self._delivering = threading.Lock()
        self._batch = first
        self._index = 0
        self._sent = sent
        self._skip = 0 if keep else ledger.delivered

    @property
    def waiting(self) -> int:
        """The batch whose output comes next."""
        return self._batch

    @property
    def held(self) -> int:
        """Bytes of shared memory that wait."""
        return self._spool.held

    def add(self, batch: int, count: int, ended: int, lengths: Sequence[int], data: Sequence[Buffer]) -> None:
        """Take a turn's output: `lengths` of it by microVM, `data` in one or more parts. Its microVMs before `ended`
        have ended. When this returns, the output is delivered or lies in the spool."""
        with self._state:
            stream = self._streams.setdefault(batch, _Stream(count))
            if any(lengths) and (self._keep or batch != self._batch):
                self._spool_pieces(stream, batch, lengths, data)
            elif any(lengths):
                _split(stream, lengths, b"".join(data))
            stream.ended = ended
        self.deliver()
        with self._state:
            self._spool_rest(stream, batch)

    def restore(self, batch: int, count: int, ended: int, pieces: Sequence[tuple[int, Piece]]) -> None:
        """Take what a dead process left in the spool."""
        stream = self._streams[batch] = _Stream(count, ended)
        for index, piece in pieces:
            stream.pieces.setdefault(index, deque()).append(piece)

    def deliver(self) -> None:
        """Hand over what is next, unless another thread is at it: that one then sees what is new."""
        while self._has_next() and self._delivering.acquire(blocking=False):
            try:
                while pieces := self._take():
                    self._send(pieces)
            finally:
                self._delivering.release()

    def _has_next(self) -> bool:
        with self._state:
            return self._next() is not None

    def _next(self) -> deque[Piece] | None:
        """Return the pieces that come next, stepping over microVMs and batches that have no more."""
        while (stream := self._streams.get(self._batch)) is not None:
            pieces = stream.pieces.get(self._index)
            if pieces:
                return pieces
            if self._index >= stream.ended:
                return None
            self._index += 1
            if self._index == stream.count:
                del self._streams[self._batch]
                self._batch, self._index = self._batch + 1, 0
        return None

    def _take(self) -> list[Piece]:
        """Take what comes next, up to a buffer of it: many microVMs emit a few bytes each."""
        taken: list[Piece] = []
        size = 0
        with self._state:
            while size < OUTPUT_BUFFER and (pieces := self._next()):
                taken.append(pieces.popleft())
                size += taken[-1].length
        return taken

    def _send(self, pieces: list[Piece]) -> None:
        if len(pieces) == 1 and pieces[0].data is None:
            piece = pieces[0]
            for at in range(0, piece.length, OUTPUT_BUFFER):
                self._hand_over(self._spool.read(piece.at + at, min(OUTPUT_BUFFER, piece.length - at)))
        else:
            recent: dict[int, tuple[int, bytes]] = {}
            self._hand_over(b"".join(self._bytes(piece, recent) for piece in pieces))
        with self._state:
            for piece in pieces:
                if piece.data is None:
                    self._spool.release(piece.entry, piece.length)

    def _bytes(self, piece: Piece, recent: dict[int, tuple[int, bytes]]) -> Buffer:
        """Return a piece; what follows it in the spool is read with it, and `recent` for its neighbours."""
        if piece.data is not None:
            return piece.data
        at, data = recent.get(piece.entry, (0, b""))
        if not at <= piece.at <= piece.at + piece.length <= at + len(data):
            size = max(piece.length, min(_READ_AHEAD, piece.end - piece.at))
            at, data = recent[piece.entry] = piece.at, self._spool.read(piece.at, size)
        return memoryview(data)[piece.at - at : piece.at - at + piece.length]

    def _hand_over(self, data: bytes) -> None:
        start, end = self._sent, self._sent + len(data)
        skip = max(0, min(self._skip - start, len(data)))
        if skip < len(data):
            self._out(memoryview(data)[skip:])
            self._ledger.delivered = max(end, self._skip)
        self._sent = end

    def _spool_pieces(self, stream: _Stream, batch: int, lengths: Sequence[int], data: Sequence[Buffer]) -> None:
        entry, at = self._spool.append(batch, lengths, data)
        end = at + sum(lengths)
        for index, length in enumerate(lengths):
            if length:
                stream.pieces.setdefault(index, deque()).append(Piece(length, None, entry, at, end))
            at += length

    def _spool_rest(self, stream: _Stream, batch: int) -> None:
        """Move what this batch still has in memory to the spool, in its order."""
        waiting = [(i, p) for i, pieces in sorted(stream.pieces.items()) for p in pieces if p.data is not None]
        if not waiting:
            return
        lengths = [0] * (waiting[-1][0] + 1)
        for index, piece in waiting:
            lengths[index] += piece.length
        for index in {index for index, _ in waiting}:
            stream.pieces[index] = deque(p for p in stream.pieces[index] if p.data is None)
        self._spool_pieces(stream, batch, lengths, [p.data for _, p in waiting if p.data is not None])


def _split(stream: _Stream, lengths: Sequence[int], data: bytes) -> None:
    view, at = memoryview(data), 0
    for index, length in enumerate(lengths):
        if length:
            stream.pieces.setdefault(index, deque()).append(Piece(length, view[at : at + length]))
        at += length
