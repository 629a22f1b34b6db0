"""The far side: one session over stdin and stdout, then it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeAlias

from packetfs import __version__
from packetfs.errors import BadMessage, Disconnected, PacketFSError, VersionMismatch
from packetfs.events import Event, Trouble
from packetfs.net.channel import FrameChannel
from packetfs.net.ends import Place, Shape, Terms, mean_of, open_source, open_target, shape_of
from packetfs.net.pulse import Pulse
from packetfs.net.stream import PipeStream
from packetfs.net.wire import MAGIC, PROTOCOL, Failed, Hello, Option, Run, Welcome

Answer: TypeAlias = Callable[[FrameChannel, Run], None]
"""Answers a RUN; what runs programs lies above this layer."""


def serve_stdio(pool: str, history: str, answer: Answer) -> int:
    """Serve one peer and return the exit code. Nothing but frames may reach stdout, so prints go to stderr."""
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    channel = FrameChannel(PipeStream(reading, writing), "the client")
    try:
        with Pulse(channel):
            _session(channel, pool, history, answer)
    except Disconnected:
        return Disconnected.exit_code
    except PacketFSError as error:
        return _report(channel, error.exit_code, error.message, error.hint)
    except OSError as error:
        return _report(channel, 1, _words(error), "")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _report(channel, 70, f"This is a fault in PacketFS: {type(error).__name__}: {error}", "")
    return 0


def _words(error: OSError) -> str:
    name = error.filename if isinstance(error.filename, str | bytes) else ""
    return f"{os.fsdecode(name)}: {error.strerror}".removeprefix(": ")


def _report(channel: FrameChannel, exit_code: int, message: str, hint: str) -> int:
    try:
        channel.send(Failed(exit_code, message.encode("utf-8", "backslashreplace"), hint.encode()))
    except PacketFSError:
        print(message, file=sys.stderr)
    return exit_code


def _session(channel: FrameChannel, pool: str, history: str, answer: Answer) -> None:
    hello = channel.receive()
    if not isinstance(hello, Hello | Run):
        raise BadMessage(reason=f"{type(hello).__name__} where Hello or Run belongs")
    check_version(hello.magic, hello.protocol)
    if isinstance(hello, Run):
        answer(channel, hello)
        return
    options = Option(hello.options)
    chosen = (os.fsdecode(hello.pool) or pool) if Option.POOL in options else ""
    place = Place(chosen, _expand(hello.path) if not chosen else hello.path, history)
    if Option.PULL in options:
        _send(channel, hello, place, options)
    else:
        _receive(channel, hello, place, options)


def _expand(path: bytes) -> bytes:
    """A path is relative to where the session starts, the home directory over ssh, as with rsync; `~` works too."""
    return os.path.expanduser(path) if path.startswith(b"~") else path


def check_version(magic: bytes, protocol: int) -> None:
    """Refuse a peer that speaks something else."""
    if magic != MAGIC or protocol != PROTOCOL:
        raise VersionMismatch(theirs=protocol if magic == MAGIC else "unknown", ours=PROTOCOL)


def _send(channel: FrameChannel, hello: Hello, place: Place, options: Option) -> None:
    from packetfs.net.sender import Sender  # each side loads its own half

    shape = shape_of(place)
    channel.send(Welcome(MAGIC, PROTOCOL, __version__.encode(), mean_of(place), shape))
    mean = mean_of(place) if place.pool else hello.mean
    checksum = Option.CHECKSUM in options
    sender = Sender(channel, _to_stderr, dry_run=Option.DRY_RUN in options)
    offer = sender.start()
    with open_source(place, mean, hello.keep, _to_stderr, checksum=checksum, offer=offer) as source:
        sender.run(source)


def _receive(channel: FrameChannel, hello: Hello, place: Place, options: Option) -> None:
    from packetfs.net.receiver import Receiver

    mean = mean_of(place)
    channel.send(Welcome(MAGIC, PROTOCOL, __version__.encode(), mean, Shape.DIRECTORY))
    terms = Terms(
        delete=Option.DELETE in options,
        checksum=Option.CHECKSUM in options,
        dry_run=Option.DRY_RUN in options,
        name=hello.name,
    )
    with open_target(place, terms, mean, _to_stderr) as target:
        Receiver(channel, target, _ignore, dry_run=terms.dry_run).run()


def _ignore(event: Event) -> None:
    """What fails here is named in DONE."""


def _to_stderr(event: Event) -> None:
    if isinstance(event, Trouble):
        print(f"{os.fsdecode(event.path)}: {event.reason}", file=sys.stderr)
