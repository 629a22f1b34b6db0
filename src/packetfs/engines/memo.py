"""Results of shards, remembered: a shard whose bytes a program has seen before begins as a microVM that is done.

What a shard computes follows from the program, the framing, the fuel, the bytes of its records, and the fields of the
record context that the program read (Context.fields_read, which every engine keeps). Most programs read none that tell
where the records lie; then a result holds wherever the same bytes are. A result is found in two steps:

    key    program, framing, fuel, outline of the shard      -> question: what else the run looked at
    key    the first key, question, what the answer is here  -> counters, maps, output

The question says which fields were read, how far the last line reached behind the shard's end, and whether the end of
the file ended it. The answer is the value of those fields, and the outline of those bytes. Where no fields were read
the second key and its value stand right behind the question, which saves looking for them.

Remembered are shards of files in a pool that ended well and traced nothing. What is read back is checked as anything
from a disk; what does not fit counts as not remembered.
"""

from __future__ import annotations

import struct
import threading
from typing import Final, Protocol

from packetfs.dataclass import dataclass
from packetfs.engines.outline import outline
from packetfs.engines.records import RecordKind, Records
from packetfs.engines.shards import Batch
from packetfs.engines.source import PoolFile, Source
from packetfs.errors import BadPacket
from packetfs.limits import MEMO_MAPS_MAX, MEMO_VALUE_MAX, MEMO_WAITING
from packetfs.packet.digest import DIGEST, Digest, digest_of
from packetfs.packet.zstd import compress, decompress
from packetfs.vm.context import GOLDEN, Context
from packetfs.vm.image import Image
from packetfs.vm.layout import SEMANTICS, VMS_MAX, State

_PREFIX: Final = b"packetfs memo 1\0"
_JOB: Final = struct.Struct("<QQ32s")
_QUESTION: Final = struct.Struct("<QQB")
_PLACE: Final = struct.Struct("<6Q32s")
_COUNTS: Final = struct.Struct("<11Q")
"""records, executed, emitted, result, six verdicts, bytes of maps; maps and output follow."""
_RAW, _ZSTD = b"\0", b"\1"
_SMALL: Final = 512
"""Bytes up to which a result is kept as it is: compressing it would gain less than it costs."""


class Looked:
    """Bits of a question: where records lie (bytes of the record context), and the random numbers."""

    INDEX: Final = 0xFF << 24
    OFFSET: Final = 0xFF << 32
    FILE: Final = 0xF << 40
    VM: Final = 0x3 << 44
    RANDOM: Final = 1 << 63
    ANY: Final = INDEX | OFFSET | FILE | VM


class Memory(Protocol):
    """Where results are kept, by key. Several threads may ask."""

    def recall(self, key: Digest) -> bytes | None: ...
    def remember(self, key: Digest, value: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a shard computed. `maps`: the front of its maps memory, the rest of which is zero."""

    records: int
    executed: int
    emitted: int
    result: int
    verdicts: tuple[int, ...]
    maps: bytes
    output: bytes


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard: its bytes begin at `start` and end at `stop` in its file, as far as is known before it runs."""

    source: PoolFile
    key: Digest
    start: int
    stop: int
    file: int
    shard: int
    index: int


class Memo:
    """What one job remembers and recalls. `recalled`: how many shards."""

    def __init__(self, memory: Memory, program: Digest, image: Image, records: Records, fuel: int, seed: int) -> None:
        self._memory = memory
        self._records = records
        self._seed = seed
        self._maps_bytes = image.maps_bytes
        self._initial = len(image.initial)
        self._job = digest_of(_PREFIX + _JOB.pack(SEMANTICS, fuel, program) + str(records).encode())
        self._lock = threading.Lock()
        self._held = 0
        self.recalled = 0

    # recalling

    def recall(self, source: Source, batch: Batch, index: int) -> Remembered | None:
        """Return what is remembered of shard `index` of a batch, None where nothing is."""
        if not isinstance(source, PoolFile) or self._maps_bytes > MEMO_MAPS_MAX:
            return None
        part = self._part(source, batch, index)
        known = self._memory.recall(part.key)
        value = None if known is None else self._value(part, known)
        found = None if value is None else self._decode(value)
        if found is not None:
            with self._lock:
                self.recalled += 1
        return found

    def _value(self, part: _Part, known: bytes) -> bytes | None:
        """Return what was remembered under the answer to a question, if that is the answer here too."""
        question, answer = known[: _QUESTION.size], known[_QUESTION.size : _QUESTION.size + DIGEST]
        key = self._answer(part, question)
        if key is None or not answer:
            return None if key is None else self._memory.recall(key)
        return known[_QUESTION.size + DIGEST :] if key == answer else None

    def restore(self, found: Remembered, contexts: memoryview, maps: memoryview, slot: int) -> None:
        """Let a READY microVM be done with this result. Its maps memory holds what every shard begins with."""
        at, size = slot * self._maps_bytes, max(len(found.maps), self._initial)
        maps[at : at + size] = found.maps.ljust(size, b"\0")
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

    def keep(self, source: Source, batch: Batch, index: int, context: Context, maps: memoryview, output: bytes) -> None:
        """Remember a shard that ran from its beginning to its end; `maps`: all of its maps memory."""
        if not isinstance(source, PoolFile) or self._maps_bytes > MEMO_MAPS_MAX or context.state != State.DONE:
            return
        if context.traced or context.emitted != len(output):
            return
        value = self._encode(context, bytes(maps).rstrip(b"\0"), output)
        if len(value) > MEMO_VALUE_MAX:
            return
        part = self._part(source, batch, index)
        question = self._question(part, context)
        key = self._answer(part, question)
        if key is None:
            return
        if _QUESTION.unpack(question)[0]:
            self._memory.remember(part.key, question)
            self._memory.remember(key, value)
        else:
            self._memory.remember(part.key, question + key + value)

    # keys

    def _part(self, source: PoolFile, batch: Batch, index: int) -> _Part:
        start, stop, layout = self._stretch(source, batch, index)
        key = digest_of(self._job + layout + outline(source, start, stop))
        first = batch.base + batch.firsts[index] if batch.firsts else 0
        return _Part(source, key, start, stop, batch.file, batch.shard + index, first)

    def _stretch(self, source: PoolFile, batch: Batch, index: int) -> tuple[int, int, bytes]:
        """Return (start, stop) of the bytes that decide a shard, and what else decides where its records lie."""
        start, stop = batch.edges(index)
        if self._records.by_lines:  # the byte before tells whether a line begins at the start
            return max(start - 1, 0), stop, b"first" if not start else b"later"
        if self._records.kind is RecordKind.FIXED:
            size = self._records.size
            first, last = -(-start // size) * size, -(-stop // size) * size
            return min(first, source.size), min(last, source.size), b""
        bounds = batch.bounds[2 * batch.firsts[index] : 2 * batch.firsts[index + 1]]
        if not bounds:
            return start, start, b""
        relative = type(bounds)("Q", [bound - bounds[0] for bound in bounds])
        return bounds[0], min(max(bounds), source.size), relative.tobytes()

    def _question(self, part: _Part, context: Context) -> bytes:
        """Say what else a shard that is done looked at."""
        looked = context.fields_read & Looked.ANY
        if context.random != self._random(part.shard):
            looked |= Looked.RANDOM
        behind, at_end = 0, False
        if self._records.by_lines:
            behind = max(0, context.position - part.stop)
            at_end = context.position >= part.source.size
        return _QUESTION.pack(looked, behind, at_end)

    def _answer(self, part: _Part, question: bytes) -> Digest | None:
        """Return the key of the result, given what the question asks for is as it is here; None if it cannot be."""
        try:
            looked, behind, at_end = _QUESTION.unpack(question)
        except struct.error:
            return None
        end, size = part.stop + behind, part.source.size
        if end > size or (at_end and end != size):
            return None
        tail = outline(part.source, part.stop, end) if behind else b""
        return digest_of(part.key + question + self._place(part, looked) + tail)

    def _place(self, part: _Part, looked: int) -> bytes:
        """Return the values of the fields that were looked at; the number of a line follows from all before it."""
        numbered = looked & Looked.INDEX
        by_line = numbered and self._records.kind is RecordKind.LINE
        return _PLACE.pack(
            part.start if looked & Looked.OFFSET or numbered else 0,
            part.index if numbered else 0,
            part.file if looked & Looked.FILE else 0,
            1 + part.shard % VMS_MAX if looked & Looked.VM else 0,
            self._random(part.shard) if looked & Looked.RANDOM else 0,
            looked,
            part.source.root if by_line else b"",
        )

    def _random(self, shard: int) -> int:
        return (self._seed * GOLDEN + shard) % (1 << 64)

    # values

    def _encode(self, context: Context, maps: bytes, output: bytes) -> bytes:
        counts = (context.records, context.executed, context.emitted, context.result, *context.verdicts, len(maps))
        value = _COUNTS.pack(*counts) + maps + output
        if len(value) <= _SMALL:
            return _RAW + value
        with self._lock:  # the compressor is one for all threads
            return _ZSTD + compress(value, 1)

    def _decode(self, value: bytes) -> Remembered | None:
        try:
            limit = _COUNTS.size + MEMO_MAPS_MAX + 2 * MEMO_VALUE_MAX
            plain = decompress(value[1:], limit) if value[:1] == _ZSTD else value[1:]
            records, executed, emitted, result, *verdicts, size = _COUNTS.unpack_from(plain)
        except (BadPacket, struct.error):
            return None
        rest = plain[_COUNTS.size :]
        if size > self._maps_bytes or len(rest) != size + emitted:
            return None
        return Remembered(records, executed, emitted, result, tuple(verdicts), rest[:size], rest[size:])
