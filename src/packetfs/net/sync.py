"""One sync from this side: reach the far one, play the sender or the receiver, and say what moved."""

from __future__ import annotations

import os
import time

from packetfs.dataclass import replace
from packetfs.errors import BadMessage, Overlap
from packetfs.events import Listener
from packetfs.net.carrier import Carrier
from packetfs.net.channel import FrameChannel
from packetfs.net.ends import Place, Shape, Terms, mean_of, open_source, open_target, shape_of
from packetfs.net.job import Endpoint, Job, Summary, Traffic
from packetfs.net.serve import check_version
from packetfs.net.wire import MAGIC, PROTOCOL, Hello, Option, Welcome


def run(job: Job, listener: Listener) -> Summary:
    """Make the destination equal to the source; troubles with single files are events, other errors are raised."""
    started = time.monotonic()
    _refuse_overlap(job)
    pull = job.source.host is not None
    far = job.source if pull else job.destination
    with Carrier(far.host, job.shell, job.far_command) as carrier:
        summary = _pull(job, carrier.channel, listener) if pull else _push(job, carrier.channel, listener)
    return _timed(summary, time.monotonic() - started)


def _refuse_overlap(job: Job) -> None:
    """Refuse plain directories of this machine of which one is, or holds, the other."""
    ends = (job.source, job.destination)
    if any(end.host is not None or end.pool is not None for end in ends) or not os.path.isdir(job.source.path):
        return
    name = b"" if job.source.contents else b"/" + job.source.name
    source, destination = os.path.realpath(job.source.path), os.path.realpath(job.destination.path + name)
    if os.path.commonpath((source, destination)) in (source, destination):
        raise Overlap(source=source, destination=destination)


def _push(job: Job, channel: FrameChannel, listener: Listener) -> Summary:
    from packetfs.net.sender import Sender  # each side loads its own half

    place = _place(job, job.source)
    shape = shape_of(place)
    name = job.source.name or os.path.basename(os.path.realpath(job.source.path))
    path, single = _below(job, shape, name)
    mean = mean_of(place)
    channel.send(_hello(job, job.destination, path, single, mean, Option(0)))
    welcome = _welcome(channel)
    sender = Sender(channel, listener, dry_run=job.dry_run)
    offer = sender.start()
    with open_source(place, welcome.mean, job.keep, listener, checksum=job.checksum, offer=offer) as source:
        report = sender.run(source)
    sent = Traffic(
        logical=report.logical,
        literal=report.literal,
        copied=report.copied,
        metadata=channel.sent - channel.literals_sent,
        signature=0,
        wire=channel.sent,
    )
    received = Traffic(signature=report.signature, wire=channel.received)
    return Summary(
        files=report.files,
        changed=report.changed,
        deleted=report.deleted,
        troubles=report.troubles,
        total=report.total,
        sent=sent,
        received=received,
        turns=channel.turns,
        snapshot=report.snapshot,
    )


def _pull(job: Job, channel: FrameChannel, listener: Listener) -> Summary:
    from packetfs.net.receiver import Receiver

    target_place = _place(job, job.destination)
    channel.send(_hello(job, job.source, job.source.path, b"", mean_of(target_place), Option.PULL))
    welcome = _welcome(channel)
    if welcome.shape not in set(Shape):
        raise BadMessage(reason=f"shape {welcome.shape} is unknown")
    path, single = _below(job, Shape(welcome.shape), job.source.name)
    place = Place(target_place.pool, path, target_place.history)
    terms = Terms(job.delete, job.checksum, job.dry_run, single)
    with open_target(place, terms, welcome.mean, listener) as target:
        receiver = Receiver(channel, target, listener, dry_run=job.dry_run)
        done = receiver.run()
    received = Traffic(
        logical=receiver.logical,
        literal=receiver.literal,
        copied=receiver.logical - receiver.literal,
        metadata=channel.received - channel.literals_received,
        wire=channel.received,
    )
    return Summary(
        files=receiver.files,
        changed=receiver.changed,
        deleted=len(done.deleted),
        troubles=len(done.failures),
        total=receiver.total,
        sent=Traffic(signature=receiver.signature, wire=channel.sent),
        received=received,
        turns=channel.turns,
        snapshot=target.snapshot,
    )


def _place(job: Job, endpoint: Endpoint) -> Place:
    return Place(endpoint.pool or "", endpoint.path, job.history)


def _below(job: Job, shape: Shape, name: bytes) -> tuple[bytes, bytes]:
    """Return the destination path and, for one file, its name: rsync's rule of the slash at the end of the source."""
    path = job.destination.path
    if shape is Shape.FILE:
        return path, name
    if job.source.contents:
        return path, b""
    return (path.rstrip(b"/") + b"/" + name if path.strip(b"/") else path + name), b""


def _hello(job: Job, far: Endpoint, path: bytes, name: bytes, mean: int, options: Option) -> Hello:
    for option, wanted in (
        (Option.DELETE, job.delete),
        (Option.CHECKSUM, job.checksum),
        (Option.DRY_RUN, job.dry_run),
        (Option.POOL, far.pool is not None),
    ):
        options |= option if wanted else Option(0)
    return Hello(MAGIC, PROTOCOL, options, os.fsencode(far.pool or ""), path, name, mean, job.keep)


def _welcome(channel: FrameChannel) -> Welcome:
    welcome = channel.expect(Welcome)
    check_version(welcome.magic, welcome.protocol)
    return welcome


def _timed(summary: Summary, seconds: float) -> Summary:
    return replace(summary, seconds=seconds)
