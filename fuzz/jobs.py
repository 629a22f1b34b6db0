"""Jobs with random options over random content, against plain Python that knows nothing of shards, turns and windows.

    python -m fuzz.jobs --seconds 600 --seed 1

What a job gives must follow from content, framing, program and the size of shards alone. Some jobs are stopped in the
middle and go on, some of those as packets in another directory. A difference prints the number of its case:
`--seed N --only CASE` runs that one again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import struct
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from packetfs.engines.input.cuts import stretches
from packetfs.engines.input.extents import extents
from packetfs.engines.input.pipe import Pipe
from packetfs.engines.input.records import parse_records
from packetfs.engines.input.source import HostFile, PoolFile, Source
from packetfs.engines.jobs.job import resume_job, run_job
from packetfs.engines.jobs.moving import freeze_job, thaw_job
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import RunResult
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.toolchain.sources import find_program
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.layout import RECORD_COPY_MAX, MapType
from packetfs.vm.program import MapDefinition, Program

RING = MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096)
NUMBERED = """
    ldxdw r2, [r1+24]
    stxdw [r10-8], r2
    ldxdw r2, [r1+32]
    stxdw [r10-16], r2
    mov r1, r10
    add r1, -16
    mov r2, 16
    call 4096
    mov r0, 2
    exit
"""
"""Emits (offset, number) of each record."""
LAVISH = """
    ldxdw r7, [r1+0]
    ldxdw r8, [r1+8]
    sub r8, r7
    mov r9, 5
    again: mov r1, r7
    mov r2, r8
    call 4096
    add r9, -1
    jne r9, 0, again
    mov r0, 3
    exit
"""
"""Emits each record five times."""
FAULTY = """
    ldxdw r6, [r1+0]
    ldxdw r7, [r1+8]
    sub r7, r6
    mov r1, r6
    mov r2, r7
    call 4096
    mov r0, 1
    jeq r7, 0, end
    ldxb r2, [r6+0]
    jne r2, 120, end
    mov r3, 0
    ldxb r2, [r3+0]
    end: exit
"""
"""Emits each record; one that begins with x ends its microVM."""
COPYING = """
    ldxdw r6, [r1+0]
    ldxdw r7, [r1+8]
    sub r7, r6
    jeq r7, 0, end
    stdw [r10-504], 1
    lddw r1, map 0
    mov r2, 8
    mov r3, 0
    call 131
    mov r9, r0
    stdw [r9+0], 35
    mov r8, 90
    stxb [r6+0], r8
    mov r5, 40
    spin: add r5, -1
    jne r5, 0, spin
    mov r1, r6
    mov r2, r7
    call 4096
    mov r1, r9
    mov r2, 0
    call 132
    end: mov r0, 4
    exit
"""
"""Uses stack, reserve and a copy of the record, and is paused among them."""


class Difference(Exception):
    """A job is not what plain Python says it is."""


@dataclass(slots=True)
class Wanted:
    """What a job must give. Maps and verdicts are looked at where they are known."""

    output: bytearray = field(default_factory=bytearray)
    records: int = 0
    size: int = 0
    faulted: int = 0
    maps: dict[bytes, dict[bytes, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """A program and what it does: `emits` for a record, its offset and its number; `faults` on it; `sums` of all."""

    program: Program
    emits: Callable[[bytes, int, int], bytes]
    faults: Callable[[bytes], bool] = lambda record: False
    sums: Callable[[Sequence[bytes]], dict[bytes, dict[bytes, int]]] = lambda records: {}


def subject(dice: Random) -> Subject:
    """Return one of the programs."""
    kind = dice.randrange(8)
    if kind < 4:
        text, emits = (
            (NUMBERED, lambda record, at, number: struct.pack("<QQ", at, number)),
            (LAVISH, lambda record, at, number: record * 5),
            (FAULTY, lambda record, at, number: record),
            (COPYING, lambda record, at, number: _copied(record)),
        )[kind]
        maps = (RING,) if text is COPYING else ()
        faults = {FAULTY: lambda record: record[:1] == b"x", COPYING: _too_long}.get(text, lambda record: False)
        return Subject(Program(pad(assemble(text)), maps), emits, faults)
    name, arguments = (("grep", ["pattern=ab"]), ("wc", []), ("topk", []), ("sample", ["by_index=yes", "every=3"]))[
        kind - 4
    ]
    program = find_program(name, arguments).program
    if name == "grep":
        return Subject(program, lambda record, at, number: b"".join(map(_ended, _matching(record))), sums=_matches)
    if name == "sample":
        return Subject(program, lambda record, at, number: b"" if number % 3 else _ended(record))
    return Subject(program, lambda record, at, number: b"", sums=_words if name == "wc" else _keys)


def _too_long(record: bytes) -> bool:
    return len(record) > RECORD_COPY_MAX


def _copied(record: bytes) -> bytes:
    return b"Z" + record[1:] + struct.pack("<Q", 35) if record and not _too_long(record) else b""


def _array(value: int) -> dict[bytes, int]:
    return {bytes(4): value} if value else {}


def _matching(record: bytes) -> list[bytes]:
    """Return the lines of a record that contain what grep looks for."""
    return [line for line in re.findall(rb"[^\n]*\n|[^\n]+", record) if b"ab" in line]


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _matches(records: Sequence[bytes]) -> dict[bytes, dict[bytes, int]]:
    return {b"matches": _array(sum(len(_matching(record)) for record in records))}


def _words(records: Sequence[bytes]) -> dict[bytes, dict[bytes, int]]:
    words = sum(len(record.split()) for record in records)
    return {b"words": _array(words), b"bytes": _array(sum(map(len, records)))}


def _keys(records: Sequence[bytes]) -> dict[bytes, dict[bytes, int]]:
    found = Counter(record.removesuffix(b"\n").removesuffix(b"\r")[:64].ljust(64, b"\0") for record in records)
    return {b"counts": dict(found), b"dropped": {}}


def content(dice: Random, kind: str, most: int) -> bytes:
    """Return bytes of a file for records of this kind."""
    size = dice.choice((0, 1, dice.randrange(2000), dice.randrange(most)))
    if kind == "pcap":
        out = bytearray(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        while len(out) < size:
            length = dice.choice((0, 1, 60, dice.randrange(1500)))
            out += struct.pack("<IIII", 0, 0, length, length) + dice.choices(_PACKETS)[0][:length].ljust(length, b"x")
        return bytes(out)
    if kind == "extent" and dice.random() < 0.5:
        return dice.randbytes(size) + bytes(dice.randrange(100_000)) + dice.randbytes(size // 2)
    out = bytearray()
    longest = dice.choice((3, 30, 300, 5000))
    while len(out) < size:
        length = dice.choice((0, 1, dice.randrange(longest)))
        out += bytes(dice.choices(b"abx ,cd", k=length)) + (b"\n" if dice.random() < 0.97 else b" ")
    return bytes(out[:size])


_PACKETS = (b"x" * 1500, b"abcd" * 400, bytes(1500))


def split(data: bytes, kind: str, source: Source) -> list[tuple[int, bytes]]:
    """Return (offset, record) of each record, by another way than the engines'."""
    if kind == "line":
        parts = [part + b"\n" for part in data.split(b"\n")]
        parts[-1] = parts[-1][:-1]
    elif kind == "pcap":
        return _captured(data)
    elif kind == "extent":
        return [(start, data[start:stop]) for start, stop in extents(source)]
    else:
        size = parse_records(kind).size
        parts = [data[at : at + size] for at in range(0, len(data), size)]
    found, at = [], 0
    for part in parts:
        if part:
            found.append((at, part))
        at += len(part)
    return found


def _captured(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append((at + 16, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return found


def shard_of(source: Source, shard: int) -> Callable[[int], int]:
    """Return what gives the number of the shard that has an offset of a source."""
    if not isinstance(source, PoolFile):
        return lambda at: at // shard
    ends = [end for found in stretches(source.program, source.root, shard) for end in found]
    return lambda at: bisect_right(ends, at)


def expected(
    it: Subject,
    files: Sequence[Sequence[tuple[int, bytes]]],
    sizes: Sequence[int],
    shards: Sequence[Callable[[int], int]],
    lead: int,
) -> Wanted:
    """Run a program over records in plain Python; a fault ends the shard in which the record begins, with the
    `lead` bytes before it."""
    wanted, done = Wanted(size=sum(sizes)), list[bytes]()
    for records, shard in zip(files, shards, strict=True):
        ended = -1
        for number, (at, record) in enumerate(records):
            if shard(at - lead) == ended:
                continue
            wanted.output += it.emits(record, at, number)
            if it.faults(record):
                ended = shard(at - lead)
                wanted.faulted += 1
            else:
                done.append(record)
    wanted.records, wanted.maps = len(done), it.sums(done)
    return wanted


def options_of(dice: Random, parent: str, small: bool) -> JobOptions:
    """Return options of any kind that cannot change a result, but for the size of shards."""
    return JobOptions(
        engine="interpreter" if small and dice.random() < 0.4 else "native",
        vms=dice.choice((None, None, 1, 2, 5, 64, 65_535)),
        workers=dice.randint(1, 8),
        shard_bytes=dice.choice((512, 513, 1000, 4096, 65_536, dice.randint(512, 20_000))),
        slice_slots=dice.choice((None, 64, 65, 500, 1000, dice.randint(64, 5000))),
        seed=dice.getrandbits(64),
        parent=parent,
        keep_output=dice.random() < 0.2,
    )


class Stopped(Exception):
    """The output of a job was closed, to stop it."""


class Case:
    """One job: its content, its sources and its options come of one number."""

    def __init__(self, directory: Path, seed: int, number: int) -> None:
        self._dice = dice = Random(f"{seed} {number}")
        self._directory = directory
        self._pool = Pool.create(os.fspath(directory / "pool"))
        self.kind = dice.choice(
            ("line", "line", "line", "packet", "fixed:100", "fixed:7", "fixed:3000", "pcap", "extent")
        )
        self.subject = subject(dice)
        small = dice.random() < 0.25
        self.options = options_of(dice, os.fspath(directory / "jobs"), small)
        most = 6000 if small else 40_000 if (self.options.slice_slots or 1 << 20) < 1000 else 300_000
        self.contents = [content(dice, self.kind, most) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
        self.how = [dice.choice(("host", "host", "pool", "pipe")) for _ in self.contents]
        self.stops = "pipe" not in self.how and dice.random() < 0.4

    def __str__(self) -> str:
        sizes = [len(data) for data in self.contents]
        return f"{self.kind} {self.how} {sizes} stops={self.stops} {self.options}"

    def run(self) -> None:
        """Difference when the result is not the one expected."""
        sources = self._open()
        plain = [twin if source.is_pipe else source for source, twin in zip(sources, self._open("host"), strict=True)]
        files = [split(data, self.kind, source) for data, source in zip(self.contents, plain, strict=True)]
        sizes, lead = [len(data) for data in self.contents], 16 if self.kind == "pcap" else 0
        shards = [shard_of(source, self.options.shard_bytes) for source in sources]
        wanted = expected(self.subject, files, sizes, shards, lead)
        result, output = self._stopped(sources) if self.stops else self._straight(sources)
        self._compare(wanted, result, output)
        left = os.listdir(self._directory / "jobs") if (self._directory / "jobs").exists() else []
        if left:
            raise Difference(f"{left} were left behind")

    def _open(self, how: str = "") -> list[Source]:
        return [
            self._source(data, how or own, i) for i, (data, own) in enumerate(zip(self.contents, self.how, strict=True))
        ]

    def _source(self, data: bytes, how: str, number: int) -> Source:
        path = self._directory / f"file{number}"
        path.write_bytes(data) if not path.exists() else None
        if how == "host":
            return HostFile(os.fspath(path))
        if how == "pool":
            return PoolFile(self._pool, ingest(self._pool, lambda at, room: _read(data, at, room)).root, f"p{number}")
        reading, writing = os.pipe()
        threading.Thread(target=_feed, args=(writing, data), daemon=True).start()
        return Pipe(reading)

    def _straight(self, sources: Sequence[Source]) -> tuple[RunResult, bytes]:
        out = bytearray()
        records = parse_records(self.kind)
        result = run_job(self.subject.program, sources, records, out=out.extend, options=self.options)
        return result, bytes(out)

    def _stopped(self, sources: Sequence[Source]) -> tuple[RunResult, bytes]:
        """Close the output after some of it, again and again; let the job go on, sometimes elsewhere."""
        dice, out = self._dice, _Closing(self._dice.randrange(1, 4))
        options = replace(self.options, keep=True)
        try:
            records = parse_records(self.kind)
            return run_job(self.subject.program, sources, records, out=out, options=options), bytes(out.taken)
        except Stopped:
            pass
        for _ in range(3):
            (name,) = os.listdir(options.parent or "")
            directory = f"{options.parent}/{name}"
            if dice.random() < 0.5:
                directory, old = thaw_job(freeze_job(directory), options.parent), directory
                shutil.rmtree(old)
            if options.keep_output:
                out.taken.clear()
            out.left = dice.randrange(1, 6)
            try:
                return resume_job(directory, out=out, sources=self._open()), bytes(out.taken)
            except Stopped:
                continue
        (name,) = os.listdir(options.parent or "")
        out.left = 1 << 60
        if options.keep_output:
            out.taken.clear()
        return resume_job(f"{options.parent}/{name}", out=out, sources=self._open()), bytes(out.taken)

    def _compare(self, wanted: Wanted, result: RunResult, output: bytes) -> None:
        seen = (result.records, result.bytes, result.faulted, result.emitted)
        due = (wanted.records, wanted.size, wanted.faulted, len(wanted.output))
        if seen != due:
            raise Difference(f"records, bytes, faults, output: {seen} instead of {due}")
        if output != wanted.output:
            at = next((i for i, (a, b) in enumerate(zip(output, wanted.output, strict=False)) if a != b), -1)
            raise Difference(f"{len(output)} bytes of output instead of {len(wanted.output)}; other from {at} on")
        for found in result.maps:
            if found.definition.name in wanted.maps:
                entries = {key: int.from_bytes(value, "little") for key, value in found.entries}
                if entries != wanted.maps[found.definition.name]:
                    raise Difference(f"map {found.definition.name!r} is not what it should be")


class _Closing:
    """An output that takes so many calls, then closes."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.taken = bytearray()

    def __call__(self, data: Buffer) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stopped
        self.taken += data


def _read(data: bytes, at: int, room: memoryview) -> int:
    piece = data[at : at + len(room)]
    room[: len(piece)] = piece
    return len(piece)


def _feed(writing: int, data: bytes) -> None:
    with os.fdopen(writing, "wb") as file:
        file.write(data)


def main() -> int:
    """Run cases until the time is over; the number of differences, at most 100, is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this case alone")
    chosen = parser.parse_args()
    until, number, bad = time.monotonic() + chosen.seconds, chosen.only or 0, 0
    while time.monotonic() < until:
        bad += not _passes(chosen.seed, number)
        if chosen.only is not None:
            break
        number += 1
    print(f"{number} jobs, {bad} differences")
    return min(bad, 100)


def _passes(seed: int, number: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="packetfs-fuzz-", dir="/dev/shm") as name:
        case = Case(Path(name), seed, number)
        try:
            case.run()
        except Exception as error:
            print(f"case {number} of seed {seed}: {type(error).__name__}: {error}\n  {case}", flush=True)
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
