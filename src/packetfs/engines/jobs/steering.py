"""Jobs as another process sees and steers them: what is in a directory of jobs, their microVMs, pause and hold.

Nothing here takes a job's lock for longer than a look, or stores to it beyond the few bytes of the ledger that are
there to be asked with.
"""

from __future__ import annotations

import os

from packetfs.dataclass import dataclass
from packetfs.engines.input.source import Origin
from packetfs.engines.jobs.jobfile import read_job
from packetfs.engines.live.ledger import Control, control_place, held_place, read_ledger
from packetfs.engines.live.table import is_running, remove_table, touched
from packetfs.engines.results.outcome import read_totals
from packetfs.engines.results.totals import Totals
from packetfs.errors import BadJob, JobBusy, PacketFSError, UsageError
from packetfs.typing import Final, Iterator
from packetfs.vm.context import Context
from packetfs.vm.layout import CONTEXT_BYTES, VMS_MAX, State

_PIECE: Final = 1024
"""Contexts that are read at a time."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job. `program`: digest in hex. `running`: a live process (`owner`) runs it. `delivered`: bytes of output that
    went out. `totals`: over the shards that are reduced already. `damage`: why it cannot be read, if it cannot: little
    else is known of it then."""

    directory: str
    program: str
    records: str
    sources: tuple[Origin, ...]
    created_ns: int
    running: bool
    owner: int
    control: Control
    delivered: int
    totals: Totals
    damage: str = ""

    @property
    def name(self) -> str:
        """What the job is called: the name of its directory."""
        return os.path.basename(self.directory)

    @property
    def size(self) -> int:
        """Bytes of its sources, as far as they were known when it began."""
        return sum(source.size for source in self.sources)


def list_jobs(parent: str) -> list[JobInfo]:
    """Return all jobs in `parent`, running or left, by the time they began; what is no job is passed over."""
    found = []
    try:
        with os.scandir(parent) as entries:
            paths = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    for path in paths:
        try:
            found.append(describe_job(path))
        except PacketFSError as error:
            found += _damaged(path, error.message)
    return sorted(found, key=lambda job: job.created_ns)


def _damaged(directory: str, reason: str) -> list[JobInfo]:
    """Return what is left to say of a job that cannot be read; nothing of what is none, or begins or ends just now."""
    try:
        begun = os.stat(f"{directory}/job.json").st_mtime_ns
        running, seen = is_running(directory), read_ledger(directory)
    except OSError:
        return []
    return [
        JobInfo(
            directory=directory,
            program="",
            records="",
            sources=(),
            created_ns=begun,
            running=running,
            owner=seen.owner,
            control=seen.control,
            delivered=seen.delivered,
            totals=Totals(),
            damage=reason,
        )
    ]


def describe_job(directory: str) -> JobInfo:
    """Return what is known of the job in `directory`; BadJob when there is none."""
    job = read_job(directory)
    try:
        seen = read_ledger(directory)
        running = is_running(directory)
    except OSError as error:
        raise BadJob(path=directory, reason=error.strerror) from None
    return JobInfo(
        directory=directory,
        program=job.program,
        records=job.records,
        sources=job.sources,
        created_ns=job.created_ns,
        running=running,
        owner=seen.owner,
        control=seen.control,
        delivered=seen.delivered,
        totals=read_totals(directory),
    )


def microvms(directory: str) -> Iterator[Context]:
    """Yield copies of the contexts that are not FREE, by slot, as they are at this moment."""
    try:
        fd = os.open(f"{directory}/contexts", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadJob(path=directory, reason=f"contexts: {error.strerror}") from None
    try:
        for first, count in touched(fd):
            for slot in range(first, first + count, _PIECE):
                pieces = min(_PIECE, first + count - slot)
                yield from _contexts(os.pread(fd, pieces * CONTEXT_BYTES, slot * CONTEXT_BYTES))
    finally:
        os.close(fd)


def _contexts(piece: bytes) -> Iterator[Context]:
    for slot in range(len(piece) // CONTEXT_BYTES):
        if piece[slot * CONTEXT_BYTES] != State.FREE:
            yield Context(piece, slot)


def control(directory: str, wanted: Control) -> None:
    """Ask a job to pause, to run on, or to end; it follows at the end of the turns under way."""
    _store(directory, control_place(), wanted.to_bytes(4, "little"))


def hold(directory: str, vm: int, held: bool) -> None:
    """Let one microVM stay as it is, or go on. The job cannot end before it."""
    if not 1 <= vm <= VMS_MAX:
        raise UsageError(reason=f"microVM {vm}: ids are 1 to {VMS_MAX}")
    _store(directory, held_place(vm), bytes([held]))


def _store(directory: str, place: int, data: bytes) -> None:
    try:
        fd = os.open(f"{directory}/ledger", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise BadJob(path=directory, reason=f"ledger: {error.strerror}") from None
    try:
        os.pwrite(fd, data, place)
    finally:
        os.close(fd)


def remove_job(directory: str) -> None:
    """Remove a job that no process runs, also a damaged one; JobBusy for others, BadJob for what is none."""
    try:
        os.stat(f"{directory}/job.json")
        running, owner = is_running(directory), read_ledger(directory).owner
    except OSError as error:
        raise BadJob(path=directory, reason=error.strerror) from None
    if running:
        raise JobBusy(path=directory, owner=owner)
    remove_table(directory)
