"""Run a program over the records of files, where the bytes lie. Nothing is copied, and no compiler is needed.

PROGRAM is a shipped one (`pfs programs` lists them), a program file, pfs:PATH, a Python file (FILE.py or
FILE.py:FUNCTION), C source or object (FILE.c, FILE.o, with :FUNCTION where it has several) or assembler (FILE.s).
FILE is a file of this machine (also in /proc and /sys), pfs:PATH, or - for standard input; pipes are run as they come.

Python itself executes a FILE.py on this machine, with all your rights, to find the function: run only what you trust.
Packets, C, objects and assembler from anyone are safe: they run in microVMs alone, which reach nothing but records.

Records: packet (64 bytes), line (with its line feed), lines (whole ones, those that begin within 64 KiB; lines:N: in
N bytes), fixed:N (N bytes), pcap (the packets of a capture) or extent (the chunks of the pool). Each is seen exactly
once, also where it crosses the edge between two microVMs. What the program emits goes to standard output in the order
of the records; its maps are shown as a table, on standard error where a program can emit and no -o takes that. A fault
ends one microVM; it is named, the others go on, and the exit code is 3.

Engines: interpreter is the definition, in Python; native is the same in C; cpu is machine code, lanes machine code that
takes sixteen records at a time. auto begins with an interpreter, compiles beside it and goes on with what is fastest.
"""

from __future__ import annotations

import os

from packetfs import errors
from packetfs.engines.options import COMPILING, ENGINES
from packetfs.errors import Partial, UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import printable, raw
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import counted, format_size, parse_size
from packetfs.limits import FUEL, FUEL_MAX, REPEAT_MAX, SHARD_BYTES_MAX, SHARD_BYTES_MIN, WORKERS_MAX
from packetfs.typing import TYPE_CHECKING, Callable, Final
from packetfs.vm.layout import VMS_MAX, Fault

if TYPE_CHECKING:
    from packetfs.engines.options import JobOptions
    from packetfs.engines.results.result import FaultReport, RunResult
    from packetfs.frontends.cli.chosen import Chosen
    from packetfs.frontends.cli.results import Decimals
    from packetfs.frontends.cli.tracing import JobReporter
    from packetfs.packet.layout import Buffer

EXAMPLES: Final = (
    ("pfs run wc notes.txt", "lines, words and bytes"),
    ("pfs run grep --arg pattern=ERROR app.log | head", "lines that contain a string, in their order"),
    ("tail -f app.log | pfs run grep --arg pattern=ERROR", "each as soon as it is written"),
    ("zcat capture.pcap.gz | pfs run pcap --records pcap --json", "what a capture holds, for a script"),
    ("pfs run --node db1 count.py /var/log/app.log", "there; only the result comes back"),
    ("pfs run --node pfs+tls://db1 wc pfs:app.log", "by a daemon (also pfs+unix://SOCKET), where the key may run"),
)
OPTIONS: Final = ("json", "pool")

_RANGES: Final = (
    ("vms", 1, VMS_MAX),
    ("workers", 1, WORKERS_MAX),
    ("fuel", 1, FUEL_MAX),
    ("seed", 0, (1 << 64) - 1),
    ("repeat", 1, REPEAT_MAX),
    ("top", 1, 1 << 32),
)
"""Options that are numbers: least and most."""
_LINES: Final = 1 << 28
"""Addresses below are never mapped: a program in Python loads from the number of its source line to fault."""


def declare(arguments: Arguments) -> None:
    """Add the program, the files and how to run."""
    add = arguments.add
    add("program", metavar="PROGRAM", help="what to run")
    add("files", metavar="FILE", nargs="*", default=[], help="what to run it over (default: standard input)")
    add("-a", "--arg", metavar="NAME=VALUE", action="append", default=[], help="an argument of the program")
    add("-r", "--records", metavar="KIND", help="packet, line, lines, fixed:N, pcap, extent (default: PROGRAM says it)")
    add("-o", "--output", metavar="FILE", help="write what is emitted, or the Arrow file, here")
    add(
        "--format",
        metavar="FORMAT",
        choices=("table", "arrow"),
        default="table",
        help="of the maps: table or arrow (--json: objects)",
    )
    add("--top", metavar="N", type=int, help="of each map, only the N entries with the greatest value")
    add("--engine", metavar="ENGINE", choices=ENGINES, default="auto", help="what executes, as above (default: auto)")
    add("--vms", metavar="N", type=int, help=f"microVMs live at once, 1 to {VMS_MAX:,}")
    add("--workers", metavar="N", type=int, help="threads (default: cores)")
    add("--fuel", metavar="N", type=int, default=FUEL, help=f"instructions that a record may execute ({FUEL:,})")
    add("--shard", metavar="SIZE", help="bytes that one microVM is given (default: 1 MiB, more for large maps)")
    add("--seed", metavar="N", type=int, default=0, help="of the random numbers that a program draws")
    add("--keep", action="store_true", help="keep the microVMs when it is stopped: `pfs vms` lists and resumes them")
    add("--no-memo", action="store_true", help="neither use nor keep what the pool remembers of runs (`pfs memo`)")
    add("--repeat", metavar="N", type=int, default=1, help="run N times and tell the best and the median")
    add("--node", metavar="HOST", help="run on the machine that has the files: over ssh, or a daemon's URL")
    add("-e", "--rsh", metavar="CMD", help="reach hosts by CMD instead of ssh ($PACKETFS_RSH)")
    add("--far-pool", metavar="DIR", help="the pool on the other machine (default: its own choice)")
    add("--far-command", metavar="CMD", default="pfs", help="how the other machine calls PacketFS (default: pfs)")
    add("--snapshot", metavar="NAME", help="pfs:PATH as it was in this snapshot")


def run(options: Options, output: Output) -> int:
    """Run the job and show its result; exit code 3 when microVMs faulted or files could not be read to their end."""
    _check(options)
    from packetfs.frontends.cli.chosen import choose_program  # after the arguments were found good
    from packetfs.frontends.cli.emitted import open_emitted, to_file, writes_output
    from packetfs.frontends.cli.ending import ended_by_signals
    from packetfs.frontends.cli.tracing import JobReporter

    chosen = choose_program(options)
    reporter = JobReporter(output)
    with ended_by_signals(), open_emitted(options, output) as emitted:
        result = (_run_here if options.node is None else _run_there)(options, output, chosen, emitted.write, reporter)
        if output.bar is not None:
            output.bar.clear()
    if options.format == "arrow":
        _save(result, options, chosen.decimals)  # before the table, which may go to a pipe that closes
    free = to_file(options) or not writes_output(chosen.program)
    show(result, output, chosen.decimals, top=options.top, to_stdout=free)
    return finish(result, output, reporter.troubles, chosen.source)


def finish(result: RunResult, output: Output, troubles: int, source: str = "") -> int:
    """Name what faulted; MicroVMsFaulted or Partial where something was left out. `source`: of a program in Python."""
    if not output.json:
        for fault in result.faults:
            output.warn(f"pfs: {printable(str(fault))}{printable(_raised(fault, source))}")
    output.flush()
    if result.faulted:
        raise errors.MicroVMsFaulted(count=counted(result.faulted, "microVM"))
    if troubles:
        raise Partial(count=troubles)
    return 0


def _raised(fault: FaultReport, source: str) -> str:
    """Return which line of a Python program a fault stands for: where Python would raise, the line is the address."""
    if not source or fault.fault is not Fault.ADDRESS or not 0 < fault.address < _LINES:
        return ""
    return f"; that is {source}, line {fault.address}: an index, a division, a shift or a full map would raise there"


def _check(options: Options) -> None:
    for name, least, most in _RANGES:
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise UsageError(reason=f"--{name} {value}: it must be from {least:,} to {most:,}")
    if options.shard is not None and not SHARD_BYTES_MIN <= parse_size(options.shard) <= SHARD_BYTES_MAX:
        reason = f"--shard {options.shard}: it must be from {SHARD_BYTES_MIN:,} to {SHARD_BYTES_MAX:,} bytes"
        raise UsageError(reason=reason)
    if options.format == "arrow" and options.output is None:
        raise UsageError(reason="--format arrow needs -o FILE")
    if options.node is not None:
        from packetfs.frontends.cli.endpoint import parse_node

        parse_node(options.node)
    if options.node is not None and (not options.files or "-" in options.files):
        raise UsageError(reason="--node needs FILEs that lie there; standard input lies here")
    for name in ("far_pool", "rsh"):
        if options.node is None and getattr(options, name) is not None:
            raise UsageError(reason=f"--{name.replace('_', '-')} goes with --node only")


def _run_here(
    options: Options, output: Output, chosen: Chosen, write: Callable[[Buffer], None], reporter: JobReporter
) -> RunResult:
    from packetfs.engines.input.records import parse_records
    from packetfs.engines.jobs.job import run_job
    from packetfs.frontends.cli.inputs import open_sources
    from packetfs.frontends.cli.remembering import remembering
    from packetfs.frontends.cli.runtime import runtime

    records = parse_records(options.records or chosen.records)
    made = _job_options(options, chosen, runtime())
    if made.engine in (*COMPILING, "auto"):
        from packetfs.engines.compiled.cache import keep_code

        keep_code(settings.code_path())
    with open_sources(options.files or ["-"], settings.pool_path(options.pool), options.snapshot, records) as sources:
        try:
            with remembering(sources, output.note, wanted=not options.no_memo and options.repeat == 1) as memory:
                result = run_job(
                    chosen.program, sources, records, out=write, options=made, listener=reporter, memory=memory
                )
                if memory is not None:
                    memory.count(result.remembered, result.shards)
                return result
        except KeyboardInterrupt:
            _tell_kept(options, output)
            raise


def _tell_kept(options: Options, output: Output) -> None:
    """Say how to go on with a job that was kept."""
    from packetfs.engines.jobs.steering import list_jobs

    for job in list_jobs(settings.runtime_path()) if options.keep else ():
        if job.owner == os.getpid():
            output.warn(f"kept; `pfs vms --resume {job.name}` goes on with it")


def _run_there(
    options: Options, output: Output, chosen: Chosen, write: Callable[[Buffer], None], reporter: JobReporter
) -> RunResult:
    from packetfs.engines.input.records import parse_records
    from packetfs.engines.remote.node import NodeJob, run_on_node
    from packetfs.frontends.cli.endpoint import parse_node, shell_words

    host, daemon = parse_node(options.node)
    job = NodeJob(
        host=host,
        program=chosen.program,
        records=str(parse_records(options.records or chosen.records)),
        files=tuple(raw(name) for name in options.files),
        pool=options.far_pool or "",
        snapshot=options.snapshot or "",
        options=_job_options(options, chosen, None),
        shell=shell_words(settings.remote_shell(options.rsh)),
        far_command=options.far_command,
        memo=not options.no_memo,
        daemon=daemon,
        keys=settings.keys_path() if daemon else "",
    )
    result, moved = run_on_node(job, write, reporter)
    output.note(f"{format_size(moved)} moved, {moved / max(result.bytes, 1):.3%} of the input")
    return result


def _job_options(options: Options, chosen: Chosen, parent: str | None) -> JobOptions:
    from packetfs.engines.options import JobOptions, fitting_shard
    from packetfs.frontends.cli.emitted import to_file

    pooled = bool(options.node) or any(name.startswith("pfs:") for name in options.files)
    fitting = fitting_shard(chosen.program, remembered=pooled)
    return JobOptions(
        engine=options.engine,
        vms=options.vms,
        workers=options.workers,
        fuel=options.fuel,
        seed=options.seed,
        shard_bytes=fitting if options.shard is None else parse_size(options.shard),
        repeat=options.repeat,
        parent=parent,
        keep=options.keep,
        keep_output=options.keep and to_file(options),  # the file goes with the run that was stopped
        to_file=to_file(options),
    )


def show(result: RunResult, output: Output, decimals: Decimals, *, top: int | None, to_stdout: bool) -> None:
    """Write maps and counts: as JSON objects, or as a table to stdout or beside the output to stderr."""
    from packetfs.frontends.cli.results import print_records, print_table

    if output.json:
        print_records(result, output, decimals, top=top)
    else:
        print_table(result, output, decimals, top=top, show=to_stdout)


def _save(result: RunResult, options: Options, decimals: Decimals) -> None:
    from packetfs.frontends.cli.arrow import write_arrow
    from packetfs.frontends.cli.hostfile import replacing

    with replacing(raw(options.output)) as file:
        write_arrow(result, file, decimals, top=options.top)
