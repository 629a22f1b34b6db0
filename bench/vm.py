"""Nanoseconds per instruction of the interpreters beside uBPF's, on the same programs and records in one run.

`UBPF=/path/to/iovisor/ubpf python -m bench.vm`: compiles that tree's interpreter with bench/vm_ubpf.c into a temporary
folder, with its own release flags (-O2) and with ours (-O3). Every program sees a record of 64 bytes at r1 (r2 = 64).
uBPF runs one call a record, which is how it is used; ours runs the records of a shard. `legacy` checks bounds,
`safe` tracks where pointers come from. Instructions are slots executed, the same number for all.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from packetfs.vm.assembly import assemble
from packetfs.vm.context import Context, begin_shard
from packetfs.vm.image import Image, load
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, ContextKind, Framing, MapType, State
from packetfs.vm.machine import NATIVE, TWIN, Machine
from packetfs.vm.program import MapDefinition, Program

RECORD: Final = 64
RECORDS: Final = 4096
"""256 KiB of records: they stay in the second-level cache."""
ROUNDS: Final = 5
ENDLESS: Final = 1 << 50
SAFE, LEGACY = 1, 0
PROGRAMS: Final = {
    "return": "mov r0, 1\n exit",
    "filter": """mov r0, 0\n ldxb r3, [r1+12]\n jgt r3, 250, out\n ldxh r4, [r1+14]\n jgt r4, 65000, out
        mov r0, 2\n out: exit""",
    "loop": "mov r0, 0\n mov r3, 1000\n again: add r0, r3\n xor r0, 7\n sub r3, 1\n jne r3, 0, again\n exit",
    "sum": """mov r0, 0\n mov r4, r1\n add r4, r2
        again: ldxdw r3, [r1+0]\n add r0, r3\n add r1, 8\n jlt r1, r4, again\n exit""",
    "fnv": """lddw r0, 0xcbf29ce484222325\n lddw r5, 0x100000001b3\n mov r4, r1\n add r4, r2
        again: ldxb r3, [r1+0]\n xor r0, r3\n mul r0, r5\n add r1, 1\n jlt r1, r4, again\n exit""",
    "copy": """mov r4, r1\n add r4, 64\n mov r5, r10\n sub r5, 64
        again: ldxdw r3, [r1+0]\n stxdw [r5+0], r3\n add r1, 8\n add r5, 8\n jlt r1, r4, again
        ldxdw r0, [r10-8]\n exit""",
    "map": """ldxb r3, [r1+0]\n and r3, 15\n stxw [r10-4], r3\n lddw r1, map 0\n mov r2, r10\n add r2, -4\n call 1
        jeq r0, 0, out\n ldxdw r3, [r0+0]\n add r3, 1\n stxdw [r0+0], r3\n mov r0, r3\n out: exit""",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one interpreter needs for one program."""

    name: str
    record_ns: float
    slots: float

    @property
    def slot_ns(self) -> float:
        return self.record_ns / self.slots


def program_of(text: str) -> Image:
    counters = MapDefinition(b"counters", MapType.ARRAY, 4, 8, 16)
    return load(Program(assemble(text), (counters,), ContextKind.RAW))


def run_ours(machine: Machine, image: Image, data: bytes) -> tuple[float, int, int]:
    """Return seconds, slots executed and the last r0 of one pass over `data`."""
    contexts, spill, maps = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(image.maps_bytes)
    begin_shard(contexts, 0, shard=0, start=0, stop=len(data), position=0, record_base=0, seed=0)
    prepared, out = machine.prepare(image), bytearray(64)
    begun = time.perf_counter()
    shape = Framing.FIXED, RECORD, b"", out
    machine.run(prepared, contexts, spill, maps, 0, 1, data, 0, True, *shape, ENDLESS, ENDLESS, 0)
    seconds = time.perf_counter() - begun
    context = Context(contexts)
    if context.state != State.DONE:
        raise RuntimeError(f"fault {context.fault} at {context.pc}")
    return seconds, context.executed, context.result


def measure_ours(machine: Machine, image: Image, data: bytes, rounds: int) -> Measured:
    runs = [run_ours(machine, image, data) for _ in range(rounds)]
    count = len(data) // RECORD
    return Measured(machine.name, min(run[0] for run in runs) / count * 1e9, runs[0][1] / count)


def build_ubpf(tree: Path, folder: Path, flags: str) -> ctypes.CDLL:
    """Compile uBPF's interpreter and our harness."""
    (folder / "ubpf_config.h").write_text("#pragma once\n")
    library = folder / f"ubpf{flags}.so"
    sources = [*sorted((tree / "vm").glob("ubpf_*.c")), Path(__file__).with_name("vm_ubpf.c")]
    include = ["-I", str(tree / "vm"), "-I", str(tree / "vm" / "inc"), "-I", str(folder)]
    command = ["gcc", flags, "-w", "-fPIC", "-shared", "-DNDEBUG", *include, "-o", str(library)]
    subprocess.run([*command, *map(str, sources), "-lm"], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.bench_ubpf.restype = ctypes.c_double
    return loaded


def run_ubpf(library: ctypes.CDLL, code: bytes, data: bytes, safe: int) -> float:
    """Return seconds of one pass over `data`."""
    records, total = ctypes.create_string_buffer(data, len(data)), ctypes.c_uint64()
    size, record, count = ctypes.c_uint32(len(code)), ctypes.c_size_t(RECORD), ctypes.c_size_t(len(data) // RECORD)
    seconds = library.bench_ubpf(code, size, records, record, count, 1, safe, ctypes.byref(total))
    if seconds < 0:
        raise RuntimeError("uBPF does not run it")
    return float(seconds)


def measure_ubpf(name: str, run: Callable[[], float], count: int, slots: float, rounds: int) -> Measured:
    return Measured(name, min(run() for _ in range(rounds)) / count * 1e9, slots)


def measure(text: str, libraries: dict[str, ctypes.CDLL], rounds: int) -> list[Measured]:
    """Measure a program on everything there is."""
    image, data = program_of(text), Random(1).randbytes(RECORDS * RECORD)
    found = [measure_ours(NATIVE, image, data, rounds)] if NATIVE else []
    found.append(measure_ours(TWIN, image, data[: 64 * RECORD], 1))
    for name, library in libraries.items():
        for profile, safe in (("legacy", LEGACY), ("safe", SAFE)):
            few = data[: len(data) // (8 if safe else 1)]
            try:
                found.append(
                    measure_ubpf(
                        f"uBPF {profile} {name}",
                        lambda few=few, safe=safe, library=library: run_ubpf(library, image.code, few, safe),  # type: ignore[misc]
                        len(few) // RECORD,
                        found[0].slots,
                        rounds,
                    )
                )
            except RuntimeError as error:
                print(f"  uBPF {profile} {name}: {error}", file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = os.environ.get("UBPF")
        libraries = {flags: build_ubpf(Path(tree), Path(folder), flags) for flags in ("-O2", "-O3")} if tree else {}
        for name in options.programs or PROGRAMS:
            found = measure(PROGRAMS[name], libraries, options.rounds)
            print(f"{name}: {found[0].slots:.0f} slots a record")
            for one in found:
                print(f"  {one.name:18} {one.record_ns:12.1f} ns a record {one.slot_ns:9.2f} ns a slot")
    return 0


if __name__ == "__main__":
    sys.exit(main())
