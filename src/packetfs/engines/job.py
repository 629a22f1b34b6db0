"""A job from its sources to its result: `run_job`, and `resume_job` for one whose process was killed or paused it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from packetfs.engines.options import JobOptions
from packetfs.engines.records import Records
from packetfs.engines.result import JobListener, RunResult
from packetfs.engines.source import Source
from packetfs.events import ignore
from packetfs.packet.layout import Buffer
from packetfs.vm.program import Program

Output = Callable[[Buffer], None]


def run_job(
    program: Program,
    sources: Sequence[Source],
    records: Records,
    *,
    out: Output,
    options: JobOptions = JobOptions(),
    listener: JobListener = ignore,
) -> RunResult:
    """Run `program` over the records of `sources`, in order, as one job; `out` gets its output in record order."""
    raise NotImplementedError


def resume_job(directory: str, *, out: Output, listener: JobListener = ignore) -> RunResult:
    """Go on with a job that was left in `directory`."""
    raise NotImplementedError
