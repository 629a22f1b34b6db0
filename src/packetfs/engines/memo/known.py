"""What shards are known by before they run: keys under which what a program computed on them is remembered.

What shards compute follows from the program, the framing, the fuel, the bytes of their records, where in these the
shards begin, and the fields of the record context that the program read (Context.fields_read, which every engine
keeps). Most programs read none that tell where the records lie; then a result holds wherever the same bytes are.

A result is found in two steps. The key of a part (a shard, or a stretch of them) leads to a question: which fields were
read, how far the last line reached behind the part, and whether the end of the file ended it. The key of the result
follows from the answer: the values of those fields, and the outline of those bytes.

The key of a shard is its outline. Where a stretch ends is seen only by walking over its leaves, and its key is to be
had without: the node in which it begins, and where in that, leads to how long it was there (Span); its key is the nodes
as far as anything was looked at to find its end. So nodes that did not change are not read.
"""

from __future__ import annotations

import struct
from array import array

from packetfs.dataclass import dataclass
from packetfs.engines.input.cuts import longest
from packetfs.engines.input.outline import outline
from packetfs.engines.input.records import RecordKind, Records
from packetfs.engines.input.shards import Batch, Stretch
from packetfs.engines.input.source import PoolFile
from packetfs.packet.digest import Digest, digest_of
from packetfs.typing import Final, Sequence
from packetfs.vm.context import GOLDEN, Context
from packetfs.vm.layout import SEMANTICS, VMS_MAX

_PREFIX: Final = b"packetfs memo 13\0"
_JOB: Final = struct.Struct("<QQ32s")
_LAYOUT: Final = struct.Struct("<Q")
_PLACE: Final = struct.Struct("<6Q32s")
_BEGIN: Final = struct.Struct("<5sQQQ")
_SPAN: Final = struct.Struct("<QQ")


class Looked:
    """Bits of a question: where records lie (bytes of the record context), and the random numbers."""

    INDEX: Final = 0xFF << 24
    OFFSET: Final = 0xFF << 32
    FILE: Final = 0xF << 40
    VM: Final = 0x3 << 44
    RANDOM: Final = 1 << 63
    ANY: Final = INDEX | OFFSET | FILE | VM


QUESTION: Final = struct.Struct("<QQB")
"""Fields looked at, bytes behind the end, whether the file ended there."""


@dataclass(frozen=True, slots=True)
class Part:
    """Shards that follow each other: their bytes begin at `start` and end at `stop` in their file, as far as is known
    before they run, and the key says what there is up to `seen`; the first one is number `shard`, and its first record
    number `index` of the file."""

    source: PoolFile
    key: Digest
    start: int
    stop: int
    seen: int
    file: int
    shard: int
    index: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a stretch begins, in file number `file` and with shard number `shard`."""

    source: PoolFile
    key: Digest
    start: int
    file: int
    shard: int


@dataclass(frozen=True, slots=True)
class Span:
    """How long a stretch is, and how far from its beginning on the file decides that, and its records."""

    length: int
    reach: int

    def pack(self) -> bytes:
        return _SPAN.pack(self.length, self.reach)


def unpack_span(data: bytes) -> Span | None:
    """Return what `pack` gave, None for anything that cannot be that."""
    if len(data) != _SPAN.size:
        return None
    length, reach = _SPAN.unpack(data)
    return Span(length, reach) if 0 < length <= reach else None


@dataclass(frozen=True, slots=True)
class Seen:
    """What shards that are done have looked at: fields, and how far their last line reached in the file."""

    looked: int
    reached: int = 0


class Keys:
    """The keys of one job."""

    def __init__(self, program: Digest, records: Records, shard_bytes: int, fuel: int, seed: int) -> None:
        self._records = records
        self._shard_bytes = shard_bytes
        self._seed = seed
        self._job = digest_of(_PREFIX + _JOB.pack(SEMANTICS, fuel, program) + str(records).encode())

    def shard(self, source: PoolFile, batch: Batch, index: int) -> Part:
        """Return what shard `index` of a batch is known by."""
        where = _listed(source, batch, index) if batch.firsts else self._laid(source, batch.edges(index))
        first = batch.base + batch.firsts[index] if batch.firsts else 0
        start, stop, layout = where
        key = digest_of(self._job + _LAYOUT.pack(len(layout)) + layout + outline(source, start, stop))
        return Part(source, key, start, stop, stop, batch.file, batch.shard + index, first)

    def begin(self, source: PoolFile, file: int, shard: int, start: int) -> Begin:
        """Return what the beginning of a stretch at `start` is known by."""
        first, _, word = self._laid(source, (start, source.size))
        size = self._records.size if self._records.kind is RecordKind.FIXED else 1
        base, node = _nodes(source, min(first, start), min(first, start) + 1)
        place = _BEGIN.pack(word, self._shard_bytes, start - base, start % size)
        return Begin(source, digest_of(self._job + b"begin" + place + node), start, file, shard)

    def span(self, source: PoolFile, stretch: Stretch) -> Span:
        """Return how long a stretch is, and how far it reaches."""
        start, last = stretch.starts[0], stretch.starts[-1]
        _, stop, _ = self._laid(source, (start, stretch.stop))
        return Span(stretch.stop - start, min(max(stop, last + longest(self._shard_bytes)), source.size) - start)

    def stretch(self, begin: Begin, span: Span) -> Part | None:
        """Return what a stretch of this span that begins there is known by; None where there is no room for it."""
        source, end = begin.source, begin.start + span.reach
        if end > source.size:
            return None
        first, stop, _ = self._laid(source, (begin.start, begin.start + span.length))
        _, nodes = _nodes(source, min(first, begin.start), end)
        key = digest_of(self._job + b"stretch" + begin.key + span.pack() + bytes([end == source.size]) + nodes)
        return Part(source, key, first, stop, end, begin.file, begin.shard, 0)

    def _laid(self, source: PoolFile, edges: Sequence[int]) -> tuple[int, int, bytes]:
        """Return (start, stop) of the bytes that decide a shard between these edges, and whether it is the first one
        where that counts."""
        if self._records.by_lines:  # the byte before tells whether a line begins at the start
            return max(edges[0] - 1, 0), edges[1], b"later" if edges[0] else b"first"
        size = self._records.size
        start, stop = (min(-(-edge // size) * size, source.size) for edge in edges)
        return start, stop, b""

    def question(self, part: Part, seen: Seen) -> bytes:
        """Say what else a part that is done looked at."""
        return QUESTION.pack(seen.looked, max(0, seen.reached - part.stop), seen.reached >= part.source.size)

    def seen(self, part: Part, question: bytes) -> Seen:
        """Return what the answer to a question looked at."""
        looked, behind, _ = QUESTION.unpack(question)
        return Seen(looked, part.stop + behind if self._records.by_lines else 0)

    def look(self, context: Context, shard: int) -> Seen:
        """Return what a shard that is done looked at."""
        looked = context.fields_read & Looked.ANY
        if context.random != self._random(shard):
            looked |= Looked.RANDOM
        return Seen(looked, context.position if self._records.by_lines else 0)

    def answer(self, part: Part, question: bytes) -> Digest | None:
        """Return the key of the result, given what the question asks for is as it is here; None if it cannot be."""
        try:
            looked, behind, at_end = QUESTION.unpack(question)
        except struct.error:
            return None
        end, size = part.stop + behind, part.source.size
        if end > size or (at_end and end != size):
            return None
        tail = outline(part.source, part.stop, end) if end > part.seen else b""
        return digest_of(part.key + question + self._place(part, looked) + tail)

    def _place(self, part: Part, looked: int) -> bytes:
        """Return the values of the fields that were looked at, in the first shard, from which those in the others
        follow; the number of a line follows from all before it."""
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


def _nodes(source: PoolFile, start: int, stop: int) -> tuple[int, bytes]:
    """Return the nodes that have the bytes [start, stop), and where the first one begins."""
    runs = list(source.program.nodes(source.root, start, stop))
    base, starts, _ = runs[0]
    return base + starts[0], b"".join(packets for _, _, packets in runs)


def _listed(source: PoolFile, batch: Batch, index: int) -> tuple[int, int, bytes]:
    """Return the same for a shard whose records are a list."""
    bounds = batch.bounds[2 * batch.firsts[index] : 2 * batch.firsts[index + 1]]
    if not bounds:
        return batch.starts[index], batch.starts[index], b""
    relative = array("Q", [bound - bounds[0] for bound in bounds])
    return bounds[0], min(max(bounds), source.size), relative.tobytes()
