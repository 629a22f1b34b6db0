"""Seeded content for the pairs: incompressible bytes, log lines, a database; and the edits that they suffer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

BLOCK = 1 << 20
WORDS = (
    "packet", "pool", "extent", "root", "digest", "snapshot", "index", "shard", "engine", "fuel", "segment",
    "delta", "carrier", "mirror", "staging", "entry", "commit", "budget", "region", "window", "token", "symbol",
    "sketch", "base", "literal", "record", "header", "body", "frame", "lease",
)  # fmt: skip
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "curl/8.14.1", "python-requests/2.32", "Googlebot/2.1")
TABLE = """CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, created INTEGER NOT NULL, updated REAL, status TEXT NOT NULL,
    total REAL, note TEXT, token BLOB)"""


def random_blocks(rng: Random, size: int) -> Iterator[bytes]:
    for start in range(0, size, BLOCK):
        yield rng.randbytes(min(BLOCK, size - start))


def write_random(path: Path, size: int, rng: Random) -> None:
    with path.open("wb") as out:
        out.writelines(random_blocks(rng, size))


def overwrite(path: Path, edit: int, count: int, rng: Random) -> None:
    """Overwrite `count` runs of `edit` bytes anywhere, aligned to nothing."""
    size = path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        for _ in range(count):
            os.pwrite(file.fileno(), rng.randbytes(edit), rng.randrange(size - edit))


def insert_bytes(path: Path, count: int, rng: Random) -> None:
    """Insert `count` single bytes anywhere; the file is rewritten in place, as an editor would save it."""
    data = path.read_bytes()
    cuts = [0, *sorted(rng.sample(range(1, len(data)), count)), len(data)]
    with path.open("wb") as out:
        for start, end in pairwise(cuts):
            out.write(rng.randbytes(1) if start else b"")
            out.write(memoryview(data)[start:end])


def log_lines(rng: Random, size: int, clock: float) -> Iterator[str]:
    """Yield lines of a web server's log, about `size` bytes of them."""
    written = 0
    while written < size:
        clock += rng.expovariate(20)
        path = "/".join(rng.choices(WORDS, k=rng.randint(1, 4)))
        line = (
            f'10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)} - - [{clock:.3f}] "GET /{path}?id='
            f'{rng.getrandbits(40):x} HTTP/1.1" {rng.choice((200, 200, 200, 304, 404, 500))} {rng.randrange(99999)} '
            f'"{rng.choice(AGENTS)}" {rng.random():.4f}\n'
        )
        written += len(line)
        yield line


def append_log(path: Path, size: int, rng: Random, clock: float) -> None:
    with path.open("a") as out:
        out.writelines(log_lines(rng, size, clock))


def small_text(rng: Random, mean: int) -> bytes:
    """Give unique text of 1 to 2 x mean bytes that compresses to half."""
    return rng.randbytes(mean).hex().encode()[: rng.randint(1, 2 * mean - 1)]


def write_database(path: Path, size: int, rng: Random) -> None:
    """Fill a table of several kinds of columns, with two indexes, to about `size` bytes."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous=off")
        database.execute(TABLE)
        database.executemany("INSERT INTO orders VALUES (?,?,?,?,?,?,?,?)", _rows(rng, size // 250))
        database.execute("CREATE INDEX by_customer ON orders (customer, created)")
        database.execute("CREATE INDEX by_status ON orders (status)")
    database.close()


def _rows(rng: Random, count: int) -> Iterator[tuple[object, ...]]:
    for key in range(count):
        note = " ".join(rng.choices(WORDS, k=rng.randint(5, 40)))
        when = 1_700_000_000 + key * 7 + rng.randrange(7)
        row = (key, rng.randrange(50_000), when, when + rng.random() * 1e5, rng.choice(("open", "paid", "sent")))
        yield *row, round(rng.random() * 900, 2), note, rng.randbytes(rng.choice((16, 32)))


def update_rows(path: Path, share: float, rng: Random) -> None:
    """Update a share of the rows in one transaction: numbers, a status that is indexed, now and then a longer note."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous=off")
        (count,) = database.execute("SELECT count(*) FROM orders").fetchone()
        for key in rng.sample(range(count), int(count * share)):
            values = (1_790_000_000 + rng.random() * 1e6, rng.choice(("paid", "sent", "back")), rng.random() * 900, key)
            database.execute("UPDATE orders SET updated=?, status=?, total=round(?, 2) WHERE id=?", values)
            if rng.random() < 0.2:
                database.execute("UPDATE orders SET note=note || ? WHERE id=?", (" " + rng.choice(WORDS), key))
    database.close()
