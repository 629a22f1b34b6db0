"""The files of bench.typed: prose, a log, a table and packets of 64 bytes, the same in every run.

Each is made of BLOCK bytes that were drawn once, one behind the other up to its size: nothing here looks further back
than a line. The words that are searched for are put into it once every RARE bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

BLOCK: Final = 16 << 20
RARE: Final = 8 << 20
WORDS: Final = (b"needle-in-hay", b"NEEDLE_IN_HAY")
"""What is searched for where it is rare: of letters that are common in prose, and of bytes that occur nowhere else. In
the log, ERROR is what is searched for: one line of fifty has it."""


def prose(draw: Random) -> bytes:
    """Lines of 3 to 18 words, 5,000 words of which the first ones are common."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    weights = range(26, 0, -1)
    known = ["".join(draw.choices(letters, weights, k=draw.randint(2, 11))) for _ in range(5000)]
    common = [1 / (at + 1) for at in range(5000)]
    drawn = iter(draw.choices(known, common, k=BLOCK // 5))
    out = bytearray()
    while len(out) < BLOCK:
        out += " ".join(word for _, word in zip(range(draw.randint(3, 18)), drawn, strict=False)).encode() + b"\n"
    for word, first in zip(WORDS, (RARE // 2, RARE // 4), strict=True):
        for at in range(first, BLOCK, RARE):
            out[at : at + len(word)] = word
    return bytes(out[:BLOCK])


def log(draw: Random) -> bytes:
    """Lines of a service: time, level, host, a message with a number."""
    out, at, levels = bytearray(), 0, ["INFO"] * 40 + ["WARN"] * 9 + ["ERROR"]
    while len(out) < BLOCK:
        at += draw.randrange(2000)
        head = f"{at:012} {draw.choice(levels):5} host{draw.randrange(64):02} "
        out += f"{head}GET /v1/items/{draw.getrandbits(24)} took={draw.randrange(9999)}ms\n".encode()
    return bytes(out)


def table(draw: Random) -> bytes:
    """Lines of a CSV file: number, name, amount with two decimals, state."""
    states, out = ("ok", "failed", "retried"), bytearray()
    while len(out) < BLOCK:
        amount = draw.randrange(-(10**5), 10**6) / 100
        out += f"{draw.randrange(10**6)},user{draw.randrange(9999)},{amount:.2f},{draw.choice(states)}\n".encode()
    return bytes(out)


def packets(draw: Random) -> bytes:
    """Packets of 64 bytes: noise, and at byte 10 a u16 of which small values are common."""
    out = bytearray(draw.randbytes(BLOCK))
    for at in range(10, BLOCK, 64):
        out[at : at + 2] = min(int(draw.paretovariate(0.5)), 65_535).to_bytes(2, "little")
    return bytes(out)


KINDS: Final[dict[str, Callable[[Random], bytes]]] = {"prose": prose, "log": log, "table": table, "packets": packets}
HEADERS: Final = {"table": b"id,name,amount,state\n"}


def make(folder: Path, kind: str, size: int) -> Path:
    """Make a file of about `size` bytes, whole lines, unless it is there."""
    path = folder / f"{kind}-{size}"
    if not path.exists():
        block, header = KINDS[kind](Random(1)), HEADERS.get(kind, b"")
        with open(f"{path}.new", "wb") as file:
            file.write(header)
            for _ in range(max(1, size // len(block))):
                file.write(block)
        os.rename(f"{path}.new", path)
    return path
