"""Run random programs as PTX kernels on lanes in Python, and on an interpreter: everything that they leave is the same.

`python -m fuzz.ptx_differential --programs 20000 --processes 2`. Each program runs over a few records, one lane each:
result, fault with its slot and address, slots executed, output and maps are compared. Programs whose helpers no kernel
has are counted and left out. Any difference is printed with the seed that makes it again (--seed N --programs 1).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from fuzz.ptx.kernels import FILE_ID, RECORD_BASE, ROOM, SEED, SHARD, Kernels
from fuzz.ptx.syntax import Refused
from fuzz.vm_programs import Programs
from packetfs.engines.ir.helpers import missing
from packetfs.vm.assembly import disassemble
from packetfs.vm.context import Context, begin_shard, open_maps
from packetfs.vm.framing import PAIR
from packetfs.vm.image import Image, load
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, ContextKind, Fault, Framing, MapFlag, MapType, Stop
from packetfs.vm.machine import MACHINES, Machine
from packetfs.vm.program import MapDefinition, Program
from packetfs.vm.single import Ended
from packetfs.vm.slots import starts

MAPS: Final = (
    MapDefinition(b"array", MapType.ARRAY, 4, 8, 4),
    MapDefinition(b"table", MapType.ARRAY, 4, 8, 3),
    MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096),
    MapDefinition(b"wide", MapType.PERCPU_ARRAY, 4, 21, 2, initial=b"own"),
    MapDefinition(b"fixed", MapType.ARRAY, 4, 8, 1, flags=MapFlag.READ_ONLY, initial=b"readonly"),
)
"""As vm_differential.MAPS, without hash tables."""
BATCH: Final = 16
"""Programs in one module: LLVM takes as long for its own start as for a few of them."""
EXIT: Final = (0x95).to_bytes(8, "little")
TEMPLATES: Final = {kind: load(Program(EXIT, MAPS, kind)) for kind in ContextKind}


@dataclass(frozen=True, slots=True)
class Case:
    """A program, the records of its lanes, and their fuel."""

    seed: int
    image: Image
    records: tuple[bytes, ...]
    fuel: int


Left = tuple[Ended | Stop, bytes]
"""How a record ended, and its maps then."""


def make(seed: int) -> Case:
    """Return the case of a seed."""
    rng = Random(seed)
    kind = rng.choice((ContextKind.PACKETFS,) * 6 + (ContextKind.XDP, ContextKind.RAW))
    code = Programs(rng).make(kind)
    records = tuple(rng.randbytes(rng.choice((0, 1, 15, 33, 40, 64))) for _ in range(rng.randrange(1, 4)))
    image = replace(TEMPLATES[kind], code=code, starts=starts(code))
    return Case(seed, image, records, rng.choice((20, 60, 60, 200)))


def interpret(machine: Machine, case: Case) -> list[Left]:
    """Return what an interpreter leaves, each record in a shard of its own."""
    prepared, ends, at = machine.prepare(case.image), list[Left](), 0
    window = b"".join(case.records)
    for number, record in enumerate(case.records):
        contexts, spill, maps = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(case.image.maps_bytes)
        base = RECORD_BASE + number
        begin_shard(contexts, 0, shard=SHARD + number, start=0, stop=1, position=0, record_base=base, seed=SEED)
        open_maps(case.image.initial, case.image.maps_bytes, maps, 0)
        bounds, out = PAIR.pack(at, at + len(record)), bytearray(ROOM)
        _, stop, used = machine.run(
            prepared,
            contexts,
            spill,
            maps,
            0,
            1,
            window,
            0,
            True,
            Framing.LIST,
            0,
            bounds,
            out,
            1 << 50,
            case.fuel,
            FILE_ID,
        )
        end = Context(contexts)
        ended = Ended(end.result, Fault(end.fault), end.pc, end.fault_address, end.executed, bytes(out[:used]))
        ends.append((ended if stop in (Stop.DONE, Stop.FAULT) else stop, bytes(maps)))
        at += len(record)
    return ends


def compare(cases: list[Case], ends: Counter[str]) -> Iterator[tuple[int, str]]:
    """Yield seed and difference of each case that differs; count how the lanes ended."""
    possible = []
    for case in cases:
        lacking = missing(case.image)
        ends["programs refused by name"] += bool(lacking)
        if not lacking:
            possible.append(case)
    if not possible:
        return
    kernels = Kernels([case.image for case in possible])
    for number, case in enumerate(possible):
        try:
            lanes: list[Left] | str = kernels.run(number, case.records, case.fuel)
        except Refused as error:
            lanes = str(error)
        wanted = interpret(MACHINES[-1], case)
        ends["programs compared"] += 1
        ends.update(end.fault.name if isinstance(end, Ended) else f"stopped: {end.name}" for end, _ in wanted)
        if said := difference(case, lanes, wanted):
            yield case.seed, said


def difference(case: Case, lanes: list[Left] | str, wanted: list[Left]) -> str:
    """Say what differs, with the program; "" where nothing does. A lane that asks the host may do so instead."""
    if not isinstance(lanes, str):
        pairs = list(zip(lanes, wanted, strict=True))
        if all(a == b or (not isinstance(a[0], Ended) and a[0] in (b[0], Stop.HELPER)) for a, b in pairs):
            return ""
    shown = [f"lanes: {lanes}", f"interpreter: {wanted}", f"records {[r.hex() for r in case.records]} fuel {case.fuel}"]
    return "\n".join([*shown, *disassemble(case.image.code)])


def run_batch(first: int, count: int) -> tuple[int, list[tuple[int, str]], Counter[str]]:
    """Compare `count` cases from seed `first` on."""
    ends = Counter[str]()
    found = list(compare([make(seed) for seed in range(first, first + count)], ends))
    return count, found, ends


def main() -> int:
    """Run batches until all programs are compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first program")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    begun, bad, ends = time.perf_counter(), 0, Counter[str]()
    firsts = range(options.seed, options.seed + options.programs, BATCH)
    counts = [min(BATCH, options.seed + options.programs - first) for first in firsts]
    with ProcessPoolExecutor(options.processes) as pool:
        for _, found, ended in pool.map(run_batch, firsts, counts):
            bad, ends = bad + len(found), ends + ended
            for seed, said in found[:3]:
                print(f"seed {seed}\n{said}\n", flush=True)
    rate = options.programs / (time.perf_counter() - begun)
    print(f"{options.programs} programs from seed {options.seed}: {bad} mismatches, {rate:.0f} programs/s")
    print(", ".join(f"{name} {count}" for name, count in ends.most_common()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
