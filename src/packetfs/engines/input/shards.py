"""The partition: a shard has the records that begin between two offsets of its file. Of a file of the host, those are
multiples of S; of a file in a pool, ends of its extents (cuts.py). Nothing but content, framing and S decides it, so
every engine and any number of microVMs see the same shards.

Shards are run in batches: consecutive shards of one file whose microVMs lie side by side in the table, over one window.
Files follow each other, shard numbers run on, and shard i is run by microVM 1 + i modulo 65,535. A file without bytes
has no shard. A packet of a capture begins with its header, so one without bytes at the end of a file is in a shard.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass, replace
from packetfs.engines.input.records import RecordKind, Records
from packetfs.engines.input.source import PoolFile, Source
from packetfs.events import Trouble
from packetfs.typing import TYPE_CHECKING, Callable, Final, Iterator, Protocol, Sequence
from packetfs.vm.context import BASE_UNKNOWN
from packetfs.vm.layout import VMS_MAX

if TYPE_CHECKING:
    from array import array

NO_BOUNDS: Final = memoryview(b"").cast("Q")
FIRST: Final = 64
"""Shards of a file's first batch at the most: what they write is seen soon. Later ones grow, so that turns are few."""
Tell = Callable[[Trouble], None]
Known = Callable[[int, int, int], "Stretch | None"]
"""Returns the stretch that is to come whole: of file number so and so, its first shard's number, where it begins."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where the shards of a stretch begin, and where the last one ends: `shard` is the first one's number."""

    shard: int
    starts: tuple[int, ...]
    stop: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Shards `shard` to `shard + count - 1` of file `file`, which begin at `starts`. No two batches of a job have the
    same first shard, so that names a batch.

    `stop`: where the last one ends, at most the file's end. `stretch`: the one that it is part of, in a file in a pool.
    For lists of records, `bounds` holds (start, stop) of each record of the batch, `firsts` the index of each shard's
    first one (and the number of them, at the end), `base` the number of records in the file before.
    """

    file: int
    shard: int
    starts: Sequence[int]
    stop: int
    stretch: Stretch | None = None
    bounds: memoryview = NO_BOUNDS
    firsts: tuple[int, ...] = ()
    base: int = 0

    @property
    def count(self) -> int:
        """How many shards it has."""
        return len(self.starts)

    @property
    def behind(self) -> int:
        """The number of the shard behind the last one, with which the next batch begins."""
        return self.shard + self.count

    @property
    def start(self) -> int:
        """Where the first one begins."""
        return self.starts[0]

    @property
    def slot(self) -> int:
        """Where the table has its first microVM; the others follow."""
        return 1 + self.shard % VMS_MAX

    def without_bounds(self) -> Batch:
        """Return it without its list of records, which is long."""
        return replace(self, bounds=NO_BOUNDS, firsts=()) if self.bounds else self

    def edges(self, index: int) -> tuple[int, int]:
        """Return [start, stop) of shard number `shard + index` in its file."""
        behind = index + 1
        return self.starts[index], self.starts[behind] if behind < len(self.starts) else self.stop


def _unknown(file: int, shard: int, start: int) -> Stretch | None:
    del file, shard, start
    return None


def plan(
    sources: Sequence[Source], records: Records, shard_bytes: int, most: int, tell: Tell, known: Known = _unknown
) -> Iterator[Batch]:
    """Yield the batches of a job, of `most` shards at the most, but of no more than FIRST or come before it in its
    file; none across the end of a stretch, but a stretch that is `known` as one batch. Pipes are waited for, lists
    scanned as they come."""
    shard = 0
    for file, source in enumerate(sources):
        scan = _scan(source, records, tell) if records.kind in LISTS else None
        cuts, first = _cut(source, file, shard_bytes, known), shard
        while taken := cuts.take(shard, min(most, max(FIRST, shard - first), VMS_MAX - shard % VMS_MAX)):
            batch = Batch(file, shard, *taken)
            yield scan.take(batch) if scan is not None else batch
            shard = batch.behind


def most_shards(source: Source, shard_bytes: int) -> int:
    """Return how many shards a source can have at the most; 0 while the size of a pipe is not known."""
    least = (shard_bytes + 1) // 2 if isinstance(source, PoolFile) else shard_bytes
    return -(-(source.size or 0) // least)


_Taken = tuple[Sequence[int], int, Stretch | None]
"""Where shards begin, where the last one ends, and their stretch."""


class _Cuts(Protocol):
    """The shards of one source, taken in order."""

    def take(self, shard: int, count: int) -> _Taken | None:
        """Return the next shards, of which the first is number `shard`, at most `count` of them; None at the end."""


def _cut(source: Source, file: int, shard_bytes: int, known: Known) -> _Cuts:
    if isinstance(source, PoolFile):
        return _ByContent(source, file, shard_bytes, known)
    return _Regular(source, shard_bytes)


class _Regular:
    """Shards of one size, from where the last ones ended: what flows may end them early."""

    def __init__(self, source: Source, shard_bytes: int) -> None:
        self._source, self._shard_bytes, self._at = source, shard_bytes, 0

    def take(self, shard: int, count: int) -> _Taken | None:
        del shard
        start, stop = self._at, self._source.ensure(self._at + count * self._shard_bytes)
        self._at = stop
        return (range(start, stop, self._shard_bytes), stop, None) if stop > start else None


class _ByContent:
    """Shards of a file in a pool. Its program is walked over where the next stretch is not known."""

    def __init__(self, source: PoolFile, file: int, shard_bytes: int, known: Known) -> None:
        self._source = source
        self._file = file
        self._shard_bytes = shard_bytes
        self._walk: Iterator[list[int]] | None = None
        self._known = known
        self._stretch = Stretch(0, (), 0)
        self._taken = 0

    def take(self, shard: int, count: int) -> _Taken | None:
        if self._taken == len(self._stretch.starts):
            if self._stretch.stop == self._source.size:
                return None
            count = self._begin(shard, self._stretch.stop) or count
        stretch, first = self._stretch, self._taken
        self._taken = min(first + count, len(stretch.starts))
        stop = (*stretch.starts, stretch.stop)[self._taken]
        return stretch.starts[first : self._taken], stop, stretch

    def _begin(self, shard: int, start: int) -> int:
        """Go on to the next stretch; return how many shards it has, where it is to come whole, else 0."""
        known, self._taken = self._known(self._file, shard, start), 0
        if known is not None:
            self._stretch, self._walk = known, None
            return len(known.starts)
        from packetfs.engines.input.cuts import stretches  # files of this machine need none

        self._walk = self._walk or stretches(self._source.program, self._source.root, self._shard_bytes, start)
        ends = next(self._walk)
        self._stretch = Stretch(shard, (start, *ends[:-1]), ends[-1])
        return 0


LISTS = (RecordKind.PCAP, RecordKind.EXTENT)
"""Framings whose records are listed before they run."""


class _Scan:
    """Records of a file in order, taken batch by batch. `lead`: bytes before each that belong to it."""

    def __init__(self, found: Iterator[tuple[int, int]], lead: int) -> None:
        self._found = found
        self._lead = lead
        self._next = next(found, None)
        self._base = 0

    def take(self, batch: Batch) -> Batch:
        """Return the batch with the records that begin before its end."""
        from array import array  # it brings `collections`, and most records are not listed

        bounds = array("Q")
        firsts = [0]
        for index in range(batch.count):
            self._gather(bounds, batch.edges(index)[1])
            firsts.append(len(bounds) // 2)
        base, self._base = self._base, self._base + firsts[-1]
        return replace(batch, bounds=memoryview(bounds), firsts=tuple(firsts), base=base)

    def _gather(self, bounds: array[int], stop: int) -> None:
        found = self._next
        while found is not None and found[0] - self._lead < stop:
            bounds.extend(found)
            found = next(self._found, None)
        self._next = found


def _scan(source: Source, records: Records, tell: Tell) -> _Scan:
    if records.kind is RecordKind.EXTENT:
        from packetfs.engines.input.extents import extents

        return _Scan(extents(source), 0)
    from packetfs.engines.input.pcap import PACKET_HEADER, packets

    return _Scan(packets(source, lambda reason: tell(Trouble(source.name.encode(), reason))), PACKET_HEADER)


def first_records(batch: Batch, records: Records) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Return position, stop and record_base of each shard's context.

    Where a shard's first line begins is looked up when its bytes are there: its position is then its start.
    """
    count, starts = batch.count, batch.starts
    stops = [*starts[1:], batch.stop]
    if records.kind is RecordKind.LINE:
        bases = [BASE_UNKNOWN] * count if batch.start else [0, *[BASE_UNKNOWN] * (count - 1)]
        return starts, stops, bases
    if records.kind is RecordKind.LINES:  # how many come before is not known: their numbers rise, with gaps
        return starts, stops, starts
    if records.kind is not RecordKind.FIXED:
        return batch.firsts[:-1], batch.firsts[1:], [batch.base + first for first in batch.firsts[:-1]]
    if isinstance(starts, range) and starts.step % records.size == 0 and batch.start % records.size == 0:
        first, step = batch.start // records.size, starts.step // records.size
        return starts, stops, range(first, first + count * step, step)
    bases = [-(-start // records.size) for start in starts]
    return [base * records.size for base in bases], stops, bases
