"""What a run costs again after a change, where the pool remembers what was computed.

    python -m bench.memo [--bytes 1000000000] [--program NAME ...]

A text of random words is put into a pool and run over. Then 1 % of it changes, is put again and run over again: in one
place, overwritten and inserted, and as overwritten blocks of 4 KiB all over. Each figure is CPU of one whole process,
its start included, user and system time, as a share of the first run's; every answer is compared with that of
`--no-memo` on the same bytes. The first run verifies the extents, as no other has read them, and a run after a change
verifies those that are new. Putting the change into the pool is not part of it. Ends with exit code 1 where an answer
differs, or a contiguous change costs more than 5 % of the first run, of a program that takes a second or more and whose
answer is short. Maps of all shards are reduced anew in each run, all output is written anew: that is not saved.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from bench.peers import BIN
from packetfs.engines.jobs.job import SHARED_MEMORY
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.layout import MapType, Reducer
from packetfs.vm.program import MapDefinition, Program, encode_program

PFS: Final = str(BIN / "pfs")
BLOCK: Final = 4096
MOST: Final = 0.05
SECOND: Final = 1.0
HASH: Final = """
    ldxdw r6, [r1+0]
    ldxdw r7, [r1+8]
    lddw r8, 0xcbf29ce484222325
    lddw r9, 0x100000001b3
loop:
    jge r6, r7, end
    ldxb r2, [r6+0]
    xor r8, r2
    mul r8, r9
    add r6, 1
    ja loop
end:
    stw [r10-4], 0
    lddw r1, map 0
    mov r2, r10
    add r2, -4
    call 1
    jeq r0, 0, out
    lock add [r0+0], r8
out:
    mov r0, 2
    exit
"""
"""Adds up the FNV-1a hashes of all records: much work on few bytes, and one number in the end."""
PROGRAMS: Final = {
    "hash": ("hash.pfs",),
    "wc": ("wc", "--records", "line"),
    "histogram": ("histogram", "--arg", "width=2"),
    "fnv": ("fnv",),
}
"""Programs that count something, one with a map of many entries, one whose output is a quarter of its input."""
BOUND: Final = ("hash", "wc")
"""Those whose answer is short, so that nothing but what changed has to be done again."""


def write_text(path: Path, size: int, random: Random) -> None:
    words = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=random.randrange(1, 12))) for _ in range(5000)]
    left = size
    with path.open("wb") as file:
        while left > 0:
            lines = (b" ".join(random.choices(words, k=random.randrange(1, 20))) for _ in range(1000))
            block = (b"\n".join(lines) + b"\n")[:left]
            file.write(block)
            left -= len(block)


def overwrite(path: Path, random: Random, share: float) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size * 2 // 5)
        file.write(random.randbytes(round(size * share)))


def insert(path: Path, random: Random, share: float) -> None:
    """Whole packets of 64 bytes, so that those behind are the same records."""
    data, size = path.read_bytes(), path.stat().st_size
    at = size * 3 // 5
    path.write_bytes(data[:at] + random.randbytes(round(size * share) // 64 * 64) + data[at:])


def scatter(path: Path, random: Random, share: float) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(round(size * share / BLOCK)):
            file.seek(random.randrange(size // BLOCK) * BLOCK)
            file.write(random.randbytes(BLOCK))


CHANGES: Final[tuple[tuple[str, Callable[[Path, Random, float], None] | None], ...]] = (
    ("unchanged", None),
    ("1 % overwritten in one place", overwrite),
    ("1 % inserted in one place", insert),
    ("1 % overwritten in blocks of 4 KiB", scatter),
)


class Bench:
    """A pool in a directory, and runs over the one file in it."""

    def __init__(self, base: Path, live: Path) -> None:
        """`live`: in shared memory, for the microVMs that live."""
        self._base = base
        self.text = base / "text"
        self._environment = {**os.environ, "XDG_RUNTIME_DIR": os.fspath(live)}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
        self._pfs("init", os.fspath(base / "pool"))
        total = MapDefinition(b"total", MapType.ARRAY, 4, 8, 1, reducer=Reducer.SUM)
        (base / "hash.pfs").write_bytes(encode_program(Program(pad(assemble(HASH)), (total,))))

    def put(self) -> None:
        self._pfs("put", "--pool", os.fspath(self._base / "pool"), os.fspath(self.text), "pfs:")

    def run(self, program: tuple[str, ...], *options: str) -> tuple[float, str]:
        """Return the CPU seconds of a process, and a digest of all that it answered."""
        out = self._base / "out"
        words = ("run", "--quiet", "--pool", os.fspath(self._base / "pool"), *options, *program, "pfs:text")
        words = tuple(os.fspath(self._base / word) if word.endswith(".pfs") else word for word in words)
        before = _cpu_of_children()
        with out.open("wb") as file:
            subprocess.run([PFS, *words], env=self._environment, stdout=file, check=True)
        took = _cpu_of_children() - before
        with out.open("rb") as file:
            answer = hashlib.file_digest(file, "sha256").hexdigest()
        return took, answer

    def _pfs(self, *words: str) -> None:
        subprocess.run([PFS, *words, "-q"], env=self._environment, check=True)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, size: int, seed: int) -> bool:
    """Print the rows of one program; False where one does not hold."""
    random, good = Random(seed), True
    with (
        tempfile.TemporaryDirectory(prefix="bench-memo-", dir=os.environ.get("TMPDIR")) as directory,
        tempfile.TemporaryDirectory(prefix="bench-memo-", dir=SHARED_MEMORY) as live,
    ):
        bench = Bench(Path(directory), Path(live))
        write_text(bench.text, size, random)
        bench.put()
        first, _ = bench.run(PROGRAMS[name])
        again, _ = bench.run(PROGRAMS[name], "--no-memo")
        words = f"{first:.2f} CPU-s, once more without memory {again:.2f}"
        print(f"{' '.join(PROGRAMS[name])} over {size:,} bytes: {words}", flush=True)
        for what, change in CHANGES:
            if change is not None:
                change(bench.text, random, 0.01)
                bench.put()
            cost, found = bench.run(PROGRAMS[name])
            full, answer = bench.run(PROGRAMS[name], "--no-memo")
            bound = name in BOUND and first >= SECOND and what.endswith("in one place")
            holds = found == answer and not (bound and cost > MOST * first)
            good &= holds
            words = f"{cost / first:6.1%} of the first run ({cost:.2f} CPU-s; without memory {full:.2f})"
            same = "" if found == answer else ", ANOTHER ANSWER"
            print(f"  {what:36} {words}{same}{'' if holds else '  MISSED'}", flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--program", choices=sorted(PROGRAMS), action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = [measure(name, options.bytes, options.seed) for name in options.program or PROGRAMS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
