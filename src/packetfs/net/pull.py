"""A sync that receives: the far side is the source, this one the target."""

from __future__ import annotations

from packetfs.errors import BadMessage
from packetfs.events import Listener
from packetfs.net.ends import Place, Shape, Terms, mean_of, open_target
from packetfs.net.greeting import below, hello, place_of, welcome
from packetfs.net.job import Job, Summary, Traffic
from packetfs.net.link.channel import FrameChannel
from packetfs.net.receiving.receiver import Receiver
from packetfs.net.wire.messages import Option


def pull(job: Job, channel: FrameChannel, listener: Listener) -> Summary:
    """Take in what the source has."""
    target_place = place_of(job, job.destination)
    channel.greet(hello(job, job.source, job.source.path, b"", mean_of(target_place), Option.PULL))
    answer = welcome(channel)
    if answer.shape not in set(Shape):
        raise BadMessage(reason=f"shape {answer.shape} is unknown")
    path, single = below(job, Shape(answer.shape), job.source.name)
    place = Place(target_place.pool, path, target_place.history)
    terms = Terms(job.delete, job.checksum, job.dry_run, single)
    with open_target(place, terms, answer.mean, listener) as target:
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
        deleted=receiver.removed + len(done.deleted),
        total=receiver.total,
        sent=Traffic(signature=receiver.signature, wire=channel.sent),
        received=received,
        turns=channel.turns,
        snapshot=target.snapshot,
    )
