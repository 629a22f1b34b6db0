"""Live microVMs as people and scripts see them: jobs of the runtime directory, counts by state, one microVM a line."""

from __future__ import annotations

from collections import Counter

from packetfs.dataclass import dataclass
from packetfs.engines.jobs.steering import JobInfo, list_jobs, microvms
from packetfs.engines.live.ledger import Control
from packetfs.errors import BadJob, NoJob
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Json
from packetfs.frontends.cli.runtime import runtime
from packetfs.frontends.cli.sizes import format_size
from packetfs.typing import Final, Iterator, Sequence
from packetfs.vm.context import Context
from packetfs.vm.layout import Fault, State

STATES: Final = tuple(state for state in State if state is not State.FREE)
VM_COLUMNS: Final = ("vm", "state", "shard", "records", "executed", "pc", "depth", "fuel", "owner", "position", "fault")


@dataclass(frozen=True, slots=True)
class Live:
    """A job and how many of its microVMs are in which state.

    `done` (bytes of the sources), `records`, `executed`: so far, the reduced ones too.
    """

    job: JobInfo
    states: Counter[int]
    done: int
    records: int
    executed: int

    @property
    def status(self) -> str:
        """What its process does, in a word."""
        if self.job.damage:
            return "damaged"
        if not self.job.running:
            return "left"
        return {Control.RUN: "running", Control.PAUSE: "paused", Control.CANCEL: "ending"}[self.job.control]


def find(name: str) -> JobInfo:
    """Return the job of this name; NoJob when there is none."""
    for job in list_jobs(runtime()):
        if job.name == name:
            return job
    raise NoJob(name=name)


def look() -> Iterator[Live]:
    """Yield every job as it is now; what ends meanwhile is passed over."""
    for job in list_jobs(runtime()):
        try:
            yield _look_at(job)
        except BadJob:
            continue


def _look_at(job: JobInfo) -> Live:
    counts: Counter[int] = Counter()
    done, records, executed = job.totals.bytes, job.totals.records, job.totals.executed
    by_offset = job.records not in ("pcap", "extent")  # their microVMs count in a list of records
    for context in microvms(job.directory):
        counts[context.state] += 1
        done += max(0, min(context.position, context.stop) - context.start) if by_offset else 0
        records += context.records
        executed += context.executed
    return Live(job, counts, done, records, executed)


def fields(live: Live) -> dict[str, Json]:
    """Return a job as a JSON object."""
    job = live.job
    return {
        "job": job.name,
        "status": live.status,
        "owner": job.owner,
        "created_ns": job.created_ns,
        "program": job.program,
        "records": job.records,
        "files": [source.name for source in job.sources],
        "size": job.size,
        "done": live.done,
        "delivered": job.delivered,
        "executed": live.executed,
        "damage": job.damage,
        "states": {state.name.lower(): live.states[state] for state in STATES},
    }


def rows(found: Sequence[Live]) -> list[list[str]]:
    """Return a table of jobs, with its heading."""
    heading = ["job", "status", "process", "done", *(state.name.lower() for state in STATES), "files"]
    return [heading, *(_row(live) for live in found)]


def _row(live: Live) -> list[str]:
    job = live.job
    share = f"{min(1, live.done / job.size):.0%}" if job.size else format_size(live.done)
    names = " ".join(printable(source.name) for source in job.sources)
    counts = (f"{live.states[state]:,}" for state in STATES)
    return [job.name, live.status, str(job.owner), share, *counts, names if len(names) < 60 else f"{names[:57]}..."]


def vm_fields(context: Context) -> dict[str, Json]:
    """Return one microVM as a JSON object."""
    fault = Fault(context.fault).name if context.fault in _FAULTS else str(context.fault)
    values: dict[str, Json] = {name: getattr(context, name) for name in VM_COLUMNS}
    return {**values, "state": _state(context), "fault": fault}


_FAULTS: Final = frozenset(Fault.__members__.values())


def _state(context: Context) -> str:
    return State(context.state).name if context.state in _STATES else str(context.state)


_STATES: Final = frozenset(State.__members__.values())


def vm_row(context: Context) -> list[str]:
    """Return one microVM as a row below VM_COLUMNS."""
    found = vm_fields(context)
    words = (f"{value:,}" if isinstance(value, int) else str(value).lower() for value in found.values())
    return ["" if word == "none" else word for word in words]


def aligned(table: Sequence[Sequence[str]], left: frozenset[str]) -> Iterator[str]:
    """Yield the lines of a table: numbers to the right; columns whose heading is in `left`, to the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = zip(table[0], row, widths, strict=True)
        yield "  ".join(f"{word:<{w}}" if name in left else f"{word:>{w}}" for name, word, w in cells).rstrip()


LEFT: Final = frozenset(("job", "status", "files", "state", "fault"))
