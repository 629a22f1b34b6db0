"""Output in record order: what a batch emits waits until all before it has been delivered.

A turn's output goes straight to the receiver when nothing is before it, else to the spool. What was delivered is
counted in the ledger: a batch that is run again after a kill emits the same bytes, and those that went out are skipped.
A batch of several microVMs is delivered when all of them have ended; a long shard alone in its batch turn by turn.
"""

from __future__ import annotations

from itertools import accumulate

from packetfs.dataclass import dataclass, field
from packetfs.engines.live.ledger import Ledger
from packetfs.engines.live.spool import Entry, Spool
from packetfs.limits import KIB, OUTPUT_BUFFER, PASS_OUTPUT
from packetfs.packet.layout import Buffer
from packetfs.threading import Lock
from packetfs.typing import Callable, Iterator, Sequence

Output = Callable[[Buffer], None]
_SHORT = 64 * KIB
"""Bytes from which to hand output over as it lies costs less than to copy it."""


class _Block:
    """What one turn of a batch emitted: `lengths` bytes of each microVM, or as one where they lie in order. It is in
    memory (`data`), as bytes or as a view, or an entry of the spool."""

    __slots__ = ("data", "entry", "lengths", "size")

    def __init__(self, lengths: Sequence[int], data: Buffer | None, entry: Entry | None) -> None:
        self.lengths = lengths
        self.size = sum(lengths)
        self.data = data
        self.entry = entry


@dataclass(slots=True)
class _Stream:
    """What one batch emitted, turn by turn, and whether all its `count` microVMs have ended."""

    count: int
    finished: bool = False
    blocks: list[_Block] = field(default_factory=list)


class Delivery:
    """Takes the output of turns in any order, from any thread."""

    def __init__(self, out: Output, spool: Spool, ledger: Ledger, *, keep: bool, first: int = 0, sent: int = 0) -> None:
        """`first`: the shard whose output comes next; `sent`: bytes of output before it."""
        self._out = out
        self._spool = spool
        self._ledger = ledger
        self._keep = keep
        self._streams: dict[int, _Stream] = {}
        self._state = Lock()
        self._delivering = Lock()
        self._next_shard = first
        self._in_flight = -1
        """The first shard of what is being handed over."""
        self._sent = sent
        self._skip = 0 if keep else ledger.delivered

    @property
    def held(self) -> int:
        """Bytes of shared memory that wait."""
        return self._spool.held

    @property
    def settled(self) -> int | None:
        """The shard before which all output was handed over; None where all that waits is kept beyond this process."""
        with self._state:
            ahead = self._next_shard if self._in_flight < 0 else self._in_flight
            return None if self._keep else ahead

    def add(self, shard: int, count: int, finished: bool, lengths: Sequence[int], data: Sequence[Buffer]) -> None:
        """Take a turn's output: of a batch of `count` shards from `shard` on, `lengths` of it by microVM, `data` in one
        or more parts. When this returns, the output is delivered, being delivered, or in the spool."""
        block = _Block(lengths, b"".join(data), None)
        with self._state:
            stream = self._streams.setdefault(shard, _Stream(count))
            stream.finished = finished
            if block.size:
                stream.blocks.append(block)
                if self._keep or shard != self._next_shard:
                    self._put_away(shard, block)
        self.deliver()
        with self._state:
            if block.data is not None and block in stream.blocks:
                self._put_away(shard, block)

    def pass_on(self, shard: int, count: int, pieces: Sequence[Buffer]) -> None:
        """Take all that a batch emitted, in order, where it was remembered. It waits where it is, not in the spool: if
        this process dies the batch is run, as nobody ran it."""
        blocks = [_Block([len(piece)], piece, None) for piece in pieces if len(piece)]
        with self._state:
            self._streams[shard] = _Stream(count, True, blocks)
            for block in blocks if self._keep else ():
                self._put_away(shard, block)
        self.deliver()

    def restore(self, shard: int, count: int, finished: bool, entries: Sequence[tuple[Entry, Sequence[int]]]) -> None:
        """Take what a dead process left in the spool."""
        blocks = [_Block(lengths, None, entry) for entry, lengths in entries if any(lengths)]
        self._streams[shard] = _Stream(count, finished, blocks)

    def deliver(self) -> None:
        """Hand over what is next, unless another thread is at it: that one then sees what is new."""
        while self._has_next() and self._delivering.acquire(blocking=False):
            try:
                while taken := self._take():
                    self._send(taken)
            finally:
                self._delivering.release()

    def _put_away(self, shard: int, block: _Block) -> None:
        block.entry = self._spool.append(shard, block.lengths, [block.data or b""])
        block.data = None

    def _has_next(self) -> bool:
        with self._state:
            return self._next() is not None

    def _next(self) -> _Stream | None:
        """Return the stream whose bytes come next, past those that have ended and have none."""
        while (stream := self._streams.get(self._next_shard)) is not None:
            if stream.blocks and (stream.finished or stream.count == 1):
                return stream
            if not stream.finished:
                return None
            del self._streams[self._next_shard]
            self._next_shard += stream.count
        return None

    def _take(self) -> list[list[_Block]]:
        """Take what comes next, batch by batch, up to a buffer of it: many batches emit a few bytes each."""
        taken: list[list[_Block]] = []
        size = 0
        with self._state:
            while size < OUTPUT_BUFFER and (stream := self._next()) is not None:
                self._in_flight = self._next_shard if not taken else self._in_flight
                taken.append(stream.blocks)
                size += sum(block.size for block in stream.blocks)
                stream.blocks = []
        return taken

    def _send(self, taken: list[list[_Block]]) -> None:
        if sum(block.size for blocks in taken for block in blocks) <= PASS_OUTPUT:
            for data in _gathered([part for blocks in taken for part in self._parts(blocks)]):
                self._hand_over(data)
        else:
            for blocks in taken:
                for block, start, stop in _pieces(blocks):
                    self._hand_over(self._read(block, start, stop))
        with self._state:
            self._in_flight = -1
            for blocks in taken:
                for block in blocks:
                    if block.entry is not None:
                        self._spool.release(block.entry)

    def _parts(self, blocks: list[_Block]) -> list[Buffer]:
        """Return the output of a batch in the order of its microVMs."""
        turns = [(memoryview(self._read(block, 0, block.size)), _ends(block)) for block in blocks]
        if len(turns) == 1:
            return [turns[0][0]]
        most = max(len(block.lengths) for block in blocks)
        return [data[ends[i] : ends[i + 1]] for i in range(most) for data, ends in turns if i + 1 < len(ends)]

    def _read(self, block: _Block, start: int, stop: int) -> Buffer:
        data, entry = block.data, block.entry
        if data is not None or entry is None:
            return memoryview(data or b"")[start:stop]
        return self._spool.read(entry.at + start, stop - start)

    def _hand_over(self, data: Buffer) -> None:
        start, end = self._sent, self._sent + len(data)
        skip = max(0, min(self._skip - start, len(data)))
        if skip < len(data):
            self._out(memoryview(data)[skip:])
            self._ledger.delivered = max(end, self._skip)
        self._sent = end


def _gathered(parts: Sequence[Buffer]) -> Iterator[Buffer]:
    """Yield the parts as they are, but those that are short together: many microVMs emit a few bytes each."""
    short: list[Buffer] = []
    for part in parts:
        if len(part) < _SHORT:
            short.append(part)
            continue
        if short:
            yield b"".join(short)
            short = []
        yield part
    if short:
        yield b"".join(short)


def _ends(block: _Block) -> list[int]:
    return list(accumulate(block.lengths, initial=0))


def _pieces(blocks: list[_Block]) -> Iterator[tuple[_Block, int, int]]:
    """Yield (block, start, stop) in the order of the microVMs, no piece longer than a buffer."""
    turns = [(block, _ends(block)) for block in blocks]
    for i in range(max(len(block.lengths) for block in blocks)):
        for block, ends in turns:
            if i + 1 < len(ends):
                for at in range(ends[i], ends[i + 1], OUTPUT_BUFFER):
                    yield block, at, min(at + OUTPUT_BUFFER, ends[i + 1])
