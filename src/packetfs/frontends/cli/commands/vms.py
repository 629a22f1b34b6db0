"""List the jobs whose microVMs are live, or every microVM of one job; pause, resume, move and drop jobs.

A job is left behind when its process was killed, or was stopped under `pfs run --keep`. Resuming it goes on where it
was; what it had not written yet goes to standard output. What it gave to `-o FILE` went with its process: under --keep
all of it comes again, else such a job is refused. A job that was only paused goes on in its own process.
"""

from __future__ import annotations

from packetfs.contextlib import contextmanager
from packetfs.engines.jobs.steering import control, hold, microvms, remove_job
from packetfs.engines.live.ledger import Control
from packetfs.errors import UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.commands.run import finish, show
from packetfs.frontends.cli.emitted import Emitted, writes_output
from packetfs.frontends.cli.hostfile import open_source, replacing
from packetfs.frontends.cli.live import (
    LEFT,
    VM_COLUMNS,
    aligned,
    fields,
    find,
    look,
    rows,
    vm_fields,
    vm_row,
)
from packetfs.frontends.cli.names import raw
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.runtime import runtime
from packetfs.typing import TYPE_CHECKING, Final, Iterator

if TYPE_CHECKING:
    from packetfs.engines.jobs.steering import JobInfo
    from packetfs.packet.execute import Filling

EXAMPLES: Final = (
    ("pfs vms", "the jobs, and what their microVMs do"),
    ("pfs vms packetfs-job-x1 --json", "every live microVM of a job"),
    ("pfs vms --pause packetfs-job-x1 && pfs vms --freeze packetfs-job-x1 job.pfs", "keep it as packets"),
    ("pfs vms --thaw job.pfs && pfs vms --resume packetfs-job-y2", "go on with it, elsewhere if you like"),
)
OPTIONS: Final = ("json", "pool")
_ACTIONS: Final = ("pause", "resume", "freeze", "thaw", "drop")


def declare(arguments: Arguments) -> None:
    """Add the job and what to do."""
    add = arguments.add
    add("job", metavar="JOB", nargs="?", help="list its microVMs (default: list the jobs)")
    add("--pause", metavar="JOB", help="let none of its microVMs run")
    add("--resume", metavar="JOB", help="let it run on; here, where no process has it")
    add("--freeze", metavar=("JOB", "FILE"), nargs=2, help="write a job that is paused or left, as packets")
    add("--thaw", metavar="FILE", help="make a job of such packets, and print its name")
    add("--drop", metavar="JOB", help="end it, and forget it with all that it computed")
    add("--hold", metavar="ID", type=int, help="of JOB, let this microVM stay as it is")
    add("--release", metavar="ID", type=int, help="of JOB, let this microVM go on")


def run(options: Options, output: Output) -> int:
    """Do one thing."""
    wanted = [name for name in _ACTIONS if getattr(options, name) is not None]
    if len(wanted) + (options.job is not None) > 1:
        raise UsageError(reason="one thing at a time: JOB, --pause, --resume, --freeze, --thaw or --drop")
    if options.job is None and (options.hold is not None or options.release is not None):
        raise UsageError(reason="--hold and --release need JOB")
    if wanted:
        return _DO[wanted[0]](options, output)
    if options.job is None:
        _list_jobs(output)
    else:
        _one_job(find(options.job), options, output)
    return 0


def _list_jobs(output: Output) -> None:
    found = list(look())
    if output.json:
        for live in found:
            output.record("job", fields(live))
    elif found:
        for line in aligned(rows(found), LEFT):
            output.line(line)
        for live in found:
            if live.job.damage:
                output.note(f"{live.job.damage}; `pfs vms --drop {live.job.name}` removes it")
    else:
        output.note("no microVM is live")


def _one_job(job: JobInfo, options: Options, output: Output) -> None:
    for vm, held in ((options.hold, True), (options.release, False)):
        if vm is not None:
            hold(job.directory, vm, held)
    if options.hold is None and options.release is None:
        _list_microvms(job, output)


def _list_microvms(job: JobInfo, output: Output) -> None:
    if output.json:
        for context in microvms(job.directory):
            output.record("microvm", vm_fields(context))
        return
    table = [list(VM_COLUMNS), *map(vm_row, microvms(job.directory))]
    for line in aligned(table, LEFT):
        output.line(line)


def _pause(options: Options, output: Output) -> int:
    del output
    control(find(options.pause).directory, Control.PAUSE)
    return 0


def _drop(options: Options, output: Output) -> int:
    del output
    job = find(options.drop)
    if job.running:
        control(job.directory, Control.CANCEL)
    else:
        remove_job(job.directory)
    return 0


def _freeze(options: Options, output: Output) -> int:
    from packetfs.engines.jobs.moving import freeze_job

    name, path = options.freeze
    packets = freeze_job(find(name).directory)
    with replacing(raw(path)) as file:
        file.write(packets)
    output.note(f"{len(packets):,} bytes; the job stays until `pfs vms --drop {name}`")
    return 0


def _thaw(options: Options, output: Output) -> int:
    from packetfs.engines.jobs.moving import thaw_job

    with open_source(raw(options.thaw)) as file:
        directory = thaw_job(file.read(), runtime())
    name = directory.rpartition("/")[2]
    if output.json:
        output.record("thawed", {"job": name})
    else:
        output.line(name)
    return 0


def _resume(options: Options, output: Output) -> int:
    job = find(options.resume)
    if job.running:
        control(job.directory, Control.RUN)
        return 0
    from packetfs.engines.jobs.job import resume_job
    from packetfs.engines.jobs.jobfile import read_job, read_job_program
    from packetfs.frontends.cli.tracing import JobReporter
    from packetfs.toolchain.notes import decimals_of

    reporter, emitted = JobReporter(output), Emitted(output)
    program = read_job_program(job.directory, read_job(job.directory))
    with _store(job, options) as store:
        result = resume_job(job.directory, out=emitted.write, listener=reporter, store=store)
    show(result, output, decimals_of(program), top=None, to_stdout=not writes_output(program))
    return finish(result, output, reporter.troubles)


@contextmanager
def _store(job: JobInfo, options: Options) -> Iterator[Filling | None]:
    """Open the pool, if the job reads files of one."""
    if all(source.kind != "pool" for source in job.sources):
        yield None
        return
    from packetfs.frontends.cli.opening import open_pool

    with open_pool(options) as pool:
        yield pool


_DO: Final = {"pause": _pause, "resume": _resume, "freeze": _freeze, "thaw": _thaw, "drop": _drop}
