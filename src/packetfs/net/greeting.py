"""How this side begins a sync: what it asks of the far one, and what that answers."""

from __future__ import annotations

import os

from packetfs.net.ends import Place, Shape
from packetfs.net.job import Endpoint, Job
from packetfs.net.link.channel import FrameChannel
from packetfs.net.serving.serve import check_version
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Hello, Option, Welcome


def place_of(job: Job, endpoint: Endpoint) -> Place:
    """Return the end on this machine that an endpoint names."""
    return Place(endpoint.pool or "", endpoint.path, job.history)


def below(job: Job, shape: Shape, name: bytes) -> tuple[bytes, bytes]:
    """Return the destination path and, for one file, its name: rsync's rule of the slash at the end of the source."""
    path = job.destination.path
    if shape is Shape.FILE:
        return path, name
    if job.source.contents:
        return path, b""
    return (path.rstrip(b"/") + b"/" + name if path.strip(b"/") else path + name), b""


def hello(job: Job, far: Endpoint, path: bytes, name: bytes, mean: int, options: Option) -> Hello:
    """Return what the far side is asked for; `name` is set where the source is a single file."""
    for option, wanted in (
        (Option.DELETE, job.delete),
        (Option.CHECKSUM, job.checksum),
        (Option.DRY_RUN, job.dry_run),
        (Option.POOL, far.pool is not None),
    ):
        options |= option if wanted else Option(0)
    return Hello(MAGIC, PROTOCOL, options, os.fsencode(far.pool or ""), path, name, mean, job.keep)


def welcome(channel: FrameChannel) -> Welcome:
    """Await the far side's answer."""
    answer = channel.expect(Welcome)
    check_version(answer.magic, answer.protocol)
    channel.hands = bool(answer.hands)
    return answer
