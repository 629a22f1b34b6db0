"""Speed of the native core beside its Python twins, both on the same bytes: `python -m bench.twins [--out DIR]`.

Each loop is called as a sync or a pool calls it: a file is cut in one piece, windows of 1 MiB are matched with the old
bytes about them, the index is asked for one digest at a time. The figure is the best of all rounds, in CPU time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from time import process_time

from bench import machine, report, tables
from bench.delta_kernel import edit_lines, log, overwrite, random_bytes
from bench.pairs import MB
from packetfs.accel import native
from packetfs.limits import MEAN, WINDOW_NEW, WINDOW_OLD, WINDOW_SLACK
from packetfs.packet.codec import Packet, encode
from packetfs.packet.cut import cut_python
from packetfs.packet.kernels import expand_python
from packetfs.packet.layout import Op
from packetfs.packet.match import match_python
from packetfs.packet.slots import SlotIndexPython, slots_bytes

ROUNDS = 3
SPELL = 0.5
"""Seconds of CPU that a call is repeated for at the least: one round of the native core takes a millisecond."""
EDIT = 256
DIGEST = 32
Match = Callable[[memoryview, int, memoryview, int], tuple[bytes, bytes, int]]
Index = Callable[[bytearray], SlotIndexPython]


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop: what it is given, how much of it (in `unit`), and the call on the native core and on the twin."""

    name: str
    about: str
    amount: float
    unit: str
    native: Callable[[], object] | None
    twin: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured, in `unit` a second."""

    name: str
    about: str
    unit: str
    native: float | None
    twin: float


def loops(megabytes: int) -> list[Loop]:
    rng, size = Random("twins"), megabytes * MB
    noise = random_bytes(size, rng)
    lines = log(size, rng)
    return [
        cut_loop(bytes(noise)),
        match_loop("incompressible, 1 % overwritten in 256 B runs", noise, overwrite(EDIT, aligned=False), rng),
        match_loop("a log, every 200th line edited", lines, edit_lines, rng),
        expand_loop(bytes(noise)),
        *index_loops(noise),
    ]


def cut_loop(data: bytes) -> Loop:
    fast = None if native is None else lambda: native.cut(data, MEAN, True)
    return Loop("cut", "incompressible", len(data) / MB, "MB/s", fast, lambda: cut_python(data, MEAN, final=True))


def match_loop(about: str, old: bytearray, change: Callable[[bytearray, Random], bytearray], rng: Random) -> Loop:
    new = change(bytearray(old), rng)
    fast = None if native is None else lambda: match_all(native.match, old, new)
    return Loop("match", about, len(new) / MB, "MB/s", fast, lambda: match_all(match_python, old, new))


def match_all(match: Match, old: bytearray, new: bytearray) -> None:
    expected = 0
    for at in range(0, len(new), WINDOW_NEW):
        data = memoryview(new)[at : at + WINDOW_NEW]
        start = max(0, min(expected, len(old)) - WINDOW_SLACK)
        _, _, expected = match(memoryview(old)[start : start + WINDOW_OLD], start, data, expected)


def expand_loop(data: bytes) -> Loop:
    """Make a file of the pool from its chunks, one COPY each."""
    chunks = [memoryview(data)[at : at + MEAN] for at in range(0, len(data), MEAN)]
    program = b"".join(encode(Packet(Op.COPY, length=len(chunk))) for chunk in chunks)
    out = bytearray(len(data))
    fast = None if native is None else lambda: native.expand(program, chunks, out)
    about = "COPY packets of 64 KiB"
    return Loop("expand", about, len(data) / MB, "MB/s", fast, lambda: expand_python(program, chunks, out))


def index_loops(noise: bytearray) -> list[Loop]:
    digests = [bytes(noise[at : at + DIGEST]) for at in range(0, len(noise) - DIGEST, DIGEST)]
    kinds: list[Index | None] = [None if native is None else native.Index, SlotIndexPython]
    filled = [None if kind is None else fill(kind, digests) for kind in kinds]
    put = [None if kind is None else partial(fill, kind, digests) for kind in kinds]
    get = [None if index is None else partial(find, index, digests) for index in filled]
    amount = len(digests) / 1e6
    found = []
    for name, about, (fast, slow) in (("index put", "new digests", put), ("index get", "digests that are held", get)):
        assert slow is not None
        found.append(Loop(name, about, amount, "M/s", fast, slow))
    return found


def fill(kind: Index, digests: list[bytes]) -> SlotIndexPython:
    index = kind(bytearray(slots_bytes(len(digests))))
    for value, digest in enumerate(digests):
        index.put(digest, value)
    return index


def find(index: SlotIndexPython, digests: list[bytes]) -> None:
    for digest in digests:
        index.get(digest)


def measure(loop: Loop) -> Speed:
    fast, slow = (None if call is None else loop.amount / best(call) for call in (loop.native, loop.twin))
    assert slow is not None
    return Speed(loop.name, loop.about, loop.unit, fast, slow)


def best(call: Callable[[], object]) -> float:
    taken: list[float] = []
    while len(taken) < ROUNDS or sum(taken) < SPELL:
        begun = process_time()
        call()
        taken.append(process_time() - begun)
    return min(taken)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=4, help="of each kind of data")
    parser.add_argument("--out", type=Path, default=report.OUT)
    options = parser.parse_args(arguments)
    speeds = [asdict(measure(loop)) for loop in loops(options.megabytes)]
    results = {"machine": machine.describe(), "megabytes": options.megabytes, "loops": speeds}
    print(tables.twins(results))
    report.store(options.out, "twins", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
