"""What a run costs again after a change, where the pool remembers what was computed.

    python -m bench.memo [--bytes 1000000000] [--program NAME ...]

A text of random words is put into a pool and run over. Then 1 % of it changes, is put again and run over again: in one
place, overwritten and inserted, three times each, of which the median counts, and as overwritten blocks of 4 KiB all
over. Each figure is CPU of one whole process, its start included, user and system time, as a share of the first run's,
where what it answers goes to /dev/null; as machines become slower and quicker, both are taken by what the same run
takes without memory right after it; what a long answer costs who writes it to a file is said beside. Every answer is
compared with that of `--no-memo` on the same bytes. The first run verifies the extents, as no other has read them, and
a run after a change verifies those that are new. It also makes the machine code, which the others find. Putting the
change into the pool is not part of it. Ends with exit code 1 where an answer differs, or a contiguous change costs more
than 5 % of the first run, of a program of a CPU-second or more: by what it takes without memory, in machine code that
is there. The row of any other says that it has no bound. The maps of the programs: arrays of one u64 and of 65,536,
hash tables of 1,024 and of 65,536 keys with a u64 each, all of which are used.
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
TIMES: Final = 3
"""Changes in one place, of whose shares the median counts: each is run over once, as it is remembered then."""
_HASHED: Final = """
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
"""
"""The FNV-1a hash of a record, in r8: much work on few bytes."""
_LOOKED_UP: Final = """
    lddw r1, map 0
    mov r2, r10
    add r2, -4
    call 1
"""
"""The value under the key at r10-4, in r0."""
_END: Final = """
out:
    mov r0, 2
    exit
"""
HASH: Final = f"""
    {_HASHED}
    stw [r10-4], 0
    {_LOOKED_UP}
    jeq r0, 0, out
    lock add [r0+0], r8
    {_END}
"""
"""Adds up the hashes of all records: one number in the end."""
ARRAY: Final = f"""
    {_HASHED}
    and r8, 0xffff
    stxw [r10-4], r8
    {_LOOKED_UP}
    jeq r0, 0, out
    mov r1, 1
    lock add [r0+0], r1
    {_END}
"""
"""Counts records by 16 bits of their hash."""
TABLE: Final = f"""
    {_HASHED}
    and r8, 0x3ff
    stxw [r10-4], r8
    stdw [r10-16], 1
    {_LOOKED_UP}
    jne r0, 0, add
    lddw r1, map 0
    mov r2, r10
    add r2, -4
    mov r3, r10
    add r3, -16
    mov r4, 0
    call 2
    ja out
add:
    mov r1, 1
    lock add [r0+0], r1
    {_END}
"""
"""Counts records by 10 bits of their hash, those that there are."""
BIG_TABLE: Final = TABLE.replace("0x3ff", "0xffff")
OWN: Final = {
    "hash": (HASH, MapType.ARRAY, 1),
    "table": (TABLE, MapType.HASH, 1 << 10),
    "big-table": (BIG_TABLE, MapType.HASH, 1 << 16),
    "array": (ARRAY, MapType.ARRAY, 1 << 16),
}
"""Programs of this bench: code, and type and entries of the map."""
PROGRAMS: Final = {
    "hash": ("hash.pfs",),
    "wc": ("wc", "--records", "line"),
    "fnv": ("fnv",),
    "table": ("--top", "10", "table.pfs"),
    "big-table": ("--top", "10", "big-table.pfs"),
    "array": ("--top", "10", "array.pfs"),
    "histogram": ("--top", "10", "histogram", "--arg", "width=2"),
}
"""Programs that count something, one whose output is a quarter of its input, and four whose maps have many entries."""


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
        self._out = base / "out"
        self.text = base / "text"
        own = {"XDG_RUNTIME_DIR": os.fspath(live), "XDG_CACHE_HOME": os.fspath(base / "cache")}
        self._environment = {**os.environ, **own}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
        self._pfs("init", os.fspath(base / "pool"))
        for name, (code, kind, entries) in OWN.items():
            found = MapDefinition(b"counts", kind, 4, 8, entries, reducer=Reducer.SUM)
            (base / f"{name}.pfs").write_bytes(encode_program(Program(pad(assemble(code)), (found,))))

    def put(self) -> None:
        self._pfs("put", "--pool", os.fspath(self._base / "pool"), os.fspath(self.text), "pfs:")

    def cost(self, program: tuple[str, ...], *options: str) -> float:
        """Return the CPU seconds of a run whose answer nobody keeps."""
        before = _cpu(resource.RUSAGE_CHILDREN)
        self._run(Path(os.devnull), program, options)
        return _cpu(resource.RUSAGE_CHILDREN) - before

    def answer(self, program: tuple[str, ...], *options: str) -> str:
        """Return a digest of all that a run answers."""
        self._run(self._out, program, options)
        with self._out.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def writing(self) -> tuple[int, float]:
        """Return the bytes of the last answer, and the CPU seconds that only writing them to a new file takes: the
        least of three, as a virtual machine pays for pages that its host has to find first."""
        data, took = self._out.read_bytes(), []
        for _ in range(3):
            self._out.unlink()
            before = _cpu(resource.RUSAGE_SELF)
            self._out.write_bytes(data)
            took.append(_cpu(resource.RUSAGE_SELF) - before)
        return len(data), min(took)

    def _run(self, out: Path, program: tuple[str, ...], options: tuple[str, ...]) -> None:
        words = ("run", "--quiet", "--pool", os.fspath(self._base / "pool"), *options, *program, "pfs:text")
        words = tuple(os.fspath(self._base / word) if word.endswith(".pfs") else word for word in words)
        with out.open("wb") as file:
            subprocess.run([PFS, *words], env=self._environment, stdout=file, check=True)

    def _pfs(self, *words: str) -> None:
        subprocess.run([PFS, *words, "-q"], env=self._environment, check=True)


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, size: int, seed: int) -> bool:
    """Print the rows of one program; False where one does not hold."""
    random, good, program = Random(seed), True, PROGRAMS[name]
    with (
        tempfile.TemporaryDirectory(prefix="bench-memo-", dir=os.environ.get("TMPDIR")) as directory,
        tempfile.TemporaryDirectory(prefix="bench-memo-", dir=SHARED_MEMORY) as live,
    ):
        bench = Bench(Path(directory), Path(live))
        write_text(bench.text, size, random)
        bench.put()
        first, again = bench.cost(program), bench.cost(program, "--no-memo")
        words = f"{first:.2f} CPU-s, once more without memory {again:.2f}"
        print(f"{' '.join(program)} over {size:,} bytes: {words}", flush=True)
        for what, change in CHANGES:
            bound = what.endswith("in one place")
            took: list[tuple[float, float]] = []
            for _ in range(TIMES if bound else 1):
                if change is not None:
                    change(bench.text, random, 0.01)
                    bench.put()
                took.append((bench.cost(program), bench.cost(program, "--no-memo")))
            cost, full = sorted(took, key=lambda both: both[0] / both[1])[len(took) // 2]
            share = cost / full * again / first
            same = bench.answer(program) == bench.answer(program, "--no-memo")
            small = min(first, again) < SECOND
            holds = same and not (bound and not small and share > MOST)
            good &= holds
            words = f"{share:6.1%} of the first run ({cost:.2f} CPU-s; without memory {full:.2f})"
            words += "" if same else ", ANOTHER ANSWER"
            words += ", no bound: less than 1 CPU-s of its own" if bound and small else ""
            print(f"  {what:36} {words}{'' if holds else '  MISSED'}", flush=True)
        length, cost = bench.writing()
        print(f"  writing its {length:,} bytes to a file takes {cost:.2f} CPU-s more", flush=True)
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
