"""One sync from this side: reach the far one, play the sender or the receiver, and say what moved."""

from __future__ import annotations

import os
import time

from packetfs.dataclass import replace
from packetfs.errors import IntoPool, Overlap, SamePool
from packetfs.events import Counted, Listener
from packetfs.net.job import Job, Summary
from packetfs.net.link.carrier import reach


def run(job: Job, listener: Listener) -> Summary:
    """Make the destination equal to the source; troubles with single files are events, other errors are raised."""
    started = time.monotonic()
    refuse_ends(job)
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


def refuse_ends(job: Job) -> None:
    """Refuse two ends of this machine that do each other harm; what is far is looked at by nobody here."""
    source, destination = job.source, job.destination
    if source.host is not None or destination.host is not None:
        return
    if source.pool is not None and destination.pool is not None:
        if os.path.realpath(source.pool) == os.path.realpath(destination.pool):
            raise SamePool(path=destination.pool)
    elif destination.pool is None:
        _refuse_pool(job)
        if source.pool is None and os.path.isdir(source.path):
            name = b"" if source.contents else b"/" + source.name
            _refuse_overlap(source.path, destination.path + name)


def _refuse_pool(job: Job) -> None:
    """Refuse to write among the files of a pool, but what is a pool as well: so one is copied as it lies."""
    path = os.fsdecode(job.destination.path)
    if not os.path.isdir(f"{path}/arena"):
        return
    from packetfs.pool.pool import is_pool

    if is_pool(path) and (job.source.pool is not None or not is_pool(os.fsdecode(job.source.path))):
        raise IntoPool(path=path)


def _refuse_overlap(source: bytes, destination: bytes) -> None:
    """Refuse directories of which one is, or holds, the other."""
    source, destination = os.path.realpath(source), os.path.realpath(destination)
    if os.path.commonpath((source, destination)) in (source, destination):
        raise Overlap(source=source, destination=destination)
