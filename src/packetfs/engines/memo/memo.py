"""Results that are remembered: shards whose bytes a program has seen before are not run again.

A shard begins as a microVM that is done, and everything behind goes its usual way. A stretch of shards is looked up
before them: what it came to, counts and reduced maps, is merged into that of the job without a microVM. So a run after
a change looks up the stretches, and the shards of those that changed. known.py says under which keys results are kept:

    key of where a stretch begins   -> its span; from that follows its key
    key of a part                   -> question: what else the run looked at
    key of the answer to it here    -> result

Where no fields were read the second key and the result stand right behind the question, which saves looking for them.

Remembered are shards of files in a pool that ended well and traced nothing, and stretches of such shards, unless their
records are a list. What shards emitted is kept once: the results of a shard and of its stretch say where (emitted.py).
What is read back is checked as anything from a disk; what does not fit counts as not remembered.
"""

from __future__ import annotations

import struct
from _operator import lt
from array import array

from packetfs.dataclass import dataclass
from packetfs.engines.input.shards import Batch, Stretch
from packetfs.engines.input.source import PoolFile, Source
from packetfs.engines.memo import emitted, values
from packetfs.engines.memo.emitted import Piece
from packetfs.engines.memo.known import QUESTION, Begin, Keys, Part, Seen, Span, unpack_span
from packetfs.engines.memo.values import front
from packetfs.engines.results.brief import Brief, brief
from packetfs.engines.results.outcome import DAMAGE, Outcome, join
from packetfs.engines.results.totals import Totals
from packetfs.errors import BadPacket, PacketFSError
from packetfs.limits import MEMO_MAPS_MAX, MEMO_VALUE_MAX, MEMO_WAITING
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.layout import Buffer
from packetfs.pool.outputs import Place
from packetfs.threading import Lock
from packetfs.typing import Final, Protocol, Sequence
from packetfs.vm.context import Context
from packetfs.vm.image import Image
from packetfs.vm.layout import State

_COUNTS: Final = struct.Struct("<10Q")
"""What is told of a shard: records, executed, emitted, result, six verdicts; its piece of output follows."""
_EDGES: Final = struct.Struct("<QQ")
"""What is told of a stretch: the bytes of its edges and of what it counted, which follow; then its pieces of output."""
_MAPS_MAX: Final = MEMO_MAPS_MAX + 2 * MEMO_VALUE_MAX
"""Bytes of the maps of a value at the most."""


class Memory(Protocol):
    """Where results are kept, by key, and output, by place. Several threads may ask."""

    def recall(self, key: Digest) -> Buffer | None: ...
    def remember(self, key: Digest, value: bytes) -> None: ...
    def keep(self, output: Buffer) -> Place: ...
    def find(self, place: Place) -> Buffer | None: ...


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a shard computed. `piece`: what names its output in the result of its stretch."""

    records: int
    executed: int
    emitted: int
    result: int
    verdicts: tuple[int, ...]
    maps: Brief
    piece: Piece
    output: Buffer

    def totals(self, size: int) -> Totals:
        """Return what is counted of it, given the bytes of its input."""
        verdicts = list(self.verdicts)
        return Totals(1, self.records, size, self.executed, self.emitted, verdicts, self.result)


@dataclass(frozen=True, slots=True)
class Recalled:
    """A stretch, what it came to, and what it emitted, in order."""

    stretch: Stretch
    outcome: Outcome
    output: Sequence[Buffer]


class Memo:
    """What one job remembers and recalls. `recalled`: how many shards."""

    def __init__(self, memory: Memory, keys: Keys, image: Image, *, lists: bool) -> None:
        """`lists`: the records of the job are listed beforehand."""
        self._memory = memory
        self._keys = keys
        self._image = image
        self._lists = lists
        self._fits = image.maps_bytes <= MEMO_MAPS_MAX
        self._lock = Lock()
        self._held = 0
        self._parts: dict[int, Part] = {}
        """Those of the shards that run, by number: they will be kept under the key that was not found."""
        self._seen: dict[int, tuple[Seen, Piece]] = {}
        """What shards looked at and emitted, by number, until their stretch is kept."""
        self.recalled = 0

    # recalling

    def recall(self, source: Source, batch: Batch, index: int) -> Remembered | None:
        """Return what is remembered of shard `index` of a batch, None where nothing is."""
        if not isinstance(source, PoolFile) or not self._fits:
            return None
        part = self._keys.shard(source, batch, index)
        question, value = self._find(part)
        found = None if value is None else self._decode(value)
        if found is None:
            self._parts[part.shard] = part
            return None
        self._seen[part.shard] = self._keys.seen(part, question), found.piece
        with self._lock:
            self.recalled += 1
        return found

    def recall_batch(self, source: Source, batch: Batch) -> list[Remembered | None]:
        """Return the same of each shard of a batch."""
        return [self.recall(source, batch, index) for index in range(batch.count)]

    def recall_stretch(self, source: Source, file: int, shard: int, start: int) -> Recalled | None:
        """Return what is remembered of the stretch that begins at `start` of file number `file`, with shard number
        `shard`; None where nothing is."""
        if not isinstance(source, PoolFile) or not self._fits or self._lists:
            return None
        begin = self._keys.begin(source, file, shard, start)
        span = unpack_span(bytes(self._memory.recall(begin.key) or b""))
        part = None if span is None else self._keys.stretch(begin, span)
        value = None if part is None else self._find(part)[1]
        found = None if span is None or value is None else self._read_stretch(value, begin, span)
        if found is not None:
            with self._lock:
                self.recalled += len(found.stretch.starts)
        return found

    def _find(self, part: Part) -> tuple[bytes, Buffer | None]:
        """Return the question that was remembered of a part, and what was under the answer that it has here."""
        known = memoryview(self._memory.recall(part.key) or b"")
        question, answer = bytes(known[: QUESTION.size]), bytes(known[QUESTION.size : QUESTION.size + DIGEST])
        key = self._keys.answer(part, question)
        if key is None or not answer:
            return question, None if key is None else self._memory.recall(key)
        return question, known[QUESTION.size + DIGEST :] if key == answer else None

    def restore(self, found: Remembered, contexts: memoryview, maps: memoryview, slot: int) -> None:
        """Let a READY microVM be done with this result. Its maps memory holds what every shard begins with. Its hash
        tables get no index: nothing looks for keys in them any more."""
        at, held, begun = slot * self._image.maps_bytes, front(found.maps.laid()), len(self._image.initial)
        maps[at : at + len(held)] = held
        if len(held) < begun:
            maps[at + len(held) : at + begun] = bytes(begun - len(held))
        context = Context(contexts, slot)
        context.records, context.executed, context.emitted = found.records, found.executed, found.emitted
        context.verdicts, context.result = found.verdicts, found.result
        context.state = State.DONE

    # remembering

    def hold(self, size: int) -> bool:
        """Let so many bytes of output wait for the end of their shard, or a negative number go; False without room."""
        with self._lock:
            fits = self._held + size <= MEMO_WAITING
            self._held += size if fits else 0
            return fits

    def keep(
        self, source: Source, batch: Batch, index: int, context: Context, maps: memoryview, output: Buffer
    ) -> None:
        """Remember a shard that ran from its beginning to its end. `maps`: all of its maps memory; `output` must not
        change any more."""
        part = self._parts.pop(batch.shard + index, None)
        if not isinstance(source, PoolFile) or not self._fits or context.state != State.DONE:
            return
        if context.traced or context.emitted != len(output):
            return
        part = part or self._keys.shard(source, batch, index)
        seen, piece = self._keys.look(context, part.shard), emitted.piece_of(output, self._memory.keep)
        self._store(part, seen, self._encode(context, maps, piece))
        self._seen[part.shard] = seen, piece

    def keep_stretch(self, source: Source, file: int, stretch: Stretch, outcome: Outcome) -> None:
        """Remember what a stretch came to, if all of its shards are such that they are remembered."""
        noted = [self._seen.pop(shard, None) for shard in range(stretch.shard, stretch.shard + len(stretch.starts))]
        found = [each for each in noted if each is not None]
        if not isinstance(source, PoolFile) or self._lists or len(found) < len(noted):
            return
        looked, reached = 0, 0
        for seen, _ in found:
            looked, reached = looked | seen.looked, max(reached, seen.reached)
        start, (counts, maps), output = stretch.starts[0], outcome.parts(), emitted.pack([piece for _, piece in found])
        begin, span = self._keys.begin(source, file, stretch.shard, start), self._keys.span(source, stretch)
        edges = array("Q", [edge - start for edge in stretch.starts]).tobytes()
        value = self._brief(_EDGES.pack(len(edges), len(counts)) + edges + counts + output, maps)
        part = self._keys.stretch(begin, span)
        if part is not None and self._store(part, Seen(looked, reached), value):
            self._memory.remember(begin.key, span.pack())

    def _store(self, part: Part, seen: Seen, value: Sequence[Buffer]) -> bool:
        """Keep what a part came to; False where it cannot be."""
        question = self._keys.question(part, seen)
        key = self._keys.answer(part, question)
        if key is None or sum(map(len, value)) > MEMO_VALUE_MAX:
            return False
        if seen.looked:
            self._memory.remember(part.key, question)
            self._memory.remember(key, b"".join(value))
        else:
            self._memory.remember(part.key, b"".join((question, key, *value)))
        return True

    # values

    def _encode(self, context: Context, maps: memoryview, piece: Piece) -> list[Buffer]:
        counts = (context.records, context.executed, context.emitted, context.result, *context.verdicts)
        return self._brief(_COUNTS.pack(*counts) + emitted.pack([piece]), brief(self._image, maps))

    def _brief(self, told: bytes, maps: Buffer) -> list[Buffer]:
        with self._lock:  # the compressor is one for all threads
            return values.pack(told, maps)

    def _decode(self, value: Buffer) -> Remembered | None:
        try:
            told, words = values.unpack(value, _MAPS_MAX)
            maps = Brief(self._image, words)
            records, executed, size, result, *verdicts = _COUNTS.unpack_from(told)
            pieces = emitted.unpack(told[_COUNTS.size :])
        except (BadPacket, ValueError, struct.error):
            return None
        output = emitted.find(pieces, self._memory.find)
        if output is None or len(output) > 1 or sum(map(len, output)) != size:
            return None
        piece, data = (pieces[0], output[0]) if pieces else (b"", b"")
        return Remembered(records, executed, size, result, tuple(verdicts), maps, piece, data)

    def _read_stretch(self, value: Buffer, begin: Begin, span: Span) -> Recalled | None:
        try:
            told, maps = values.unpack(value, _MAPS_MAX)
            first, size = _EDGES.unpack_from(told)
            middle, end = _EDGES.size + first, _EDGES.size + first + size
            edges = array("Q", told[_EDGES.size : middle]).tolist()
            outcome, pieces = join(self._image, told[middle:end], maps), emitted.unpack(told[end:])
        except (PacketFSError, *DAMAGE):
            return None
        output = emitted.find(pieces, self._memory.find)
        if output is None:
            return None
        totals = outcome.totals
        counted = (totals.shards, totals.bytes, totals.emitted, totals.faulted)
        if counted != (len(edges), span.length, sum(map(len, output)), 0) or not _is_rising(edges, span.length):
            return None
        starts = tuple([begin.start + edge for edge in edges])
        return Recalled(Stretch(begin.shard, starts, begin.start + span.length), outcome, output)


def _is_rising(edges: list[int], stop: int) -> bool:
    return bool(edges) and not edges[0] and all(map(lt, edges, [*edges[1:], stop]))
