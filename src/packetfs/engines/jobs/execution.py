"""One process at work on a job: it finds what was done before, runs the rest with its threads, and adds up.

Threads suffice: the native interpreter lets go of Python's lock while it runs.
"""

from __future__ import annotations

import time

from packetfs import errors
from packetfs.contextlib import suppress
from packetfs.dataclass import dataclass
from packetfs.engines.input.lines import LineCounter
from packetfs.engines.input.records import RecordKind
from packetfs.engines.input.shards import LISTS, most_shards, plan
from packetfs.engines.input.source import PoolFile, Source
from packetfs.engines.jobs.delivery import Delivery, Output
from packetfs.engines.jobs.jobfile import JobFile
from packetfs.engines.jobs.recovery import Recovery
from packetfs.engines.jobs.scheduler import Scheduler
from packetfs.engines.jobs.turn import Turns, Work, begin_batch
from packetfs.engines.jobs.work import ALL_LIVE, JobCare, OneByOne, bounds, spill_need, usable_cores
from packetfs.engines.live.ledger import Control
from packetfs.engines.live.spool import Spool
from packetfs.engines.live.table import Table
from packetfs.engines.options import JobOptions
from packetfs.engines.results.outcome import restore
from packetfs.engines.results.result import JobListener, RunResult
from packetfs.events import Progress
from packetfs.packet.digest import Digest
from packetfs.threading import Event, Thread
from packetfs.typing import TYPE_CHECKING, Final, Sequence
from packetfs.vm.image import Image
from packetfs.vm.machine import TWIN, Machine

if TYPE_CHECKING:
    from packetfs.engines.memo.memo import Memo, Memory

TELL_SECONDS: Final = 0.1
"""Seconds between two reports of progress."""
END_SECONDS: Final = 0.3
"""Seconds that an interrupted job waits for its turns to end; what hangs in a write is left behind."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process brings to a job."""

    image: Image
    machine: Machine
    sources: Sequence[Source]
    out: Output
    listener: JobListener
    memory: Memory | None = None


def workers_of(options: JobOptions, machine: Machine) -> int:
    """Return how many threads run: the interpreter in Python has use for one."""
    return options.workers or (1 if machine is TWIN else usable_cores())


def execute(table: Table, job: JobFile, task: Task) -> RunResult:
    """Run what is left of a job, and close its table. Whatever is raised, the table is such that it can go on."""
    spool = Spool(table.directory, table.ledger, keep=job.options.keep_output, taking=table.taking)
    threads: list[Thread] = []
    try:
        work, care, scheduler = _prepare(table, spool, job, task)
        workers = workers_of(job.options, task.machine)
        threads += _threads(scheduler, work, workers)
        _watch(threads, scheduler, work)
        if scheduler.error is not None:
            raise scheduler.error
        care.reduce(scheduler.rest(), last=True)
        return care.result()
    finally:
        if not any(thread.is_alive() for thread in threads):
            spool.close()
            table.close()


def _threads(scheduler: Scheduler, work: Work, workers: int) -> list[Thread]:
    """Return the threads of the workers, of which the first one begins the others."""

    def begin_others() -> None:
        with suppress(RuntimeError):  # the system lets no more begin: those that did do all of it
            for other in others:
                other.start()

    def thread(*arguments: object) -> Thread:
        return Thread(target=scheduler.work, args=(Turns(work), *arguments), daemon=True)

    others = [thread() for _ in range(workers - 1)]
    return [thread(begin_others), *others]


def _prepare(table: Table, spool: Spool, job: JobFile, task: Task) -> tuple[Work, JobCare, Scheduler]:
    options, records, listener = job.options, job.framing, OneByOne(task.listener)
    limits = bounds(job, workers_of(options, task.machine), piped=any(source.is_pipe for source in task.sources))
    table.spill_need = spill_need(job, workers_of(options, task.machine))
    shards = sum(most_shards(source, options.shard_bytes) for source in task.sources)
    if min(limits.live, shards) >= ALL_LIVE:
        table.populate()
    outcome = restore(table.directory, task.image)
    totals = outcome.totals
    piped = any(source.size is None for source in task.sources)
    if totals.shards > shards and not piped:
        raise errors.BadJob(path=table.directory, reason="more shards were reduced than it has")
    recovery = Recovery(table, spool, totals, task.sources, records, keep=options.keep_output)
    left = recovery.recover(plan(task.sources, records, options.shard_bytes, job.batch, listener))
    delivery = Delivery(task.out, spool, table.ledger, keep=options.keep_output, first=left.waiting, sent=left.sent)
    recovery.restore(delivery, left)
    work = Work(
        image=task.image,
        machine=task.machine,
        prepared=task.machine.prepare(task.image),
        table=table,
        sources=task.sources,
        records=records,
        options=options,
        counters=[LineCounter(source) for source in task.sources] if records.kind is RecordKind.LINE else [],
        delivery=delivery,
        listener=listener,
        stopped=Event(),
        memo=_memo(job, task),
    )
    for live in left.again:
        begin_batch(work, live)
    care = JobCare(work, job, outcome, left.first)
    queue = sorted([*left.queue, *left.again], key=lambda live: live.batch.shard)
    scheduler = Scheduler(care, table.ledger, work.stopped, limits, queue, left.ended, totals.shards)
    delivery.deliver()
    return work, care, scheduler


def _memo(job: JobFile, task: Task) -> Memo | None:
    """Return what the job remembers by, where it may, and any of its files can be known without being read."""
    if task.memory is None or not any(isinstance(source, PoolFile) for source in task.sources):
        return None
    from packetfs.engines.memo.known import Keys
    from packetfs.engines.memo.memo import Memo

    options = job.options
    keys = Keys(Digest(bytes.fromhex(job.program)), job.framing, options.shard_bytes, options.fuel, options.seed)
    return Memo(task.memory, keys, task.image, lists=job.framing.kind in LISTS)


def _watch(threads: Sequence[Thread], scheduler: Scheduler, work: Work) -> None:
    """Start the first thread and wait for all; tell how far they are. An interrupt ends them within END_SECONDS."""
    sizes = [source.size for source in work.sources]
    total = sum(size or 0 for size in sizes)
    try:
        threads[0].start()
        told = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            if scheduler.wait(TELL_SECONDS):
                break
            if work.table.ledger.control is Control.CANCEL:
                scheduler.stop(errors.JobCancelled())
            if time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                work.listener(Progress(len(sizes), scheduler.bytes_done, total))
    except BaseException as error:
        scheduler.stop(error)
        raise
    finally:
        _join(threads, work.sources, None if scheduler.error is None else time.monotonic() + END_SECONDS)


def _join(threads: Sequence[Thread], sources: Sequence[Source], deadline: float | None) -> None:
    """Wait for the threads to end, until `deadline` if something went wrong."""
    for source in sources:
        source.interrupt()
    for thread in threads:
        if thread.is_alive():
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
