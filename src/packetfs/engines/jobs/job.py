"""A job from its sources to its result: `run_job`, and `resume_job` for one whose process was killed or let it lie."""

from __future__ import annotations

import os
import time

from packetfs import errors
from packetfs.dataclass import replace
from packetfs.engines.input.records import Records
from packetfs.engines.input.source import Source, let_open, open_origin
from packetfs.engines.jobs.delivery import Output
from packetfs.engines.jobs.execution import Task, execute, workers_of
from packetfs.engines.jobs.jobfile import JobFile, read_job, read_job_program, write_job
from packetfs.engines.jobs.work import batch_shards
from packetfs.engines.live.ledger import Control
from packetfs.engines.live.table import Table, attach_table, create_table, remove_table
from packetfs.engines.machines import choose
from packetfs.engines.options import JobOptions, check_options
from packetfs.engines.results.result import JobListener, RunResult, ignore
from packetfs.errors import UsageError
from packetfs.limits import PIPE_HELD, SHARD_BYTES_MAX, SHARD_BYTES_MIN
from packetfs.packet.layout import Buffer
from packetfs.typing import TYPE_CHECKING, Final, Sequence
from packetfs.vm.image import load
from packetfs.vm.layout import VMS_MAX
from packetfs.vm.machine import TWIN
from packetfs.vm.program import Program, encode_program, program_digest

if TYPE_CHECKING:
    from packetfs.engines.memo.memo import Memory
    from packetfs.packet.execute import Filling

SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 (jobs lie in directories of their own there, mode 0700)


def run_job(
    program: Program,
    sources: Sequence[Source],
    records: Records,
    *,
    out: Output,
    options: JobOptions | None = None,
    listener: JobListener = ignore,
    memory: Memory | None = None,
) -> RunResult:
    """Run `program` over the records of `sources`, in order, as one job; `out` gets its output in record order.

    `memory`: where results of shards of files in a pool are remembered, and looked for; not where runs are repeated.
    `out` and `listener` may be called from other threads, one call at a time each. Errors: IllegalInstruction and
    BadProgram for the program, SourceUnavailable, SourceChanged and BadCapture for sources, TableFull; what `out`
    raises ends the job. Faults of microVMs are no errors: the result names them.
    """
    options = options or JobOptions()
    _check(options, sources)
    task = Task(load(program), choose(options.engine), sources, out, listener, memory if options.repeat == 1 else None)
    results = [
        _run_once(program, records, options, replace(task, out=drop) if number else task)
        for number in range(options.repeat)
    ]
    timings = tuple(result.seconds for result in results)
    return replace(results[0], seconds=min(timings), timings=timings)


def drop(data: Buffer) -> None:
    """Be the output of a run that is only measured."""


def _check(options: JobOptions, sources: Sequence[Source]) -> None:
    size = options.shard_bytes
    if not SHARD_BYTES_MIN <= size <= SHARD_BYTES_MAX:
        raise UsageError(reason=f"shards of {size} bytes; {SHARD_BYTES_MIN} to {SHARD_BYTES_MAX} are possible")
    if options.vms is not None and not 1 <= options.vms <= VMS_MAX:
        raise UsageError(reason=f"{options.vms} live microVMs; 1 to {VMS_MAX} are possible")
    numbers = (options.fuel, options.repeat, options.workers, options.slice_slots)
    if any(number is not None and number < 1 for number in numbers):
        raise UsageError(reason="fuel, slices, runs and workers are 1 or more")
    try:
        check_options(options)
    except ValueError as error:
        raise UsageError(reason=str(error)) from None
    piped = [source.name for source in sources if source.is_pipe]
    if piped and options.repeat > 1:
        raise UsageError(reason=f"{piped[0]} is a pipe, which can be read once: --repeat needs a file")
    if piped and size > PIPE_HELD:
        raise UsageError(reason=f"{piped[0]} is a pipe: its shards have {PIPE_HELD} bytes at the most")


def _run_once(program: Program, records: Records, options: JobOptions, task: Task) -> RunResult:
    started = time.perf_counter()
    workers, maps = workers_of(options, task.machine), task.machine is not TWIN
    batch = batch_shards(options, task.sources, workers, task.image.maps_bytes, maps=maps)
    packets = encode_program(program)
    digest = program_digest(packets).hex()
    origins = tuple(source.origin() for source in task.sources)
    job = JobFile(digest, origins, str(records), options, batch, task.image.maps_bytes)
    directory = make_directory(options.parent)
    try:
        write_job(directory, job, packets)
        result = execute(create_table(directory, job.maps_bytes), job, task)
    except BaseException:
        if not options.keep:
            remove_table(directory)
        raise
    remove_table(directory)
    return replace(result, seconds=time.perf_counter() - started)


def resume_job(
    directory: str,
    *,
    out: Output,
    listener: JobListener = ignore,
    store: Filling | None = None,
    sources: Sequence[Source] = (),
    keep: bool = True,
) -> RunResult:
    """Go on with the job in `directory`, whose process was killed or left it; its directory is removed at the end.

    `store` has the files of pools that it reads; `sources`, if there are any, are its files where they lie now. `out`
    gets what was not delivered yet, or with JobOptions.keep_output everything. Errors: JobBusy while a process runs it,
    BadJob, OutputGone, and those of run_job; the job is then left as it is if `keep`.
    """
    started = time.perf_counter()
    job = read_job(directory)
    image = load(read_job_program(directory, job))
    if image.maps_bytes != job.maps_bytes:
        raise errors.BadJob(path=directory, reason="its maps are not those of its program")
    opened: list[Source] = []
    try:
        if sources:
            _check_moved(directory, job, sources)
        else:
            let_open(sum(origin.kind == "host" for origin in job.sources))
            opened += (open_origin(origin, store) for origin in job.sources)
        _check(job.options, sources or opened)
        task = Task(image, choose(job.options.engine), sources or opened, out, listener)
        table = attach_table(directory, image.maps_bytes)
        _check_output(table, job.options)
        table.ledger.control = Control.RUN
        result = execute(table, job, task)
    except BaseException as error:
        if not keep and not isinstance(error, errors.JobBusy):
            remove_table(directory)
        raise
    finally:
        for source in opened:
            source.close()
    remove_table(directory)
    return replace(result, seconds=time.perf_counter() - started)


def _check_output(table: Table, options: JobOptions) -> None:
    """Refuse, and close the table, where what comes next would stand without what came before."""
    delivered = table.ledger.delivered
    if delivered and options.to_file and not options.keep_output:
        path = table.directory
        table.close()
        raise errors.OutputGone(path=path, count=f"{delivered:,} bytes")


def _temporary() -> str:
    import tempfile

    return tempfile.gettempdir()


def _check_moved(directory: str, job: JobFile, sources: Sequence[Source]) -> None:
    """Refuse files that cannot be those that the job began with."""
    if [source.size for source in sources] != [origin.size for origin in job.sources]:
        raise errors.BadJob(
            path=directory, reason="the files that it is given have other sizes than those it began with"
        )


def make_directory(parent: str | None) -> str:
    """Make an empty directory for a job in `parent`, or in the shared memory of this machine."""
    try:
        if parent is None:
            parent = SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else _temporary()
        else:
            os.makedirs(parent, mode=0o700, exist_ok=True)
        directory = f"{parent}/packetfs-job-{os.urandom(8).hex()}"
        os.mkdir(directory, 0o700)
    except OSError as error:
        raise errors.TableFull(path=parent or "", reason=error.strerror or "") from None
    return directory
