"""Mutates the frames of real syncs and feeds them to the decoders and to both sides, for a fixed time.

    python -m fuzz.wire --seconds 60 [--seed 1] [--save DIR]

Nothing but PacketFSError and OSError may come out, within seconds; nothing beside the destination may change; memory
stays bounded. What breaks that is saved as a file of frames, which `--replay FILE` runs again.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from fuzz.stage import MEAN, host, receive, send
from packetfs.errors import PacketFSError
from packetfs.events import ignore
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import SKETCH_FIRST, SKETCH_NAMES
from packetfs.net.ends import Place, Terms, open_source, open_target
from packetfs.net.finding import sketching
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.stream import PipeStream
from packetfs.net.receiving import delivery
from packetfs.net.receiving.receiver import Receiver
from packetfs.net.sending import sender
from packetfs.net.sending.sender import Sender
from packetfs.net.wire.batch import Batch, decode_batch, encode_batch
from packetfs.net.wire.items import BlockItem, ItemReader
from packetfs.net.wire.listing import Bits, ListingReader
from packetfs.net.wire.messages import (
    COMPRESSED,
    FRAME,
    MAGIC,
    PROTOCOL,
    Faulted,
    Mapped,
    Output,
    Ran,
    Run,
    RunMessage,
    Signatures,
    Sketch,
    Told,
    Type,
    decode_message,
    encode_message,
)
from packetfs.net.wire.packed import unpack
from packetfs.net.wire.signatures import check_signatures, read_runs
from packetfs.packet.digest import NO_DIGEST
from packetfs.packet.sketch import sketch_peel
from packetfs.packet.zstd import decompress
from packetfs.pool.pool import Pool

MEMORY: Final = 512 << 20
"""Bytes of resident memory that no input may reach: a side has 30 MB, a frame and its objects some tens more."""
PATIENCE: Final = 20
"""Seconds that one input may take; they take 50 ms."""
FILE_MAX: Final = 32 << 20
"""Bytes of the longest file that inputs may write, and of runs: an input may ask for a full disk."""
INTERESTING: Final = (
    *(0, 1, 2, 47, 48, 49, 127, 128, 255, 4096, 65535, 65536),
    *(2**31, 2**32 - 1, 2**40, 2**62 + 2, 2**63 - 1, 2**64 - 1),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, unpacked, so that mutations meet what is read and not zstd's checks."""

    kind: int
    payload: bytes
    literals: bytes = b""

    def encode(self) -> bytes:
        payload = self.payload
        if self.kind == Type.BATCH:
            parts = encode_batch(Batch(self.payload, [self.literals] if self.literals else []))
            payload = b"".join(bytes(part) for part in parts)
        return FRAME.pack(len(payload), self.kind & 255, 0) + payload


def split(said: bytes) -> Iterator[Frame]:
    """Yield the frames of a session."""
    at = 0
    while at < len(said):
        size, kind, flags = FRAME.unpack_from(said, at)
        payload = said[at + FRAME.size : at + FRAME.size + size]
        at += FRAME.size + size
        if flags & COMPRESSED:
            payload = decompress(payload[4:], int.from_bytes(payload[:4], "little"))
        if kind == Type.BATCH:
            batch = decode_batch(memoryview(payload))
            yield Frame(kind, bytes(batch.control), b"".join(bytes(part) for part in batch.literals))
        else:
            yield Frame(kind, payload)


# seeds


class _Tap(FrameChannel):
    """A channel that keeps what it reads."""

    def __init__(self, reading: int, writing: int) -> None:
        super().__init__(PipeStream(reading, writing), "the peer")
        self.heard = bytearray()

    def _read(self, size: int) -> memoryview:
        view = super()._read(size)
        self.heard += view
        return view


def _report() -> int:
    traceback.print_exc()
    return 2


def record(source: Place, target: Place, terms: Terms) -> tuple[bytes, bytes]:
    """Run a sync between two threads; return what the receiver heard and what the sender heard."""
    down, up = os.pipe(), os.pipe()
    listening, speaking = _Tap(down[0], up[1]), _Tap(up[0], down[1])

    def deliver() -> None:
        try:
            with open_target(target, terms, MEAN, ignore) as opened:
                Receiver(listening, opened, ignore, dry_run=terms.dry_run).run()
        except BaseException:
            os._exit(_report())  # the other side would wait for ever

    thread = threading.Thread(target=deliver)
    thread.start()
    speaker = Sender(speaking, ignore)
    offer = speaker.start()
    with open_source(source, MEAN, 1 << 30, ignore, checksum=False, offer=offer) as opened:
        speaker.run(opened)
    thread.join()
    for descriptor in (*down, *up):
        os.close(descriptor)
    return bytes(listening.heard), bytes(speaking.heard)


def grow(tree: Path, rng: random.Random) -> None:
    """Make a small tree with every kind of file that needs no rights."""
    (tree / "d" / "deeper").mkdir(parents=True)
    (tree / "big").write_bytes(rng.randbytes(1_100_000))
    (tree / "d" / "part").write_bytes((tree / "big").read_bytes()[:50_000])
    (tree / "d" / "text").write_bytes(b"the quick brown fox\n" * 900)
    (tree / "d" / "deeper" / "small").write_bytes(b"small")
    (tree / "zeros").write_bytes(bytes(60_000) + b"end")
    (tree / "link").symlink_to("d/text")
    os.link(tree / "d" / "text", tree / "other name")
    os.mkfifo(tree / "fifo")
    with suppress(OSError):
        os.setxattr(tree / "big", b"user.x", b"value")


def edit(tree: Path) -> None:
    """Change the tree so that a delta has copies, moves, removals and literals."""
    old = (tree / "big").read_bytes()
    (tree / "big").write_bytes(old[:50_000] + b"inserted" + old[50_000:90_000] + old[100_000:])
    (tree / "moved").write_bytes(old[:500_000])
    (tree / "d" / "deeper" / "small").unlink()
    (tree / "new").write_bytes(b"new" * 50)


def sprinkle(path: Path) -> None:
    """Change a file everywhere, so that all of it is signed, in two rounds."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 3000):
        data[at] ^= 1
    path.write_bytes(bytes(data))


@dataclass(frozen=True, slots=True)
class Seed:
    """A session from the view of one side; `prepared` is the cage as it was when it began."""

    name: str
    side: str
    frames: tuple[Frame, ...]
    prepared: Path


def seeds(base: Path, rng: random.Random) -> list[Seed]:
    """Record a first copy, a delta, a listing, a sketch and what moved, into a directory and into a pool; both sides of
    each."""
    sketching.new_key = lambda: bytes(sketching.KEY)  # one for all: recorded ids mean something when heard again
    vars(sketching)["SUBTREES_SHARE"] = 1  # in a tree of twenty names nothing saves much
    found: list[Seed] = []
    for end in ("host", "pool"):
        cage = base / f"record-{end}"
        (cage / "src").mkdir(parents=True)
        (cage / "dst").mkdir()
        (cage / "outside").mkdir()
        (cage / "outside" / "secret").write_bytes(b"secret")
        with Pool.create(str(cage / "pool"), mean=MEAN, durable=False) as pool, FileSystem(pool) as fs:
            fs.commit()
        grow(cage / "src", rng)
        for name in ("full", "delta", "list", "sketch", "moved"):
            _shrink(name)
            prepared = base / f"{end}-{name}"
            if name == "delta":
                edit(cage / "src")
            if name == "sketch":
                grow(cage / "src" / "more", rng)
            if name == "moved":
                (cage / "src" / "more").rename(cage / "src" / "renamed")
            if name in ("list", "sketch", "moved"):
                (cage / "src" / "d" / "text").write_bytes(name.encode() * 4000)
                sprinkle(cage / "src" / "big")
                shutil.rmtree(cage / "target-history", ignore_errors=True)
            shutil.copytree(cage, prepared, symlinks=True, copy_function=_copy)
            terms = Terms(checksum=name in ("list", "sketch", "moved"))
            heard = record(host(cage / "src", cage / "source-history"), target_of(cage, end), terms)
            for side, said in zip(("receiver", "sender"), heard, strict=True):
                found.append(Seed(f"{end}-{name}", side, tuple(split(said)), prepared))
    return found


def _shrink(name: str) -> None:
    """Set the sizes from which a small session of this name takes its way."""
    vars(sender)["SKETCH_NAMES"] = 1 if name in ("sketch", "moved") else SKETCH_NAMES
    vars(sketching)["SKETCH_FIRST"] = 4 if name == "moved" else SKETCH_FIRST


def _copy(source: str, destination: str) -> object:
    if os.path.isfile(source):
        return shutil.copy2(source, destination)
    os.mkfifo(destination)
    return destination


def target_of(cage: Path, end: str) -> Place:
    if end == "pool":
        return Place(str(cage / "pool"), b"dst", str(cage / "target-history"))
    return host(cage / "dst", cage / "target-history")


def run_frames() -> list[Frame]:
    """Return a frame of each message of a run: they are strangers in a sync, and food for the decoders."""
    messages: tuple[RunMessage, ...] = (
        Run(MAGIC, PROTOCOL, bytes(128), b"line", b"", b"", (b"/a", b"pfs:b"), (2, 0, 1, 1 << 26, 0, 1 << 20, 1, 1)),
        Output(b"out" * 100),
        Told(b"/a", 1, b"text"),
        Faulted(1, 2, b"/a", 4096, 3, 1, 7, 0x10000000, b"exit"),
        Mapped(0, ((b"key1", bytes(8)), (b"key2", b"\xff" * 8))),
        Ran(10, 100, 1, 50, 0, 2, 0, b"auto", (0, 0, 10, 0, 0, 0), (1000, 900), 1, (b"compiled",), (10,), b"why"),
    )
    return [Frame(message.TYPE, encode_message(message)) for message in messages]


# mutations


def mutate(rng: random.Random, frames: tuple[Frame, ...], others: list[Frame]) -> bytes:
    """Return the bytes of a session with a few things wrong."""
    mutable = list(frames)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not mutable:
            break
        at = rng.randrange(len(mutable))
        choice = rng.random()
        if choice < 0.06:
            del mutable[at]
        elif choice < 0.12:
            mutable.insert(at, mutable[rng.randrange(len(mutable))])
        elif choice < 0.18:
            mutable.insert(at, rng.choice(others))
        elif choice < 0.22:
            mutable[at] = Frame(rng.randrange(len(Type) + 2), mutable[at].payload)
        elif choice < 0.32:
            frame = mutable[at]
            mutable[at] = Frame(frame.kind, frame.payload, bend(rng, frame.literals))
        else:
            frame = mutable[at]
            mutable[at] = Frame(frame.kind, bend(rng, frame.payload), frame.literals)
    said = b"".join(frame.encode() for frame in mutable)
    return bend(rng, said) if rng.random() < 0.1 else said


def bend(rng: random.Random, data: bytes) -> bytes:
    """Return bytes that differ somewhere: a bit, a number, a piece less, a piece twice, a short end."""
    if not data:
        return rng.randbytes(rng.randrange(20))
    at = rng.randrange(len(data))
    choice = rng.randrange(7)
    if choice == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if choice == 1:
        return data[:at] + _number(rng.choice(INTERESTING)) + data[at + 1 :]
    if choice == 2:
        return data[:at] + data[at + rng.randrange(1, 40) :]
    if choice == 3:
        return data[:at] + data[at : at + rng.randrange(1, 300)] * 2 + data[at:]
    if choice == 4:
        return data[:at]
    if choice == 5:
        return data[:at] + rng.choice((b"/", b"..", b"../", b"\0", b"//", b"link", b"/outside")) + data[at + 1 :]
    return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at + 1 :]


def _number(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


# what is fed


class Slow(Exception):
    """An input took too long."""


def _expire(number: int, _: FrameType | None) -> None:
    raise Slow(f"{PATIENCE} seconds of the processor" if number == signal.SIGPROF else f"{100 * PATIENCE} seconds")


def _limit(seconds: int) -> None:
    """Let an input take so much of the processor, and a hundred times that on the clock: who is halted, or gets little
    of a busy machine, does not hang."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 100 * seconds)


def decode_all(said: bytes) -> None:
    """Feed the decoders alone, whatever the order of the messages is."""
    items, listing = ItemReader(), ListingReader()
    for frame in split(said):
        if frame.kind == Type.BATCH:
            for item in items.read(Batch(frame.payload, [frame.literals])):
                if isinstance(item, BlockItem):
                    literals = item.literals.take(min(100, item.literals.end - item.literals.at))
                    with suppress(PacketFSError):
                        unpack(item.instructions, literals, [NO_DIGEST])
        elif frame.kind == Type.LISTING:
            for listed in listing.read(frame.payload):
                sum(piece.length for piece in listed.pieces)
        else:
            message = decode_message(frame.kind, frame.payload)
            if isinstance(message, Signatures):
                check_signatures(message, read_runs(message.runs)).unmatched(Bits(message.sums))
            elif isinstance(message, Sketch):
                sketch_peel(sketching.unpack_symbols(message.symbols, 0, message.items))


def look(cage: Path) -> dict[str, bytes]:
    """Return what lies beside the ends of a cage."""
    found = dict.fromkeys(os.listdir(cage), b"")
    found |= {f"outside/{name}": (cage / "outside" / name).read_bytes() for name in os.listdir(cage / "outside")}
    return found


class Fuzzer:
    """Runs inputs and keeps count."""

    def __init__(self, base: Path, seed: int, save: Path) -> None:
        self._rng = random.Random(seed)
        self._base = base
        self._save = save
        self._seeds = seeds(base, self._rng)
        self._frames = [frame for known in self._seeds for frame in known.frames] + run_frames()
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def step(self) -> None:
        """Run one mutated session."""
        seed = self._rng.choice(self._seeds)
        said = mutate(self._rng, seed.frames, self._frames)
        self.feed(seed, said)

    def feed(self, seed: Seed, said: bytes) -> None:
        self.counts["decoders"] += 1
        self._watch(seed, said, lambda: _swallow(lambda: decode_all(said)))
        self.counts[f"{seed.side} {seed.name}"] += 1
        cage = self._base / "cage"
        shutil.rmtree(cage, ignore_errors=True)
        shutil.copytree(seed.prepared, cage, symlinks=True, copy_function=_copy)
        before = look(cage)
        self._watch(seed, said, lambda: self._session(seed, cage, said))
        gone = {"source-history", "target-history"}
        after = look(cage)
        if {name: after[name] for name in after if name not in gone} != {n: before[n] for n in before if n not in gone}:
            self._fault(seed, said, "something beside the destination changed")

    def _session(self, seed: Seed, cage: Path, said: bytes) -> None:
        _shrink(seed.name.partition("-")[2])
        if seed.side == "sender":
            outcome = send(host(cage / "src", cage / "source-history"), said)
        else:
            terms = Terms(delete=self._rng.random() < 0.3)
            outcome = receive(target_of(cage, seed.name.partition("-")[0]), said, terms)
        self.counts["done" if outcome.error is None else type(outcome.error).__name__] += 1
        if outcome.fault is not None:
            raise outcome.fault

    def _watch(self, seed: Seed, said: bytes, action: Callable[[], None]) -> None:
        _limit(PATIENCE)
        try:
            action()
        except Exception as error:  # this is what is looked for
            stack = traceback.extract_tb(error.__traceback__)
            at = next((frame for frame in reversed(stack) if "packetfs" in frame.filename), stack[-1])
            self._fault(seed, said, f"{type(error).__name__} at {at.filename}:{at.lineno}: {str(error)[:80]}")
        finally:
            _limit(0)
        if _resident() > MEMORY:
            self._fault(seed, said, f"{_resident() >> 20} MiB of memory")

    def _fault(self, seed: Seed, said: bytes, what: str) -> None:
        self.faults[what] += 1
        if self.faults[what] == 1:
            self._save.mkdir(parents=True, exist_ok=True)
            path = self._save / f"{seed.side}-{seed.name}-{len(self.faults)}"
            path.write_bytes(said)
            print(f"FAULT {what}\n  saved as {path}", flush=True)

    def replay(self, path: Path) -> None:
        """Feed a saved input to the session that it was made for."""
        side, end, name = path.name.split("-")[:3]
        for seed in self._seeds:
            if (seed.side, seed.name) == (side, f"{end}-{name}"):
                self.feed(seed, path.read_bytes())


def _swallow(action: Callable[[], None]) -> None:
    with suppress(PacketFSError, struct.error):  # the frames are cut here, by `split`
        action()


def _resident() -> int:
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * resource.getpagesize()


def fuzz(seconds: float, seed: int, save: Path, replay: Path | None = None) -> Fuzzer:
    """Fuzz for some time, in a directory that goes afterwards."""
    vars(delivery)["RUNS_MAX"] = FILE_MAX  # the refusal is the same at any size, the wait is not
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_MAX * 8, resource.RLIM_INFINITY))
    for kind in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(kind, _expire)
    with tempfile.TemporaryDirectory(prefix="fuzz-wire-", ignore_cleanup_errors=True) as base:
        fuzzer = Fuzzer(Path(base), seed, save)
        end = time.monotonic() + seconds
        if replay is not None:
            fuzzer.replay(replay)
        while replay is None and time.monotonic() < end:
            fuzzer.step()
    return fuzzer


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, default=Path("fuzz/out"))
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args()
    fuzzer = fuzz(options.seconds, options.seed, options.save, options.replay)
    for what, count in sorted(fuzzer.counts.items()):
        print(f"{count:8} {what}")
    for what, count in fuzzer.faults.most_common():
        print(f"{count:8} FAULT {what}")
    return 1 if fuzzer.faults else 0


if __name__ == "__main__":
    sys.exit(main())
