"""One side of a sync in this process, fed with frames that were written before: for attacks and for the fuzzer.

The peer is a file: what it says is all there when the session begins, and what it hears goes into another. So no thread
is needed, a session that waits for more meets the end of the file, and the same frames always do the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packetfs.errors import PacketFSError
from packetfs.events import Event, Trouble
from packetfs.net.access.rights import UNLIMITED, Quota
from packetfs.net.ends import Place, Terms, open_source, open_target
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.stream import PipeStream
from packetfs.net.receiving.receiver import Receiver
from packetfs.net.sending.sender import Sender
from packetfs.net.wire.batch import Batch, Content
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.listing import ListingWriter, Piece
from packetfs.net.wire.messages import NO_ROOT, Begin, Commit, Done, Listed, Listing, Message, Mode
from packetfs.net.wire.packed import Packer
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Buffer

MEAN = 4096
"""Bytes of a chunk: small, so that a few KiB of content already make trees of programs."""
ANY_ROOT = Digest(b"\x11" * 32)


class Script:
    """What a peer says, frame by frame; it says what it is told, not what is right."""

    def __init__(self) -> None:
        self._file = os.memfd_create("script")
        self._channel = FrameChannel(PipeStream(self._file, self._file), "nobody")
        self.items = ItemWriter(self._channel.send_batch)

    def __del__(self) -> None:
        os.close(self._file)

    def say(self, *messages: Message) -> Script:
        """Say messages, after all items so far."""
        self.items.flush()
        for message in messages:
            self._channel.send(message)
        return self

    def begin(self, mode: int = Mode.FULL, base: Digest = NO_ROOT) -> Script:
        return self.say(Begin(mode, base, ANY_ROOT, 1, 1))

    def file(self, path: bytes, entry: Entry, *literals: Buffer, content: Content = Content.LITERAL) -> Script:
        """Send a file whose content are these literals."""
        packer = Packer(merging=False)
        for literal in literals:
            packer.literal(literal)
        self.items.entry(path, entry, content)
        self.items.block(packer)
        self.items.end()
        return self

    def block(self, instructions: bytes, literals: bytes = b"") -> Script:
        """Send a batch with one BLOCK of these very instructions."""
        self.items.flush()
        control = bytearray(b"\x02")
        size = len(instructions)
        while size > 0x7F:
            control.append(size & 0x7F | 0x80)
            size >>= 7
        control.append(size)
        return self.batch(bytes(control) + instructions, literals)

    def batch(self, control: bytes, literals: bytes = b"") -> Script:
        """Send these very control bytes."""
        self.items.flush()
        self._channel.send_batch(Batch(control, [literals] if literals else []))
        return self

    def list(self, *names: tuple[bytes, Entry, tuple[Piece, ...]], whole: bool = False) -> Script:
        """List names; `whole`: directories that stand for all that is below them."""
        writer = ListingWriter(lambda records: self._channel.send(Listing(records)))
        for path, entry, pieces in names:
            writer.add(path, entry, pieces, whole=whole)
        writer.flush()
        return self.say(Listed(len(names)))

    def commit(self) -> Script:
        return self.say(Commit(ANY_ROOT))

    def raw(self, data: bytes) -> Script:
        """Say bytes that need not be frames."""
        self.items.flush()
        os.write(self._file, data)
        return self

    def read(self) -> bytes:
        """Return all that was said."""
        self.items.flush()
        size = os.fstat(self._file).st_size
        return os.pread(self._file, size, 0)


@dataclass
class Outcome:
    """What became of a session: `error` ended it or `done` was answered; `fault` is an error that must not be."""

    error: PacketFSError | OSError | None = None
    fault: BaseException | None = None
    done: Done | None = None
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def failed(self) -> dict[bytes, bytes]:
        """Return the files that the receiver names as failed, with the reasons; b"" would be the tree as a whole."""
        return {path: reason for path, reason in self.done.failures if path} if self.done is not None else {}

    def listen(self, event: Event) -> None:
        if isinstance(event, Trouble):
            self.troubles.append(event)


@contextmanager
def _channel(said: bytes) -> Iterator[FrameChannel]:
    reading, writing = os.memfd_create("said"), os.open(os.devnull, os.O_WRONLY)
    try:
        stream = PipeStream(reading, reading)
        stream.write([said])
        os.lseek(reading, 0, os.SEEK_SET)
        yield FrameChannel(PipeStream(reading, writing), "the hostile side")
    finally:
        os.close(reading)
        os.close(writing)


def _run(outcome: Outcome, action: Callable[[], None]) -> Outcome:
    try:
        action()
    except (PacketFSError, OSError) as error:
        outcome.error = error
    except Exception as error:  # any other kind is what is looked for
        outcome.fault = error
    return outcome


def receive(
    place: Place,
    said: bytes,
    terms: Terms = Terms(),  # noqa: B008 (frozen)
    quota: Quota = UNLIMITED,
) -> Outcome:
    """Let a receiver hear what a hostile sender says."""
    outcome = Outcome()

    def action() -> None:
        with _channel(said) as channel, open_target(place, terms, MEAN, outcome.listen) as target:
            receiver = Receiver(channel, target, outcome.listen, dry_run=terms.dry_run, quota=quota)
            outcome.done = receiver.run()

    return _run(outcome, action)


def send(place: Place, said: bytes) -> Outcome:
    """Let a sender hear what a hostile receiver says."""
    outcome = Outcome()

    def action() -> None:
        with _channel(said) as channel:
            sender = Sender(channel, outcome.listen)
            offer = sender.start()
            with open_source(place, MEAN, 1 << 30, outcome.listen, checksum=False, offer=offer) as source:
                sender.run(source)

    return _run(outcome, action)


def host(path: Path, history: Path) -> Place:
    """Return a plain directory as an end."""
    return Place("", os.fsencode(path), str(history))


def regular(name: bytes = b"f", size: int = 0, **fields: object) -> Entry:
    """Return the entry of a file that the test user may own."""
    given: dict[str, object] = {"mode": 0o100644, "uid": os.geteuid(), "gid": os.getegid(), **fields}
    return Entry(name, size=size, **given)  # type: ignore[arg-type]


def directory(name: bytes = b"d", **fields: object) -> Entry:
    given: dict[str, object] = {"mode": 0o40755, "uid": os.geteuid(), "gid": os.getegid(), **fields}
    return Entry(name, **given)  # type: ignore[arg-type]


def symlink(target: bytes, name: bytes = b"l") -> Entry:
    return Entry(name, 0o120777, os.geteuid(), os.getegid(), target=target)
