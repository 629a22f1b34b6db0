"""Programs and jobs for the tests of engines: small ones whose results Python can work out too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from fuzz.jobs import NUMBERED as NUMBERED
from packetfs.engines.input.records import Records, parse_records
from packetfs.engines.input.source import HostFile, PoolFile, Source
from packetfs.engines.jobs.job import run_job
from packetfs.engines.memo.memo import Memory
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import RunResult
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.layout import MapType, Reducer
from packetfs.vm.program import MapDefinition, Program

ENGINES = ("interpreter", "native")

COUNT = """
    mov r6, r1
    ldxdw r7, [r6+0]
    ldxdw r8, [r6+8]
    mov r0, 1
    jeq r7, r8, end
    ldxb r9, [r7+0]
    stxw [r10-4], r9
    lddw r1, map 0
    mov r2, r10
    add r2, -4
    call 1
    jeq r0, 0, end
    mov r1, 1
    lock add [r0+0], r1
    mov r0, 2
    and r9, 3
    jne r9, 0, end
    mov r1, r7
    mov r2, r8
    sub r2, r7
    call 4096
    mov r0, 3
end:
    exit
"""
"""Counts records by their first byte, and emits those whose first byte is a multiple of 4."""

HASHED = """
    ldxdw r7, [r1+0]
    ldxdw r8, [r1+8]
    mov r0, 0
    jeq r7, r8, end
    ldxb r9, [r7+0]
    and r9, 15
    stxdw [r10-8], r9
    mov r1, r8
    sub r1, r7
    stxdw [r10-16], r1
    lddw r1, map 0
    mov r2, r10
    add r2, -8
    mov r3, r10
    add r3, -16
    mov r4, 0
    call 2
end:
    exit
"""
"""Remembers by the low 4 bits of its first byte how long a record was."""

SLOW = """
    ldxdw r6, [r1+0]
    ldxdw r7, [r1+8]
    mov r0, 0
loop:
    jge r6, r7, end
    ldxb r2, [r6+0]
    xor32 r0, r2
    mul32 r0, 16777619
    stxdw [r10-200], r0
    ldxdw r0, [r10-200]
    add r6, 1
    ja loop
end:
    stxdw [r10-8], r0
    mov r1, r10
    add r1, -8
    mov r2, 8
    call 4096
    ldxdw r0, [r10-8]
    and r0, 3
    exit
"""
"""Hashes each byte of a record and emits the hash: it can be paused anywhere, with a used stack."""


def counting(reducer: Reducer = Reducer.SUM) -> Program:
    return Program(pad(assemble(COUNT)), (MapDefinition(b"first", MapType.ARRAY, 4, 8, 256, reducer=reducer),))


def hashed(reducer: Reducer = Reducer.MAX) -> Program:
    return Program(pad(assemble(HASHED)), (MapDefinition(b"long", MapType.HASH, 8, 8, 64, reducer=reducer),))


def program(text: str) -> Program:
    return Program(pad(assemble(text)))


@dataclass(frozen=True, slots=True)
class Ran:
    """A result without what may differ between runs, and the output."""

    result: RunResult
    output: bytes

    @property
    def shardless(self) -> RunResult:
        """The result without what depends on the shard size."""
        return replace(self.result, shards=0)


def run(
    code: Program,
    sources: Sequence[Source],
    records: Records | str,
    options: JobOptions | None = None,
    memory: Memory | None = None,
) -> Ran:
    out = bytearray()

    def take(data: Buffer) -> None:
        out.extend(data)

    framing = parse_records(records) if isinstance(records, str) else records
    result = run_job(code, sources, framing, out=take, options=options, memory=memory)
    return Ran(replace(result, seconds=0.0, timings=(), engine=""), bytes(out))


def stored(pool: Pool, data: bytes, name: str = "data") -> PoolFile:
    """Return a file of these bytes in a pool."""

    def read(at: int, room: memoryview) -> int:
        part = data[at : at + len(room)]
        room[: len(part)] = part
        return len(part)

    return PoolFile(pool, ingest(pool, read).root, name)


def write(path: Path, data: bytes) -> HostFile:
    path.write_bytes(data)
    return HostFile(os.fspath(path))


def text_of(size: int, seed: int = 1, longest: int = 120) -> bytes:
    """Lines of random bytes and lengths; some are empty, the last one has no newline."""
    random, out = Random(seed), bytearray()
    while len(out) < size:
        out += random.randbytes(random.choice((0, 1, 5, random.randrange(longest)))).replace(b"\n", b"\r") + b"\n"
    return bytes(out[:size]).rstrip(b"\n") + b"x"


def lines_of(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True) if b"\r" not in data else _split(data)


def _split(data: bytes) -> list[bytes]:
    parts = [part + b"\n" for part in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return parts if parts[-1] else parts[:-1]


def fixed_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
