"""Flip every byte of a small pool in turn: what is read is right, or an error. `python -m tests.pool.flips` does all.

With the bitmap of what was verified gone, as after a boot; it is flipped on its own, beside sound data.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packetfs.errors import PacketFSError
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.layout import Encoding, Mark
from packetfs.pool.check import check
from packetfs.pool.database import Error, explained
from packetfs.pool.pool import Pool

ROWS = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """A closed pool on disk and what it must give back."""

    path: Path
    payloads: dict[Digest, bytes]
    rows: list[tuple[int, str]]


@dataclass(slots=True)
class Tally:
    """What became of the flips: data that was right all the same, errors, and data that was wrong."""

    right: int = 0
    errors: int = 0
    wrong: int = 0
    found: int = 0


def build(place: Path) -> Sample:
    """Make a pool with extents of every kind and a database of several pages, and close it."""
    draw = random.Random(5)
    data = [draw.randbytes(size) for size in (0, 1, 64, 200, 1000, 5000)] + [b"packed" * 500]
    rows = [(number, f"name {number} " * 4) for number in range(ROWS)]
    with Pool.create(str(place / "pool")) as pool:
        digests = [pool.put(item, mark=Mark.PROGRAM if len(item) == 200 else Mark.DATA) for item in data[:-1]]
        digests.append(pool.put(data[-1], encoding=Encoding.ZSTD))
        names = pool.database("names")
        with names:
            names.execute("CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT)")
            names.execute("CREATE INDEX by_name ON names (name)")
            names.executemany("INSERT INTO names VALUES (?, ?)", rows)
        for digest in digests:
            pool.read(digest)
    return Sample(place / "pool", dict(zip(digests, data, strict=True)), rows)


def flip(sample: Sample, name: str, steps: range, check: bool = False) -> Tally:
    """Flip the bytes of one file at the offsets of `steps`, put each back, and count what was served."""
    tally = Tally()
    path = sample.path / name
    read = read_rows if name.endswith(".db") else read_payloads
    fd = os.open(path, os.O_RDWR)
    for offset in steps:
        kept = os.pread(fd, 1, offset)
        os.pwrite(fd, bytes([kept[0] ^ (1 << offset % 8 if offset % 3 else 0xFF)]), offset)
        if name != "verified":
            (sample.path / "verified").unlink(missing_ok=True)
        judge(sample, read, tally)
        if check:
            tally.found += bool(count_findings(sample))
        os.pwrite(fd, kept, offset)
    os.close(fd)
    return tally


def judge(sample: Sample, read: Callable[[Pool, Sample], bool], tally: Tally) -> None:
    try:
        with Pool.open(str(sample.path)) as pool:
            if read(pool, sample):
                tally.right += 1
            else:
                tally.wrong += 1
    except (PacketFSError, Error):
        tally.errors += 1


def read_payloads(pool: Pool, sample: Sample) -> bool:
    """Read every payload in each way; True when all are right, an error of the pool when it refuses one."""
    refused: PacketFSError | None = None
    for digest, expected in sample.payloads.items():
        try:
            size = len(expected)
            if pool.read(digest) != expected or pool.view(digest) != expected:
                return False
            if pool.read_range(digest, size // 2, size - size // 2) != expected[size // 2 :]:
                return False
        except PacketFSError as error:
            refused = error
    if refused is not None:
        raise refused
    return True


def read_rows(pool: Pool, sample: Sample) -> bool:
    """Read the table and its index."""
    path = f"{pool.path}/names.db"
    with explained(path):
        names = pool.database("names")
        rows = list(names.execute("SELECT number, name FROM names ORDER BY number"))
        indexed = list(names.execute("SELECT number, name FROM names INDEXED BY by_name ORDER BY name"))
    return rows == sample.rows and sorted(indexed) == sample.rows


def count_findings(sample: Sample) -> int:
    try:
        with Pool.open(str(sample.path)) as pool:
            return sum(1 for _ in check(pool))
    except (PacketFSError, Error):
        return 1


FILES = ("arena/00000000", "index", "names.db", "verified", "leases")


def rewrite_all(sample: Sample) -> bool:
    """Open for writing, put everything again, and say whether all of it is read right then."""
    with Pool.open(str(sample.path), writable=True) as pool:
        for expected in sample.payloads.values():
            pool.put(expected)
        return all(pool.read(digest_of(expected)) == expected for expected in sample.payloads.values())


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        sample = build(Path(directory))
        for name in FILES:
            size = min((sample.path / name).stat().st_size, 70_000)
            tally = flip(sample, name, range(size), check=name != "verified")
            wrong += tally.wrong
            print(f"{name}: {size} flips: {tally}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
