"""Output in record order: what a batch emits waits until all before it has been delivered.

A turn's output goes straight to the receiver when nothing is before it, else to the spool. What was delivered is
counted in the ledger: a batch that is run again after a kill emits the same bytes, and those that went out are skipped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from packetfs.engines.ledger import Ledger
from packetfs.engines.spool import Spool
from packetfs.limits import OUTPUT_BUFFER
from packetfs.packet.layout import Buffer

Output = Callable[[Buffer], None]


@dataclass(slots=True)
class Piece:
    """Output of one microVM in one turn: `data`, or `length` bytes in the spool (entry, where they begin)."""

    length: int
    data: Buffer | None = None
    entry: int = 0
    at: int = 0


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
                while (piece := self._take()) is not None:
                    self._send(piece)
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

    def _take(self) -> Piece | None:
        with self._state:
            pieces = self._next()
            return pieces.popleft() if pieces else None

    def _send(self, piece: Piece) -> None:
        start = self._sent
        if piece.data is not None:
            self._hand_over(memoryview(piece.data), start)
        else:
            for at in range(0, piece.length, OUTPUT_BUFFER):
                part = self._spool.read(piece.at + at, min(OUTPUT_BUFFER, piece.length - at))
                self._hand_over(memoryview(part), start + at)
            with self._state:
                self._spool.release(piece.entry, piece.length)
        self._sent = start + piece.length

    def _hand_over(self, data: memoryview, start: int) -> None:
        skip = max(0, min(self._skip - start, len(data)))
        if skip < len(data):
            self._out(data[skip:])
            self._ledger.delivered = max(start + len(data), self._skip)

    def _spool_pieces(self, stream: _Stream, batch: int, lengths: Sequence[int], data: Sequence[Buffer]) -> None:
        entry, at = self._spool.append(batch, lengths, data)
        for index, length in enumerate(lengths):
            if length:
                stream.pieces.setdefault(index, deque()).append(Piece(length, None, entry, at))
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
