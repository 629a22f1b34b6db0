"""The far side of one session, over whatever carries it."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial

from packetfs import __version__
from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadMessage, Disconnected, NotGranted, PacketFSError, VersionMismatch
from packetfs.errors.system import translate
from packetfs.events import Event, Trouble, Troubles
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import FAILURES_MAX, KEEP
from packetfs.net.access.rights import Quota, Rights
from packetfs.net.ends import Place, Shape, Terms, mean_of, open_source, open_target, open_targets, shape_of
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.pulse import Pulse
from packetfs.net.link.stream import PipeStream, Stream
from packetfs.net.serving.confine import confined
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Failed, Hello, Option, Run, Welcome
from packetfs.typing import TypeAlias

Answer: TypeAlias = Callable[[FrameChannel, Run, Rights], None]
"""Answers a RUN of a peer that may run programs; what runs programs lies above this layer."""


@dataclass(frozen=True, slots=True)
class Service:
    """What this side offers: its pool, its memory of plain directories, and who answers a RUN (None: nobody).

    `wait`: seconds that a session waits for another that writes the same pool. `prepare`: as in Place.
    """

    pool: str
    history: str
    answer: Answer | None = None
    wait: float = 0.0
    prepare: Callable[[FileSystem], None] | None = None


@dataclass(slots=True)
class Told:
    """What became of a session: what the peer asked for in words, and the exit code of the error that ended it."""

    request: str = ""
    error: str = ""
    exit_code: int = 0
    heard: bool = True
    """Whether the peer could be told of the error."""


def serve_stdio(service: Service, rights: Rights) -> int:
    """Serve one peer and return the exit code. Nothing but frames may reach stdout, so prints go to stderr."""
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    channel = FrameChannel(_standard_stream(reading, writing), "the client")
    with Pulse(channel):
        told = serve(channel, service, lambda: rights)
    if not told.heard:
        print(told.error, file=sys.stderr)
    return told.exit_code


def _standard_stream(reading: int, writing: int) -> Stream:
    """Return what the two carry: pipes, or both ends of one Unix socket, which may hand files over."""
    status = os.fstat(reading)
    if not stat.S_ISSOCK(status.st_mode) or not os.path.samestat(status, os.fstat(writing)):
        return PipeStream(reading, writing)
    from packetfs.net.link.unix import UnixStream

    connected = socket.socket(fileno=reading)
    return UnixStream(connected) if connected.family == socket.AF_UNIX else PipeStream(reading, writing)


def serve(channel: FrameChannel, service: Service, admit: Callable[[], Rights]) -> Told:
    """Serve one peer to the end, whatever that is. `admit` finds out what it may; the peer hears why it may not."""
    told = Told()
    try:
        _session(channel, service, admit(), told)
    except Disconnected as error:
        told.exit_code, told.error = error.exit_code, error.message
    except KeyboardInterrupt:
        told.exit_code = 130
    except Exception as error:
        _report(channel, told, translate(error))
    return told


def _report(channel: FrameChannel, told: Told, error: PacketFSError) -> None:
    told.exit_code, told.error = error.exit_code, error.message
    try:
        channel.send(Failed(error.exit_code, error.message.encode("utf-8", "backslashreplace"), error.hint.encode()))
    except PacketFSError:
        told.heard = False


def _session(channel: FrameChannel, service: Service, rights: Rights, told: Told) -> None:
    hello = channel.receive()
    channel.greeted()
    if not isinstance(hello, Hello | Run):
        raise BadMessage(reason=f"{type(hello).__name__} where Hello or Run belongs")
    check_version(hello.magic, hello.protocol)
    if isinstance(hello, Run):
        told.request = "run a program"
        if service.answer is None or not rights.may_run:
            raise NotGranted(name=rights.name, action="run", path="programs")
        service.answer(channel, hello, rights)
        return
    options = Option(hello.options)
    if rights.grants is not None:
        hello = replace(hello, keep=min(hello.keep, KEEP))  # it is our disk
    place = _place(service, rights, hello, options)
    told.request = f"{'read' if Option.PULL in options else 'write'} {_shown(place)}"
    if Option.PULL in options:
        with confined(place, rights, write=False) as inside:
            _send(channel, hello, inside, options)
        return
    writable = Option.DRY_RUN not in options
    with confined(place, rights, write=True, single=bool(hello.name), make=writable) as inside:
        _receive(channel, hello, inside, options, rights)


def _place(service: Service, rights: Rights, hello: Hello, options: Option) -> Place:
    """Return what a peer asks for; with grants it cannot choose the pool."""
    if Option.POOL not in options:
        path = _expand(hello.path)
        return Place("", path if rights.grants is None else _absolute(path), service.history)
    asked = os.fsdecode(hello.pool)
    if asked and rights.grants is not None and os.path.abspath(asked) != os.path.abspath(service.pool):
        raise NotGranted(name=rights.name, action="use", path=f"the pool {asked}")
    return Place(asked or service.pool, hello.path, service.history, wait=service.wait, prepare=service.prepare)


def _absolute(path: bytes) -> bytes:
    """Return a path that begins with one slash, and ends with one where it did: it must be a directory then."""
    start = path if path.startswith(b"/") else os.getcwdb() + b"/" + path
    return b"/" + start.lstrip(b"/")


def _shown(place: Place) -> str:
    path = place.path.decode("utf-8", "backslashreplace")
    return f"pfs:{path}" if place.pool else path


def _expand(path: bytes) -> bytes:
    """A path is relative to where the session starts, the home directory over ssh, as with rsync; `~` works too."""
    return os.path.expanduser(path) if path.startswith(b"~") else path


def check_version(magic: bytes, protocol: int) -> None:
    """Refuse a peer that speaks something else."""
    if magic != MAGIC or protocol != PROTOCOL:
        raise VersionMismatch(theirs=protocol if magic == MAGIC else "unknown", ours=PROTOCOL)


def _send(channel: FrameChannel, hello: Hello, place: Place, options: Option) -> None:
    from packetfs.net.sending.sender import Sender  # each side loads its own half

    shape = shape_of(place)
    channel.send(Welcome(MAGIC, PROTOCOL, __version__.encode(), mean_of(place), shape, channel.hands))
    mean = mean_of(place) if place.pool else hello.mean
    checksum = Option.CHECKSUM in options
    troubles = Troubles(FAILURES_MAX)
    sender = Sender(channel, troubles, dry_run=Option.DRY_RUN in options, troubles=troubles)
    offer = sender.start()
    with open_source(place, mean, hello.keep, troubles, checksum=checksum, offer=offer) as source:
        sender.run(source)


def _receive(channel: FrameChannel, hello: Hello, place: Place, options: Option, rights: Rights) -> None:
    from packetfs.net.receiving.receiver import Receiver

    mean = mean_of(place)
    channel.send(Welcome(MAGIC, PROTOCOL, __version__.encode(), mean, Shape.DIRECTORY, channel.hands))
    terms = Terms(
        delete=Option.DELETE in options,
        checksum=Option.CHECKSUM in options,
        dry_run=Option.DRY_RUN in options,
        name=hello.name,
    )
    quota = Quota(rights, _stored(place) if rights.stored_max else 0)
    with open_target(place, terms, mean, _to_stderr) as target:
        Receiver(channel, target, _ignore, dry_run=terms.dry_run, quota=quota).run()
    if Option.WATCH in options:
        from packetfs.net.serving.standing import receive_changes

        opener = partial(open_targets, place, terms.name, mean, _to_stderr)
        receive_changes(channel, opener, terms, quota, in_pool=bool(place.pool))


def _stored(place: Place) -> int:
    """Return the bytes that a place has now, in the words of a quota."""
    from packetfs.net.serving.usage import stored_in  # most keys have no quota

    return stored_in(place)


def _ignore(event: Event) -> None:
    """What fails here is named in DONE."""


def _to_stderr(event: Event) -> None:
    if isinstance(event, Trouble):
        print(f"{os.fsdecode(event.path)}: {event.reason}", file=sys.stderr)
