"""What `fuzz.guided` feeds: the decoders, and both session machines with nothing around them.

The receiver's target is a dict, the sender's source a small pool that nothing is written to: `fuzz.wire` has files and
pools of its own for each input, and is a hundred times slower.
"""

from __future__ import annotations

import os
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from fuzz.wire import decode_all, grow, run_frames
from fuzz.wire import seeds as recorded
from packetfs.errors import BadMessage, Disconnected, Unverified
from packetfs.events import ignore
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.mirroring.mirror import mirror
from packetfs.net.receiving import delivery
from packetfs.net.receiving.delivery import Delivery, OldFile, Run
from packetfs.net.receiving.receiver import Receiver
from packetfs.net.receiving.stale import StaleContent
from packetfs.net.sending.sender import Sender
from packetfs.net.sending.source import PoolSource
from packetfs.net.wire.batch import Batch, decode_batch
from packetfs.net.wire.listing import Listed
from packetfs.net.wire.messages import NO_ROOT, Message, State, Type, decode_message
from packetfs.net.wire.packed import Expected, read_instructions
from packetfs.packet.codec import iterate
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool

M = TypeVar("M")
_FRAME: Final = struct.Struct("<BHH")
"""A frame of an input: kind, bytes of its payload, and of those how many are literals. Any bytes are frames."""
_TAKEN_MAX: Final = 1 << 20
"""Bytes of content that the target takes of one input."""

_BIG: Final = bytes(range(256)) * 40


def pack(kind: int, payload: bytes, literals: bytes = b"") -> bytes:
    return _FRAME.pack(kind, len(payload) + len(literals) & 0xFFFF, len(literals) & 0xFFFF) + payload + literals


def frames(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield kind, payload and literals; what is left at the end is short."""
    at = 0
    while at + _FRAME.size <= len(data):
        kind, size, literals = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        whole = data[at : at + size]
        at += size
        middle = max(0, len(whole) - literals)
        yield kind % (len(Type) + 2), whole[:middle], whole[middle:]


class Script:
    """A channel on which the peer says what an input holds, and nobody hears the answers."""

    sent = received = turns = 0
    hands = False

    def __init__(self, data: bytes) -> None:
        self._frames = frames(data)

    def send(self, message: Message) -> None:  # noqa: ARG002 (nobody hears it)
        self.sent += 1

    def take(self) -> int:
        """Return a file, as if it had come along."""
        descriptor = os.memfd_create("offered")
        os.write(descriptor, bytes(range(256)) * 64)
        return descriptor

    def send_batch(self, batch: Batch) -> None:
        self.sent += len(batch.control)

    def receive(self) -> Message | Batch:
        for kind, payload, literals in self._frames:
            self.received += len(payload)
            if kind == Type.BATCH:
                return Batch(payload, [literals])
            return decode_message(kind, payload)
        raise Disconnected(peer="the input", reason="it ended")

    def expect(self, kind: type[M]) -> M:
        message = self.receive()
        if not isinstance(message, kind):
            raise BadMessage(reason="out of turn")
        return message


class Memory:
    """A target that keeps what it is told in a dict."""

    mirrors = True
    snapshot = ""

    def __init__(self, tree: FileSystem) -> None:
        self._tree = tree
        self.empty = False
        self.deleted: list[bytes] = []
        self._files: dict[bytes, bytes] = {b"big": _BIG, b"d/text": b"the quick brown fox\n" * 9}
        self._taken = 0

    def state(self) -> State:
        return State(0, (NO_ROOT,), ())

    def expect_listing(self) -> None:
        self._files.clear()

    def examine(self, listed: Listed) -> bool:
        return listed.entry.is_file

    def holds(self, root: Digest) -> bool:
        return root[0] % 2 == 0

    def names(self) -> tuple[Pool, Digest]:
        return self._tree.pool, self._tree.tree_root()

    def forget(self, path: bytes, leaf: bytes) -> None:
        """Whatever comes is taken."""

    def end_listing(self) -> None:
        """What is there is all that there is."""

    def take_snapshot(self) -> None:
        """Nothing is kept."""

    def match(self, listed: Listed) -> list[bool]:
        return [piece.offset % 3 == 0 for piece in listed.pieces]

    def stale(self) -> tuple[StaleContent, int]:
        content = StaleContent(lambda number, offset, length: _BIG[offset : offset + length])
        content.add(0, 0, 5000)
        content.add(1, 100, 5000)
        return content, 4000

    def has(self, path: bytes) -> bool:
        return path in self._files

    def put(self, path: bytes, entry: Entry, delivery: Delivery | None) -> None:
        if delivery is None:
            return
        content = bytearray()
        for piece in delivery.pieces():
            self._taken += piece.length if isinstance(piece, Run) else len(piece)
            if self._taken > _TAKEN_MAX:
                raise Unverified(path=path)
            content += bytes([piece.byte]) * piece.length if isinstance(piece, Run) else piece
        if len(content) != entry.size:
            raise AssertionError(f"{len(content)} bytes where {entry.size} were announced")
        self._files[path] = bytes(content)

    def link(self, path: bytes, entry: Entry, leader: bytes) -> None:  # noqa: ARG002 (names are keys)
        self.old(leader)

    def copy(self, path: bytes, entry: Entry, old: bytes) -> None:  # noqa: ARG002 (names are keys)
        self.old(old)

    def remove(self, path: bytes) -> None:
        self._files.pop(path, None)

    def fail(self, path: bytes, entry: Entry) -> None:  # noqa: ARG002 (the same)
        self._files.pop(path, None)

    def old(self, path: bytes) -> OldFile:
        if path not in self._files:
            raise Unverified(path=path)
        return _Old(self._files[path])

    held = old

    def finish(self, root: Digest) -> Digest:
        return root

    def close(self) -> None:
        self._files.clear()


class _Old:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]


# what is fed


def decoders() -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        kind, rest = data[:1], data[1:]
        if kind < b"\x40":
            decode_message(kind[0] % (len(Type) + 2) if kind else 0, rest)
        elif kind < b"\x80":
            list(islice(read_instructions(rest, Expected()), 1000))
        elif kind < b"\xb0":
            decode_all(rest)
        elif kind < b"\xd0":
            decode_batch(memoryview(rest))
        else:
            list(iterate(rest))

    return feed


def small_tree() -> FileSystem:
    """Return a pool that has every kind of file."""
    base = Path(tempfile.mkdtemp(prefix="fuzz-guided-"))
    (base / "tree").mkdir()
    grow(base / "tree", random.Random(1))
    (base / "tree" / "big").write_bytes(random.Random(1).randbytes(40_000))
    (base / "tree" / "d" / "part").write_bytes((base / "tree" / "big").read_bytes()[:30_000])
    fs = FileSystem(Pool.create(str(base / "pool"), mean=4096, durable=False))
    mirror(fs, str(base / "tree"), b"")
    fs.commit()
    return fs


def receiver() -> Callable[[bytes], None]:
    vars(delivery)["RUNS_MAX"] = _TAKEN_MAX  # the refusal is the same at any size
    tree = small_tree()

    def feed(data: bytes) -> None:
        target: Any = Memory(tree)
        Receiver(Script(data), target, ignore).run()

    return feed


def sender() -> Callable[[bytes], None]:
    source = PoolSource(small_tree(), b"")

    def feed(data: bytes) -> None:
        channel = Script(data)
        worker = Sender(channel, ignore)
        worker.start()
        worker.run(source)

    return feed


def seeds(what: str, target: Path) -> None:
    """Write the sessions that `fuzz.wire` records as inputs."""

    with tempfile.TemporaryDirectory() as base:
        for seed in recorded(Path(base), random.Random(1)):
            if what == "decoders":
                for number, frame in enumerate((*seed.frames, *run_frames())):
                    head = bytes([frame.kind if frame.kind != Type.BATCH else 0x80])
                    (target / f"{seed.name}-{number}").write_bytes(head + frame.payload[:4000])
            elif seed.side == what:
                said = b"".join(
                    pack(frame.kind, frame.payload[:20_000], frame.literals[:9_000]) for frame in seed.frames
                )
                (target / seed.name).write_bytes(said)


HARNESSES: Final = {"decoders": decoders, "receiver": receiver, "sender": sender}
