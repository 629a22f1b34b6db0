"""A job at work: what its scheduler, its turns and its sources need from each other, and its results as they grow."""

from __future__ import annotations

import os

from packetfs.engines.input.records import RecordKind
from packetfs.engines.input.shards import Batch, Stretch, most_shards, plan
from packetfs.engines.input.source import Source
from packetfs.engines.jobs.jobfile import JobFile
from packetfs.engines.jobs.reducing import Reducing
from packetfs.engines.jobs.scheduler import Bounds
from packetfs.engines.jobs.turn import Live, Work, begin_batch
from packetfs.engines.live.table import PAGE
from packetfs.engines.options import JobOptions
from packetfs.engines.results.outcome import Outcome, save
from packetfs.engines.results.result import JobEvent, JobListener, MapResult, RunResult
from packetfs.limits import (
    LIVE_A_WORKER,
    MAPPED_SHARDS,
    MAPPED_WINDOW,
    MAPS_HELD,
    OUTPUT_HELD,
    PIPE_HELD,
    RUN_WINDOW,
)
from packetfs.threading import Lock
from packetfs.typing import TYPE_CHECKING, Sequence
from packetfs.vm.layout import HEADROOM, RECORD_COPY_MAX, SPILL_STRIDE, TAILROOM, VMS_MAX

if TYPE_CHECKING:
    from packetfs.engines.memo.memo import Memo, Recalled, Remembered

TURNS_A_WORKER = 4
"""Batches of a file that each worker has at the least, before they grow: all of them work to the end."""
ALL_LIVE = VMS_MAX // 2
"""MicroVMs live at once from which their contexts are mapped in one step."""


class JobCare:
    """The scheduler's Care for one job (scheduler.py says what each method is for)."""

    def __init__(self, work: Work, job: JobFile, outcome: Outcome, first: int = 0) -> None:
        """`first`: the first shard that has not begun."""
        self._work = work
        self._pipes = [source for source in work.sources if source.is_pipe]
        self._outcome = outcome
        self._reducing = Reducing(outcome, work.image, work.memo)
        self._recalled: Recalled | None = None
        """What was remembered of the stretch that comes next as one batch."""
        self._known: dict[int, Outcome | Sequence[Remembered]] = {}
        """What is remembered of stretches and of batches, by their first shard, until they are reduced."""
        options = job.options
        batches = plan(work.sources, work.records, options.shard_bytes, job.batch, work.listener, self._recall)
        self._batches = (batch for batch in batches if batch.shard >= first)

    def plan(self) -> Live | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        known, self._recalled = self._recalled, None
        if known is not None:
            self._known[batch.shard] = known.outcome
            return Live(batch, output=known.output)
        source = self._work.sources[batch.file]
        live = Live(batch) if self._work.memo is None else self._look_up(self._work.memo, source, batch)
        if source.is_pipe and self._work.counters:  # its bytes will not be there any more when they must be counted
            counter = self._work.counters[batch.file]
            live.lines = counter.here
            counter.advance(batch.stop)
        return live

    def _look_up(self, memo: Memo, source: Source, batch: Batch) -> Live:
        """Look up the shards of a batch: where all are remembered it takes no microVM."""
        found = memo.recall_batch(source, batch)
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return Live(batch, known=found)
        self._known[batch.shard] = known
        return Live(batch, output=[each.output for each in known])

    def _recall(self, file: int, shard: int, start: int) -> Stretch | None:
        """Look up the stretch that begins there, and return it if it is remembered."""
        if self._work.memo is not None:
            self._recalled = self._work.memo.recall_stretch(self._work.sources[file], file, shard, start)
        return self._recalled.stretch if self._recalled is not None else None

    def begin(self, live: Live) -> None:
        begin_batch(self._work, live)

    def must_wait(self) -> bool:
        held = max((pipe.held for pipe in self._pipes), default=0)
        return self._work.delivery.held > OUTPUT_HELD or held > 2 * PIPE_HELD

    def settled(self) -> int | None:
        return self._work.delivery.settled

    def plan_waits(self) -> bool:
        return any(pipe.size is None for pipe in self._pipes)

    def release(self, file: int, start: int) -> None:
        self._work.sources[file].release(max(0, start - 1))

    def reduce(self, ended: Sequence[Batch], *, last: bool = False) -> None:
        work, table = self._work, self._work.table
        ran: list[Batch] = []
        for batch in ended:
            known = self._known.pop(batch.shard, None)
            source = work.sources[batch.file]
            if known is None:
                self._reducing.add(table, batch, source)
                ran.append(batch)
            elif isinstance(known, Outcome):
                self._reducing.merge(known)
            else:
                self._reducing.add_known(batch, source, known)
        outcome = self._reducing.settled()
        if last:
            return
        save(table.directory, outcome, table.taking)
        for batch in ran:
            table.clear(batch.slot, batch.count)

    def result(self, seconds: float = 0.0) -> RunResult:
        """Return the job's result, when everything is reduced."""
        totals, definitions = self._outcome.totals, self._work.image.definitions
        maps = [MapResult(definitions[i], found.entries()) for i, found in self._outcome.maps.items()]
        return RunResult(
            records=totals.records,
            bytes=totals.bytes,
            shards=totals.shards,
            executed=totals.executed,
            emitted=totals.emitted,
            verdicts=tuple(totals.verdicts),
            last=totals.last,
            maps=tuple(maps),
            faults=tuple(totals.faults),
            engine=self._work.machine.name,
            ran=tuple(self._work.machine.ran(self._work.prepared).items()),
            why=self._work.machine.why(self._work.prepared),
            seconds=seconds,
            faulted=totals.faulted,
            remembered=self._work.memo.recalled if self._work.memo is not None else 0,
        )


def batch_shards(options: JobOptions, sources: Sequence[Source], workers: int, maps_bytes: int, *, maps: bool) -> int:
    """Return how many shards run together: those of one window, but no more than leave every worker its part. maps:
    whether the interpreter looks at mapped files."""
    size, most = options.shard_bytes, (VMS_MAX if options.vms is None else options.vms) // workers
    together = RUN_WINDOW // size
    if maps and sources and all(source.maps for source in sources):
        longest = max(most_shards(source, size) for source in sources)
        turns = -(-longest // (TURNS_A_WORKER * workers))
        held = MAPS_HELD // (workers * LIVE_A_WORKER * maps_bytes) if maps_bytes else MAPPED_SHARDS
        together = max(together, min(MAPPED_WINDOW // size, MAPPED_SHARDS, turns, held))
    return max(1, min(together, most))


def bounds(job: JobFile, workers: int, *, piped: bool) -> Bounds:
    """Return how much of a job may be under way."""
    options = job.options
    live = options.vms or job.batch * workers * LIVE_A_WORKER
    window = min(VMS_MAX, max(job.batch, MAPS_HELD // job.maps_bytes)) if job.maps_bytes else VMS_MAX
    if piped:
        live = min(live, max(job.batch, PIPE_HELD // options.shard_bytes))
        window = min(window, 2 * live)
    return Bounds(live, window)


def spill_need(job: JobFile, workers: int) -> int:
    """Return how many bytes of spills the turns of all workers can store to: of each microVM at most the pages of its
    stack, its reserve and its copy of a record, and the records of a batch lie one behind the other in it."""
    records, shard_bytes = job.framing, job.options.shard_bytes
    longest = min(records.size, RECORD_COPY_MAX) if records.kind is RecordKind.FIXED else RECORD_COPY_MAX
    fixed = 3 * PAGE + HEADROOM + TAILROOM
    together = job.batch * shard_bytes * 3 // 2  # a shard of a file in a pool may be half as long again
    copies = min(job.batch * longest, together + longest)
    return workers * min(job.batch * SPILL_STRIDE + PAGE, job.batch * fixed + copies)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OneByOne:
    """A listener that several threads may call: events arrive one at a time."""

    def __init__(self, listener: JobListener) -> None:
        self._listener = listener
        self._lock = Lock()

    def __call__(self, event: JobEvent) -> None:
        with self._lock:
            self._listener(event)
