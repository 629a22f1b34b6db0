"""Machine code of programs, record by record, beside native loops: `python -m bench.engines [PROGRAM ...]`.

One core. Each program of bench/engines_programs.py runs over records of 64 bytes

- on the engines `cpu` and `lanes`, as jobs run it, with every check and with fuel;
- on the same two without checks and without fuel, which nothing but this bench can ask for (`safety` is the ratio);
- as a loop in C, compiled by gcc -O3 for this processor (`native`);
- as a simple translator makes it, one call a record and nothing checked, which is what uBPF does (`simple`).

A shard costs something before its first record: so each is run over FEW and over MANY records, which the second-level
cache holds, and the difference is what a record costs; the rest is shown as the cost of a shard. Everything takes turns
and the best turn counts. Memory-bound figures are of 256 MiB. Last r0s are compared. Then: how long it takes to
compile programs of different sizes, and what a small `pfs run` takes whose code is remembered.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

from bench import engines_start, machine, report, tables
from bench.engines_peers import Peer, build
from bench.engines_programs import PROGRAMS, RECORD, Timed
from packetfs.accel import native
from packetfs.engines.compiled.cache import Code, load_code
from packetfs.engines.compiled.recipe import MANY as MANY_CODE
from packetfs.engines.compiled.records import many_records
from packetfs.engines.lanes.records import blocks_of_records
from packetfs.engines.lanes.shape import BLOCKS
from packetfs.engines.lanes.shape import LANES as WIDTH
from packetfs.engines.lowering.safety import SAFE, Safety
from packetfs.vm.context import Context, begin_shard
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, Framing, State

FEW: Final = 512
MANY: Final = 8192
"""Records: 32 and 512 KiB, within the second-level cache of any processor with vectors."""
BIG: Final = 256 << 20
TURNS: Final = 300
BIG_TURNS: Final = 9
ENGINES: Final = ("cpu", "lanes")
BARE: Final = Safety(checks=False, fuel=False)
SAFETY_MAX: Final = 1.3
NATIVE_MAX: Final = 1.15
_ENDLESS: Final = 1 << 50
_core: Any = native

Runner = Callable[[int], tuple[float, int]]
"""Runs over so many records; returns seconds and the last r0."""
Results = dict[str, Any]


def prepare(image: Image, engine: str, safety: Safety) -> tuple[object, object]:
    """Return a program in the C core with machine code attached, and what holds that in memory."""
    places, capsule = _core.vm_places(), hand_over(image)
    many = _load(many_records(image, places, RECORD, safety), MANY_CODE)
    if engine == "cpu":
        _core.vm_attach(capsule, many.address, 0, RECORD)
        return capsule, many
    blocks = _load(blocks_of_records(image, places, RECORD, safety), BLOCKS)
    _core.vm_attach(capsule, many.address, 0, RECORD, blocks.address, WIDTH)
    return capsule, (many, blocks)


def _load(text: str, name: str) -> Code:
    return load_code(text.encode(), name, lambda: text)


def engine(program: Timed, name: str, safety: Safety, data: bytearray) -> Runner:
    """Return what runs a program on an engine, as one shard."""
    image = program.image()
    held = prepare(image, name, safety)

    def run(count: int) -> tuple[float, int]:
        contexts, spill, maps = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(image.maps_bytes)
        begin_shard(contexts, 0, shard=0, start=0, stop=count * RECORD, position=0, record_base=0, seed=0)
        shape = Framing.FIXED, RECORD, b"", bytearray(64)
        begun = time.perf_counter()
        *_, interpreted, _ = _core.vm_run(
            held[0], contexts, spill, maps, 0, 1, data, 0, True, *shape, _ENDLESS, _ENDLESS, 0
        )
        seconds = time.perf_counter() - begun
        context = Context(contexts)
        if context.state != State.DONE or interpreted or context.records != count:
            raise RuntimeError(f"{program.name} on {name}: {context.records} records, {interpreted} interpreted")
        return seconds, context.result

    return run


def peer(run: Peer, data: bytearray) -> Runner:
    """Return what runs a peer over the same bytes."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))

    def timed(count: int) -> tuple[float, int]:
        begun = time.perf_counter()
        _, last = run(address, count)
        return time.perf_counter() - begun, last

    return timed


def runners(program: Timed, peers: dict[str, Peer], data: bytearray) -> dict[str, Runner]:
    """Return all that runs a program: the engines, both without safety, and the peers."""
    made = {name: engine(program, name, SAFE, data) for name in ENGINES}
    made |= {f"{name} bare": engine(program, name, BARE, data) for name in ENGINES}
    return made | {name: peer(run, data) for name, run in peers.items()}


def best(those: dict[str, Runner], count: int, turns: int) -> dict[str, float]:
    """Return the seconds of the best of so many turns of each; all must say the same."""
    taken: dict[str, list[float]] = {name: [] for name in those}
    for _ in range(turns):
        said = set()
        for name, run in those.items():
            seconds, last = run(count)
            taken[name].append(seconds)
            said.add(last)
        if len(said) > 1:
            raise RuntimeError(f"the last results differ: {said}")
    return {name: min(seconds) for name, seconds in taken.items()}


def measure(program: Timed, peers: dict[str, Peer], data: bytearray, turns: int) -> Results:
    """Return nanoseconds a record, and microseconds a shard, in cache; nanoseconds a record in memory."""
    those = runners(program, peers, data)
    few, many = (best(those, count, turns) for count in (FEW, MANY))
    record = {name: (many[name] - few[name]) / (MANY - FEW) * 1e9 for name in those}
    shard = {name: few[name] * 1e6 - record[name] * FEW / 1e3 for name in those}
    counted = len(data) // RECORD
    big = {name: took / counted * 1e9 for name, took in best(those, counted, BIG_TURNS).items()}
    return {"program": program.name, "about": program.about, "bound": program.bound,
            "record": record, "shard": shard, "big": big}  # fmt: skip


def checks(results: Results) -> list[report.Check]:
    """Judge the faster engine of each program: a user asks for the one that suits, or for `auto`."""
    judged = []
    for row in results["programs"]:
        name, record, big = row["program"], row["record"], row["big"]
        fastest = min(ENGINES, key=lambda engine: record[engine])
        if row["bound"] is not None:
            judged.append(_at_most(f"{name}: ns a record, {fastest}", record[fastest], row["bound"]))
        judged.append(_at_most(f"{name}: safety, {fastest}", record[fastest] / record[f"{fastest} bare"], SAFETY_MAX))
        widest = min(ENGINES, key=lambda engine: big[engine])
        judged.append(_at_most(f"{name}: 256 MiB / native, {widest}", big[widest] / big["native"], NATIVE_MAX))
    return judged + [_at_most(*row) for row in engines_start.bounds(results["start"])]


def _at_most(what: str, figure: float, bound: float) -> report.Check:
    return report.Check(what, f"{figure:.2f}", f"<= {bound:g}", figure <= bound)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(p.name for p in PROGRAMS)}")
    parser.add_argument("--turns", type=int, default=TURNS, help="in cache, of each")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=report.OUT)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    random = Random(1)
    data = bytearray().join(random.randbytes(BIG >> 4) for _ in range(16))
    wanted = [program for program in PROGRAMS if not options.programs or program.name in options.programs]
    with tempfile.TemporaryDirectory(prefix="packetfs-engines-") as folder:
        peers = build(Path(folder))
        rows = [measure(program, peers[program.name], data, options.turns) for program in wanted]
    results = {"machine": machine.describe(), "programs": rows, "start": engines_start.measure()}
    judged = checks(results)
    print(tables.engines(results))
    print("\n".join(check.line() for check in judged))
    if not options.programs:
        report.store(options.out, "engines", results | {"checks": judged})
    return 1 if any(check.holds is False for check in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
