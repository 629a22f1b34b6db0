"""A sync that sends: this side is the source, the far one the target."""

from __future__ import annotations

import os

from packetfs.events import Listener
from packetfs.net.ends import load_source, mean_of, open_source, shape_of
from packetfs.net.greeting import below, hello, place_of, welcome
from packetfs.net.job import Job, Summary, Traffic
from packetfs.net.link.channel import FrameChannel
from packetfs.net.sending.outlet import SendReport
from packetfs.net.sending.sender import Sender
from packetfs.net.wire.messages import Option
from packetfs.typing import NamedTuple


def push(job: Job, channel: FrameChannel, listener: Listener) -> Summary:
    """Send what the source has."""
    place = place_of(job, job.source)
    shape = shape_of(place)
    name = job.source.name or os.path.basename(os.path.realpath(job.source.path))
    path, single = below(job, shape, name)
    mean = mean_of(place)
    channel.greet(hello(job, job.destination, path, single, mean, Option(0)))
    load_source(place)
    answer = welcome(channel)
    sender = Sender(channel, listener, dry_run=job.dry_run, delete=job.delete)
    offer = sender.start()
    with open_source(place, answer.mean, job.keep, listener, checksum=job.checksum, offer=offer) as source:
        report = sender.run(source)
    return summarise(report, Meter.of(channel))


class Meter(NamedTuple):
    """What has passed a channel: bytes each way, those of literals among the sent, and turns."""

    sent: int
    received: int
    literals: int
    turns: int

    @classmethod
    def of(cls, channel: FrameChannel) -> Meter:
        return cls(channel.sent, channel.received, channel.literals_sent, channel.turns)

    def since(self, before: Meter) -> Meter:
        """Return what has passed since an earlier reading."""
        return Meter(*(now - then for now, then in zip(self, before, strict=True)))


def summarise(report: SendReport, passed: Meter) -> Summary:
    """Return what a sync that sends did, in the words of a job."""
    sent = Traffic(
        logical=report.logical,
        literal=report.literal,
        copied=report.copied,
        metadata=passed.sent - passed.literals,
        signature=0,
        wire=passed.sent,
    )
    received = Traffic(signature=report.signature, wire=passed.received)
    return Summary(
        files=report.files,
        changed=report.changed,
        deleted=report.deleted,
        total=report.total,
        sent=sent,
        received=received,
        turns=passed.turns,
        snapshot=report.snapshot,
    )
