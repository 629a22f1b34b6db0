"""`pfs sync --watch`: what it refuses, how it ends, and its summaries."""

from __future__ import annotations

import os
import signal
import threading

from packetfs.errors import Partial, UsageError
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.summary import print_summary
from packetfs.net.job import Job
from packetfs.typing import Sequence


def run_watch(jobs: Sequence[tuple[str, Job]], output: Output) -> int:
    """Watch until Ctrl-C or SIGTERM, then print a summary for each destination; Partial when files were in trouble."""
    for _, job in jobs:
        check_job(job)
    from packetfs.net.watch.loop import watch

    reporter = Reporter(output)
    summaries = watch(jobs, reporter, _ended_by_sigterm())
    for (name, _), summary in zip(jobs, summaries, strict=True):
        if len(jobs) > 1 and not output.json and not output.quiet:
            output.line(f"{output.name(os.fsencode(name))}:")
        print_summary(summary, output, dry_run=False)
    if reporter.troubles:
        output.flush()
        raise Partial(count=reporter.troubles)
    return 0


def check_job(job: Job) -> None:
    """Refuse what cannot be watched."""
    if job.source.host is not None or job.source.pool is not None:
        raise UsageError(reason="--watch needs a SRC that is a directory of this machine")
    if not os.path.isdir(job.source.path):
        raise UsageError(reason="--watch needs a SRC that is a directory")
    if job.dry_run:
        raise UsageError(reason="--watch and --dry-run contradict each other")


def _ended_by_sigterm() -> threading.Event:
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    return ended
