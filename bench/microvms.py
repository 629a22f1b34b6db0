"""65,535 microVMs live at once over one file: what they take, what killing and resuming costs, how fast they move.

    python -m bench.microvms [--shard BYTES] [--rounds N] [--work FOLDER]

The job counts records of 64 bytes by a field and emits part of one in 64. It is run by one microVM over the whole file;
then cut into 65,535 shards, all live and paused half-way, when its process is killed and another one goes on; then
paused, frozen to packets, thawed as another job and run to its end. All must give the same bytes. Times of one
microVM and of many stand beside each other: one microVM has one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random

from bench import machine, report
from packetfs.engines.input.records import parse_records
from packetfs.engines.input.shards import plan
from packetfs.engines.input.source import HostFile
from packetfs.engines.jobs.job import drop, make_directory, resume_job, run_job
from packetfs.engines.jobs.moving import freeze_job, thaw_job
from packetfs.engines.jobs.steering import control, list_jobs
from packetfs.engines.jobs.work import usable_cores
from packetfs.engines.live.columns import begin
from packetfs.engines.live.ledger import Control
from packetfs.engines.live.table import create_table, remove_table
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import RunResult
from packetfs.events import ignore
from packetfs.packet.layout import Buffer
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.layout import CONTEXT_BYTES, VMS_MAX, MapType, Reducer, State
from packetfs.vm.program import MapDefinition, Program

SHARD = 16 * 1024
SLICE = 3000
"""Slots: a little more than half of what a shard takes, so that every microVM is paused in the middle of a record."""
CODE = """
    ldxdw r6, [r1+0]
    ldxdw r7, [r1+8]
    mov r8, r6
    add r8, 64
    jgt r8, r7, end
    ldxdw r9, [r6+0]
    mov r8, r9
    and r9, 7
    stxw [r10-4], r9
    lddw r1, map 0
    mov r2, r10
    add r2, -4
    call 1
    jeq r0, 0, end
    mov r1, 1
    lock add [r0+0], r1
    rsh r8, 58
    jne r8, 0, end
    mov r1, r6
    mov r2, 16
    call 4096
end:
    mov r0, 2
    exit
"""
MAPS = (MapDefinition(b"by field", MapType.ARRAY, 4, 8, 8, reducer=Reducer.SUM),)


def code() -> Program:
    return Program(pad(assemble(CODE)), MAPS)


@dataclass(frozen=True, slots=True)
class Move:
    """A paused job moved: seconds to packets and back, bytes of packets and of the table, whether all contexts were the
    same, and what both jobs gave in the end."""

    freeze: float
    thaw: float
    packets: int
    bytes: int
    equal: bool
    left: str
    thawed: str


@dataclass(frozen=True, slots=True)
class Killed:
    """A job killed half-way: wall and CPU until then, and what the rest took in another process."""

    wall: float
    cpu: float
    rest: Outcome


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: a digest of output, maps, counts; bytes of output; seconds of wall and CPU."""

    digest: str
    emitted: int
    wall: float
    cpu: float


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.microvms", description=__doc__)
    parser.add_argument("--shard", type=int, default=SHARD, help="bytes of a shard; the file has 65,535 of them")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", type=Path, help="a folder with room for the file (1 GB)")
    parser.add_argument("--out", type=Path, default=report.OUT)
    parser.add_argument("--child", nargs=3, metavar=("FILE", "PARENT", "SHARD"), help=argparse.SUPPRESS)
    parser.add_argument("--resume", metavar="JOB", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        return run_child(*options.child)
    if options.resume:
        return resume_child(options.resume)
    with tempfile.TemporaryDirectory(prefix="packetfs-bench-", dir=options.work) as work, shared() as jobs:
        results = measure(write(Path(work) / "data", options.shard), options.shard, options.rounds, jobs)
    report.store(options.out, "microvms", results)
    return show(results)


@contextmanager
def shared() -> Iterator[str]:
    parent = make_directory(None)
    try:
        yield parent
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def write(path: Path, shard: int) -> Path:
    """Write random bytes, a file that every process then reads from the page cache."""
    random, left = Random("microvms"), VMS_MAX * shard
    with path.open("wb") as file:
        while left:
            left -= file.write(random.randbytes(min(left, 1 << 20)))
    return path


def measure(path: Path, shard: int, rounds: int, jobs: str) -> dict[str, object]:
    table = [measure_table(path, shard, jobs) for _ in range(rounds)]
    turns = [(one_microvm(path, jobs), kill_and_resume(path, shard, jobs)) for _ in range(rounds)]  # the same machine
    ones, killed = [one for one, _ in turns], [run for _, run in turns]
    many = [all_live(path, shard, jobs) for _ in range(rounds)]
    moved = [move(path, shard, jobs) for _ in range(rounds)]
    ratio = statistics.median((run.wall + run.rest.wall) / one.wall for one, run in turns)
    same = {run.digest for run in [*ones, *many, *(run.rest for run in killed)]}
    same |= {digest for run in moved for digest in (run.left, run.thawed)}
    created = min(table)
    vm_bytes = max(run.bytes for run in moved) / (VMS_MAX + 1)
    gone = statistics.median(run.freeze + run.thaw for run in moved)
    equal = all(run.equal for run in moved)
    checks = [
        check("table of 65,535 microVMs created", f"{created * 1e3:.0f} ms", "<= 100 ms", created <= 0.1),
        check("a live microVM, context and used stack", f"{vm_bytes:.0f} B", "<= 1,024 B", vm_bytes <= CONTEXT_BYTES),
        check("one microVM, killed and moved: same bytes", f"{len(same)} outcome", "1", len(same) == 1),
        check("killed half-way and resumed / one microVM", f"{ratio:.2f}", "<= 1.15", ratio <= 1.15),
        check("65,535 paused: to packets and back", f"{gone:.2f} s", "<= 0.5 s", gone <= 0.5),
        check("as they were, byte for byte", "equal" if equal else "differ", "equal", equal),
    ]
    return {
        "machine": machine.describe(),
        "workers": usable_cores(),
        "bytes": path.stat().st_size,
        "table": [{"seconds": seconds} for seconds in table],
        "one": [asdict(run) for run in ones],
        "all live": [asdict(run) for run in many],
        "killed": [asdict(run) for run in killed],
        "moved": [asdict(run) for run in moved],
        "checks": checks,
    }


def check(what: str, figure: str, bound: str, holds: bool) -> dict[str, object]:
    return {"what": what, "figure": figure, "bound": bound, "holds": holds}


def measure_table(path: Path, shard: int, jobs: str) -> float:
    """Make the table and all its microVMs READY."""
    directory, records = make_directory(jobs), parse_records("packet")
    batches = list(plan([HostFile(str(path))], records, shard, max(1, (1 << 20) // shard), ignore))
    start = time.perf_counter()
    table = create_table(directory, 64)
    table.populate()
    for batch in batches:
        begin(table.words, batch, records, 0)
    seconds = time.perf_counter() - start
    table.close()
    remove_table(directory)
    return seconds


def one_microvm(path: Path, jobs: str) -> Outcome:
    """Run the whole file as one shard by one microVM."""
    return outcome(path, JobOptions(vms=1, shard_bytes=1 << 40, parent=jobs))


def all_live(path: Path, shard: int, jobs: str) -> Outcome:
    """Run 65,535 shards, all begun before the second one of a worker ends."""
    return outcome(path, JobOptions(vms=VMS_MAX, shard_bytes=shard, parent=jobs))


def outcome(path: Path, options: JobOptions) -> Outcome:
    digest, start = Digest(), (time.perf_counter(), time.process_time())
    result = run_job(code(), [HostFile(str(path))], parse_records("packet"), out=digest.take, options=options)
    return Outcome(digest.of(result), digest.count, time.perf_counter() - start[0], time.process_time() - start[1])


class Digest:
    """Digest of output, then of what a result says."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self.count = 0

    def take(self, data: Buffer) -> None:
        self._hash.update(data)
        self.count += len(data)

    def of(self, result: RunResult) -> str:
        entries = [entry for found in result.maps for entry in found.entries]
        said = (result.records, result.bytes, result.executed, result.emitted, result.verdicts, result.last, entries)
        self._hash.update(repr(said).encode())
        return self._hash.hexdigest()


def kill_and_resume(path: Path, shard: int, jobs: str) -> Killed:
    """Kill a job when all its microVMs are paused half-way, and let another process go on."""
    child, directory, start = start_child(path, shard, jobs)
    wait_for_pause(directory)
    child.send_signal(signal.SIGKILL)
    _, _, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    child.returncode = -signal.SIGKILL
    return Killed(seconds, usage.ru_utime + usage.ru_stime, resume(directory))


def move(path: Path, shard: int, jobs: str) -> Move:
    """Pause a job half-way, freeze it, thaw it as another one; both must end alike."""
    child, directory, _ = start_child(path, shard, jobs)
    wait_for_pause(directory)
    control(directory, Control.PAUSE)
    packets = freeze_job(directory)  # waits for the turns under way
    start = time.perf_counter()
    packets = freeze_job(directory)
    frozen = time.perf_counter()
    thawed = thaw_job(packets, jobs)
    end = time.perf_counter()
    size = sum(os.stat(f"{directory}/{name}").st_blocks * 512 for name in ("contexts", "spill"))
    equal = read_contexts(directory) == read_contexts(thawed)
    child.send_signal(signal.SIGKILL)
    child.wait()
    left = resume(directory)
    return Move(frozen - start, end - frozen, len(packets), size, equal, left.digest, resume(thawed).digest)


def read_contexts(directory: str) -> bytes:
    """Return all contexts, without the process that ran them."""
    contexts = bytearray(Path(directory, "contexts").read_bytes())
    for at in range(8, 12):
        contexts[at::CONTEXT_BYTES] = bytes(VMS_MAX + 1)
    return bytes(contexts)


def start_child(path: Path, shard: int, jobs: str) -> tuple[subprocess.Popen[str], str, float]:
    """Start a job in another process; return it, its directory, and the moment when it began to work."""
    command = [sys.executable, "-m", "bench.microvms", "--child", str(path), jobs, str(shard)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    start = float(child.stdout.readline())
    while not list_jobs(jobs):
        if child.poll() is not None:
            raise RuntimeError("the job ended at once")
    return child, list_jobs(jobs)[-1].directory, start


def wait_for_pause(directory: str) -> None:
    """Wait until the last microVM has had its first slice: then all are paused half-way."""
    while not os.path.exists(f"{directory}/contexts"):
        time.sleep(0.001)
    with open(f"{directory}/contexts", "rb", buffering=0) as file:
        while os.pread(file.fileno(), 1, VMS_MAX * CONTEXT_BYTES) != bytes([State.PAUSED]):
            time.sleep(0.001)


def run_child(path: str, jobs: str, shard: str) -> int:
    options = JobOptions(vms=VMS_MAX, shard_bytes=int(shard), slice_slots=SLICE, parent=jobs, keep_output=True)
    records = parse_records("packet")
    print(time.monotonic(), flush=True)
    run_job(code(), [HostFile(path)], records, out=drop, options=options)
    return 0


def resume(directory: str) -> Outcome:
    command = [sys.executable, "-m", "bench.microvms", "--resume", directory]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Outcome(**json.loads(ended.stdout))


def resume_child(directory: str) -> int:
    digest, start = Digest(), (time.perf_counter(), time.process_time())
    result = resume_job(directory, out=digest.take)
    seconds, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    print(json.dumps(asdict(Outcome(digest.of(result), digest.count, seconds, cpu))))
    return 0


def show(results: dict[str, object]) -> int:
    """Print the figures and the checks; fail where a bound does not hold."""
    print(f"{results['bytes']:,} bytes, {results['workers']} workers")
    for name in ("table", "one", "all live", "killed", "moved"):
        for run in results[name]:  # type: ignore[attr-defined]
            print(f"  {name:<9} {', '.join(words(run))}")
    failed = 0
    for found in results["checks"]:  # type: ignore[attr-defined]
        failed += not found["holds"]
        verdict = "PASS" if found["holds"] else "FAIL"
        print(f"{verdict}  {found['what']:<50} {found['figure']:>12}   {found['bound']}")
    return 1 if failed else 0


def words(run: dict[str, object]) -> Iterator[str]:
    for key, value in run.items():
        if isinstance(value, dict):
            yield from (f"rest {text}" for text in words(value))
        elif not isinstance(value, str):
            yield f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"


if __name__ == "__main__":
    sys.exit(main())
