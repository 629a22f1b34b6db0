"""What a dead process left of a job, made whole: batches that it was running begin again, the others go on.

A batch begins again when it was claimed by a turn or by its beginning, when a context of it cannot be right, or when
output that it emitted is neither delivered nor in the spool. Its microVMs emit the same bytes once more; what was
delivered of them is skipped.
"""

from __future__ import annotations

from itertools import pairwise

from packetfs.dataclass import dataclass, field
from packetfs.engines.input.records import Records
from packetfs.engines.input.shards import Batch, first_records
from packetfs.engines.input.source import Source
from packetfs.engines.jobs.delivery import Delivery
from packetfs.engines.jobs.turn import Live
from packetfs.engines.live.columns import ENDED, column, states
from packetfs.engines.live.ledger import SLOTS
from packetfs.engines.live.spool import Entry, Spool
from packetfs.engines.live.table import Table
from packetfs.engines.results.totals import Totals
from packetfs.limits import COPIED_MAX
from packetfs.typing import Iterable, Iterator, Sequence
from packetfs.vm.layout import VMS_MAX, State

_RESTING = (State.READY, State.PAUSED, *ENDED)


@dataclass(slots=True)
class Recovered:
    """Batches under way and batches that have ended, in order; `again`: those to be begun anew; `first`: the first
    shard that has never begun. `waiting` and `sent`: whose output comes next, and the bytes of output before it."""

    first: int
    waiting: int
    sent: int
    queue: list[Live] = field(default_factory=list)
    again: list[Live] = field(default_factory=list)
    ended: list[Batch] = field(default_factory=list)
    streams: list[tuple[int, int, bool]] = field(default_factory=list)
    """(first shard, shards, whether all have ended) of batches whose output is still to come."""


class Recovery:
    """Looks through a table whose process is gone."""

    def __init__(
        self, table: Table, spool: Spool, totals: Totals, sources: Sequence[Source], records: Records, *, keep: bool
    ) -> None:
        self._sources = sources
        self._records = records
        self._table = table
        self._spool = spool
        self._totals = totals
        self._keep = keep
        self._entries: dict[int, list[tuple[Entry, list[int]]]] = {}
        for batch, entry, lengths in list(spool.recover()):  # dropping the last entry that is held empties the log
            if lengths:
                self._entries.setdefault(batch, []).append((entry, lengths))
            else:
                self._drop(batch)

    def _drop(self, batch: int) -> None:
        for entry, _ in self._entries.pop(batch, []):
            self._spool.release(entry)

    def recover(self, plan: Iterable[Batch]) -> Recovered:
        """Return how to go on; `plan` is all of the job's batches."""
        totals = self._totals
        found = Recovered(totals.shards, totals.shards, totals.emitted)
        if self._keep:
            found.waiting = found.sent = 0
            found.streams = list(self._reduced())
        last = self._clear_reduced()
        for batch in plan if last >= 0 else ():  # looking at the first batch of a pipe would wait for it
            if batch.shard < totals.shards:
                continue
            if batch.shard > last or batch.behind > self._end:
                break
            self._judge(batch, found)
            found.first = batch.behind
        self._table.ledger.claims[:] = bytes(SLOTS)
        return found

    @property
    def _end(self) -> int:
        """The first shard that cannot be in the table before what comes next is reduced."""
        return self._totals.shards + VMS_MAX

    def restore(self, delivery: Delivery, found: Recovered) -> None:
        """Let `delivery` have the output that waits."""
        for shard, count, finished in found.streams:
            delivery.restore(shard, count, finished, self._entries.get(shard, []))

    def _reduced(self) -> Iterator[tuple[int, int, bool]]:
        """Yield the streams of what is reduced, as if batches without output belonged to the ones before."""
        shards = self._totals.shards
        begin = sorted({0, *(shard for shard in self._entries if shard < shards)})
        for first, behind in pairwise([*begin, shards] if shards else []):
            yield first, behind - first, True

    def _clear_reduced(self) -> int:
        """Free microVMs whose results are reduced already, and those that no job can have in their slots; return the
        last shard of the others, -1 without any."""
        words, last = self._table.words, -1
        reduced, end = self._totals.shards, self._end
        for first, count in self._table.touched():
            shards = column(words, first, count, "shard").tolist()
            for index, state in enumerate(states(words, first, count)):
                if state == State.FREE:
                    continue
                slot, shard = first + index, shards[index]
                if not reduced <= shard < end or slot != 1 + shard % VMS_MAX:
                    self._table.clear(slot, 1)
                else:
                    last = max(last, shard)
        return last

    def _judge(self, batch: Batch, found: Recovered) -> None:
        words, where = self._table.words, (batch.slot, batch.count)
        self._table.allocate(*where)  # a look at memory that is not there takes it
        resting = states(words, *where)
        live = Live(batch, faulted=State.FAULTED in resting)
        emitted = sum(column(words, *where, "emitted").tolist())
        ended = all(state in ENDED for state in resting)
        if not self._is_whole(batch, resting):
            self._begin_again(live, found)
        elif ended and found.waiting == batch.shard and found.sent + emitted <= self._delivered:
            found.waiting, found.sent = batch.behind, found.sent + emitted
            found.ended.append(batch)
            return
        elif emitted != sum(sum(lengths) for _, lengths in self._entries.get(batch.shard, [])):
            self._begin_again(live, found)
        else:
            found.streams.append((batch.shard, batch.count, ended))
            if ended:
                found.ended.append(batch)
            else:
                found.queue.append(live)

    @property
    def _delivered(self) -> int:
        return -1 if self._keep else self._table.ledger.delivered

    def _is_whole(self, batch: Batch, resting: list[int]) -> bool:
        shards = column(self._table.words, batch.slot, batch.count, "shard").tolist()
        right = shards == list(range(batch.shard, batch.shard + batch.count)) and self._lies_right(batch)
        return right and all(state in _RESTING for state in resting) and not self._table.ledger.claims[batch.slot]

    def _lies_right(self, batch: Batch) -> bool:
        """Tell whether each context is at a place of its own shard and file: what it says there is read from."""
        words, where = self._table.words, (batch.slot, batch.count)
        starts, stops, _ = first_records(batch, self._records)
        found = [column(words, *where, name).tolist() for name in ("start", "stop")]
        if found != [list(batch.starts), list(stops)]:
            return False
        size = self._sources[batch.file].size
        end = COPIED_MAX if size is None else size
        last = stops[-1] if batch.firsts else end + self._records.size
        low = column(words, *where, "record_start").tolist()
        high = column(words, *where, "record_stop").tolist()
        position = column(words, *where, "position").tolist()
        counts = (*column(words, *where, "records").tolist(), *column(words, *where, "emitted").tolist())
        return (
            all(first <= at <= last for first, at in zip(starts, position, strict=True))
            and all(at <= to <= end for at, to in zip(low, high, strict=True))
            and sum(counts) <= COPIED_MAX
        )

    def _begin_again(self, live: Live, found: Recovered) -> None:
        batch = live.batch
        if batch.shard in self._entries:
            self._spool.forget(batch.shard)
            self._drop(batch.shard)
        self._table.clear(batch.slot, batch.count)
        live.faulted = False
        found.again.append(live)
