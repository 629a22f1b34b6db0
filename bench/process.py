"""Run a copy and meter both sides apart: CPU, peak memory, wire bytes, turns.

The near side is the process we start, the far side what `relay.py` starts for it; the relay counts as neither.

- CPU comes from wait4, exact to the microsecond. The near side's includes the children it has waited for, so the
  relay's report is taken off where /proc says that they are in it.
- RSS is the kernel's own high-water mark (VmHWM), read as it grows. ru_maxrss would not do: after fork and exec it
  still holds the size of the parent.
- Private memory has no high-water mark, so it is sampled every few milliseconds (smaps_rollup: private clean and
  dirty). A peak shorter than that can be missed; RSS bounds it. Pages that both sides map, as the interpreter's code,
  are private to neither.
- A side of several processes (rsync's receiver) counts as their sum, so pages shared by a fork count twice in its RSS.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL = 0.01
"""Seconds between samples at first; a long run is sampled more rarely, so that sampling costs it below 1 %."""
INTERVAL_LATER = 0.05
PATIENCE = 60.0
"""Seconds that a far side may live on after its near side has ended."""


class FarSideLingersError(RuntimeError):
    """The near side has ended, but the far side goes on."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one side took: CPU seconds, peak bytes of memory."""

    cpu: float
    rss: int = 0
    private: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One copy, seen from outside."""

    status: int
    wall: float
    near: Usage
    far: Usage
    up: int = 0
    down: int = 0
    turns: int = 0
    stdout: str = ""
    stderr: str = ""

    @property
    def wire(self) -> int:
        return self.up + self.down


@dataclass(slots=True)
class Peaks:
    """The largest sums seen so far, of one side."""

    rss: int = 0
    private: int = 0

    def take(self, pids: list[int]) -> None:
        seen = [memory_of(pid) for pid in pids]
        self.rss = max(self.rss, sum(rss for rss, _ in seen))
        self.private = max(self.private, sum(private for _, private in seen))


@dataclass(slots=True)
class Sampler:
    """Watch the memory of both sides from a thread until `stop` is set."""

    near_pid: int
    processes: Path
    near: Peaks = field(default_factory=Peaks)
    far: Peaks = field(default_factory=Peaks)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        start = time.monotonic()
        while not self.stop.is_set():
            relay, far = read_processes(self.processes)
            # Until the relay has told its number, a child may be the relay, or this very process between fork and exec.
            self.near.take(descendants(self.near_pid, without=relay) if relay else [self.near_pid])
            if far:
                self.far.take(descendants(far))
            self.stop.wait(INTERVAL if time.monotonic() - start < 2 else INTERVAL_LATER)


def run(command: list[str], environment: dict[str, str], report: Path, processes: Path, sample: bool = True) -> Run:
    """Run the command to its end, and the far side that it started through the relay to its own."""
    for left_over in (report, processes):
        left_over.unlink(missing_ok=True)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        sampler = Sampler(process.pid, processes)
        watcher = threading.Thread(target=sampler.watch)
        if sample:
            watcher.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter() - start
        waited_for = children_ticks(process.pid)
        status, cpu = reap(process)
        figures = await_report(report, processes)
        sampler.stop.set()
        if sample:
            watcher.join()
        out.seek(0)
        err.seek(0)
        up, down, turns, relay_cpu, far_cpu = figures
        near_cpu = cpu - (relay_cpu + far_cpu if waited_for else 0.0)
        return Run(
            status,
            wall,
            Usage(near_cpu, sampler.near.rss, sampler.near.private),
            Usage(far_cpu, sampler.far.rss, sampler.far.private),
            int(up),
            int(down),
            int(turns),
            out.read(),
            err.read(),
        )


def reap(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def await_report(report: Path, processes: Path) -> tuple[float, ...]:
    """Read what the relay reports; a side that never started a far one has none."""
    if not processes.exists():
        return (0.0,) * 5
    deadline = time.monotonic() + PATIENCE
    while not report.exists():
        if time.monotonic() > deadline:
            raise FarSideLingersError(f"the far side {processes.read_text().strip()} lives on")
        time.sleep(0.002)
    return tuple(float(word) for word in report.read_text().split()[:5])


def read_processes(path: Path) -> tuple[int, int]:
    try:
        relay, far = path.read_text().split()
    except OSError:
        return 0, 0
    return int(relay), int(far)


def descendants(pid: int, without: int = 0) -> list[int]:
    pending, found = [pid], []
    while pending:
        one = pending.pop()
        if one != without:
            found.append(one)
            pending.extend(children(one))
    return found


def children(pid: int) -> Iterator[int]:
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            yield from map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:
        return  # it has ended


def memory_of(pid: int) -> tuple[int, int]:
    """Give the high-water mark of RSS and the private memory now, in bytes; nothing once the process has ended."""
    try:
        rss = kibibytes(Path(f"/proc/{pid}/status").read_text(), ("VmHWM:",))
        return rss, kibibytes(Path(f"/proc/{pid}/smaps_rollup").read_text(), ("Private_Clean:", "Private_Dirty:"))
    except OSError:
        return 0, 0


def kibibytes(text: str, names: tuple[str, ...]) -> int:
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(names))


def children_ticks(pid: int) -> int:
    """Give the CPU ticks of the children that a zombie has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14])
