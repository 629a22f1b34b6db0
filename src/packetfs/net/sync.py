"""One sync from this side: reach the far one, play the sender or the receiver, and say what moved."""

from __future__ import annotations

import os
import time

from packetfs.dataclass import replace
from packetfs.errors import Overlap
from packetfs.events import Counted, Listener
from packetfs.net.carrier import reach
from packetfs.net.job import Job, Summary


def run(job: Job, listener: Listener) -> Summary:
    """Make the destination equal to the source; troubles with single files are events, other errors are raised."""
    started = time.monotonic()
    refuse_overlap(job)
    counted = Counted(listener)
    pull = job.source.host is not None
    far = job.source if pull else job.destination
    with reach(job, far) as carrier:
        if pull:  # each side loads its own half, and does so while the other starts
            from packetfs.net.pull import pull as play
        else:
            from packetfs.net.push import push as play
        summary = play(job, carrier.channel, counted)
    return replace(summary, troubles=counted.troubles, seconds=time.monotonic() - started)


def refuse_overlap(job: Job) -> None:
    """Refuse plain directories of this machine of which one is, or holds, the other."""
    ends = (job.source, job.destination)
    if any(end.host is not None or end.pool is not None for end in ends) or not os.path.isdir(job.source.path):
        return
    name = b"" if job.source.contents else b"/" + job.source.name
    source, destination = os.path.realpath(job.source.path), os.path.realpath(job.destination.path + name)
    if os.path.commonpath((source, destination)) in (source, destination):
        raise Overlap(source=source, destination=destination)
