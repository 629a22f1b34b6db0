"""A job at work: what its scheduler, its turns and its sources need from each other, and its results as they grow."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from packetfs.engines.columns import states
from packetfs.engines.jobfile import JobFile
from packetfs.engines.options import JobOptions
from packetfs.engines.records import RecordKind
from packetfs.engines.reduce import Reduction
from packetfs.engines.result import JobEvent, JobListener, MapResult, RunResult
from packetfs.engines.scheduler import Bounds
from packetfs.engines.shards import Batch, most_shards, plan
from packetfs.engines.source import Source
from packetfs.engines.table import PAGE
from packetfs.engines.totals import Totals, save
from packetfs.engines.turn import Live, Work, begin_batch
from packetfs.limits import (
    LIVE_A_WORKER,
    MAPPED_SHARDS,
    MAPPED_WINDOW,
    MAPS_HELD,
    OUTPUT_HELD,
    PIPE_HELD,
    RUN_WINDOW,
)
from packetfs.vm.layout import HEADROOM, RECORD_COPY_MAX, TAILROOM, VMS_MAX, State
from packetfs.vm.memory import SPILL_STRIDE

TURNS_A_WORKER = 4
"""Batches of a file that each worker has at the least, before they grow: all of them work to the end."""
ALL_LIVE = VMS_MAX // 2
"""MicroVMs live at once from which their contexts are mapped in one step."""


class JobCare:
    """The scheduler's Care for one job (scheduler.py says what each method is for)."""

    def __init__(self, work: Work, job: JobFile, totals: Totals, found: dict[int, Reduction], first: int = 0) -> None:
        """`first`: the first batch that has not begun."""
        self._work = work
        self.totals = totals
        self.found = found
        batches = plan(work.sources, work.records, job.options.shard_bytes, job.batch, work.listener)
        self._batches = (batch for batch in batches if batch.number >= first)

    def plan(self) -> Live | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        live = Live(batch)
        source = self._work.sources[batch.file]
        if source.is_pipe and self._work.counters:  # its bytes will not be there any more when they must be counted
            counter = self._work.counters[batch.file]
            live.lines = counter.here
            counter.advance(batch.stop)
        return live

    def begin(self, live: Live) -> None:
        begin_batch(self._work, live)

    def must_wait(self) -> bool:
        held = max((source.held for source in self._work.sources if source.is_pipe), default=0)
        return self._work.delivery.held > OUTPUT_HELD or held > 2 * PIPE_HELD

    def plan_waits(self) -> bool:
        return any(source.is_pipe and source.size is None for source in self._work.sources)

    def release(self, file: int, start: int) -> None:
        self._work.sources[file].release(max(0, start - 1))

    def reduce(self, ended: Sequence[Batch], *, last: bool = False) -> None:
        table = self._work.table
        for batch in ended:
            self._count(batch)
        if last:
            return
        save(table.directory, self.totals, self.found, table.taking)
        for batch in ended:
            table.clear(batch.slot, batch.count)

    def _count(self, batch: Batch) -> None:
        table, image = self._work.table, self._work.image
        self.totals.add(table.words, batch)
        if State.FAULTED in states(table.words, batch.slot, batch.count):
            name = self._work.sources[batch.file].name
            self.totals.add_faults(table.contexts, table.words, batch, image, name)
        for reduction in self.found.values():
            reduction.add(table.maps, batch.slot, batch.count, image.maps_bytes)

    def result(self, seconds: float = 0.0) -> RunResult:
        """Return the job's result, when everything is reduced."""
        totals, definitions = self.totals, self._work.image.definitions
        maps = [MapResult(definitions[i], tuple(found.entries())) for i, found in self.found.items()]
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
        self._lock = threading.Lock()

    def __call__(self, event: JobEvent) -> None:
        with self._lock:
            self._listener(event)
