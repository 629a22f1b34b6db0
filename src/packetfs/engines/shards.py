"""The partition: shard i of a file has the records that begin in [i * S, (i + 1) * S). Nothing but content, framing and
S decides it, so every engine and any number of microVMs see the same shards.

Shards are run in batches: consecutive shards of one file whose microVMs lie side by side in the table, over one window.
Files follow each other, shard numbers run on, and shard i is run by microVM 1 + i modulo 65,535. A file without bytes
has no shard. A packet of a capture begins with its header, so one without bytes at the end of a file is in a shard.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

from packetfs.dataclass import dataclass, field, replace
from packetfs.engines.extents import extents
from packetfs.engines.pcap import PACKET_HEADER, packets
from packetfs.engines.records import RecordKind, Records
from packetfs.engines.source import Source
from packetfs.events import Trouble
from packetfs.vm.context import BASE_UNKNOWN
from packetfs.vm.layout import VMS_MAX

Tell = Callable[[Trouble], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Shards `shard` to `shard + count - 1`, which begin at `start`, `start + shard_bytes`, ... of file `file`.

    `stop`: where the last one ends, at most the file's end. For lists of records, `bounds` holds (start, stop) of each
    record of the batch, `firsts` the index of each shard's first one (and the number of them, at the end), `base` the
    number of records in the file before.
    """

    number: int
    file: int
    shard: int
    count: int
    shard_bytes: int
    start: int
    stop: int
    bounds: array[int] = field(default_factory=lambda: array("Q"))
    firsts: tuple[int, ...] = ()
    base: int = 0

    @property
    def slot(self) -> int:
        """Where the table has its first microVM; the others follow."""
        return 1 + self.shard % VMS_MAX

    def without_bounds(self) -> Batch:
        """Return it without its list of records, which is long."""
        return replace(self, bounds=array("Q"), firsts=()) if self.bounds else self

    def edges(self, index: int) -> tuple[int, int]:
        """Return [start, stop) of shard number `shard + index` in its file."""
        start = self.start + index * self.shard_bytes
        return start, min(start + self.shard_bytes, self.stop)


def plan(sources: Sequence[Source], records: Records, shard_bytes: int, most: int, tell: Tell) -> Iterator[Batch]:
    """Yield the batches of a job, of `most` shards at the most. Pipes are waited for, lists scanned as they come."""
    number = shard = 0
    for file, source in enumerate(sources):
        lead = PACKET_HEADER if records.kind is RecordKind.PCAP else 0
        scan = _Scan(_listed(source, records, tell), lead) if records.kind in _LISTS else None
        start = 0
        while True:
            count = min(most, VMS_MAX - shard % VMS_MAX)
            stop = source.ensure(start + count * shard_bytes)
            if stop <= start:
                break
            count = -(-(stop - start) // shard_bytes)
            batch = Batch(number, file, shard, count, shard_bytes, start, stop)
            yield scan.take(batch) if scan is not None else batch
            number, shard, start = number + 1, shard + count, stop


_LISTS = (RecordKind.PCAP, RecordKind.EXTENT)


def _listed(source: Source, records: Records, tell: Tell) -> Iterator[tuple[int, int]]:
    if records.kind is RecordKind.EXTENT:
        return extents(source)
    return packets(source, lambda reason: tell(Trouble(source.name.encode(), reason)))


class _Scan:
    """Records of a file in order, taken batch by batch. `lead`: bytes before each that belong to it."""

    def __init__(self, found: Iterator[tuple[int, int]], lead: int) -> None:
        self._found = found
        self._lead = lead
        self._next = next(found, None)
        self._base = 0

    def take(self, batch: Batch) -> Batch:
        """Return the batch with the records that begin before its end."""
        bounds = array("Q")
        firsts = [0]
        for index in range(batch.count):
            self._gather(bounds, batch.edges(index)[1])
            firsts.append(len(bounds) // 2)
        base, self._base = self._base, self._base + firsts[-1]
        return replace(batch, bounds=bounds, firsts=tuple(firsts), base=base)

    def _gather(self, bounds: array[int], stop: int) -> None:
        found = self._next
        while found is not None and found[0] - self._lead < stop:
            bounds.extend(found)
            found = next(self._found, None)
        self._next = found


def first_records(batch: Batch, records: Records) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Return position, stop and record_base of each shard's context.

    Where a shard's first line begins is looked up when its bytes are there: its position is then its start.
    """
    count, size = batch.count, batch.shard_bytes
    starts = range(batch.start, batch.start + count * size, size)
    stops = [*starts[1:], batch.stop]
    if records.kind is RecordKind.LINE:
        bases = [BASE_UNKNOWN] * count if batch.start else [0, *[BASE_UNKNOWN] * (count - 1)]
        return starts, stops, bases
    if records.kind is RecordKind.LINES:  # how many come before is not known: their numbers rise, with gaps
        return starts, stops, starts
    if records.kind is not RecordKind.FIXED:
        return batch.firsts[:-1], batch.firsts[1:], [batch.base + first for first in batch.firsts[:-1]]
    if size % records.size == 0 and batch.start % records.size == 0:
        first, step = batch.start // records.size, size // records.size
        return starts, stops, range(first, first + count * step, step)
    bases = [-(-start // records.size) for start in starts]
    return [base * records.size for base in bases], stops, bases
