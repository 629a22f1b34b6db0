"""What a store grows by with each version of a file, beside restic and borg. `python -m bench.growth`

Two files: one of random bytes, and an SQLite database. Of the first 1 % is overwritten for each version, in blocks of
4 KiB at random places; of the second 1 % of the rows, at random too. Each store takes each version as a whole, as its
users would: `pfs put`, `restic backup`, `borg create`. Two figures are the limits: the bytes that were written into the
file, and its size, by which a store of copies grows.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from bench.content import overwrite, update_rows, write_database, write_random
from bench.peers import BIN

EDIT = 4096
SHARE = 0.01
STORES = ("pfs", "restic", "borg")
LIMIT = 2.0
"""Bytes that a pool may grow by for each byte that changed in the random file."""


class Stores:
    """One store of each kind for one file."""

    def __init__(self, work: Path, file: Path) -> None:
        self._work = work
        self._environment = {**os.environ, "RESTIC_PASSWORD": "none", "BORG_BASE_DIR": str(work / "borg-home")}
        self._environment["XDG_CACHE_HOME"] = str(work / "cache")
        pool, restic, borg = (str(work / store) for store in STORES)
        self._run(str(BIN / "pfs"), "init", "-q", pool)
        self._run("restic", "init", "-q", "-r", restic)
        self._run("borg", "init", "-e", "none", borg)
        self._puts: dict[str, Callable[[int], list[str]]] = {
            "pfs": lambda _: [str(BIN / "pfs"), "--pool", pool, "put", "-q", str(file), "pfs:"],
            "restic": lambda _: ["restic", "backup", "-q", "-r", restic, str(file)],
            "borg": lambda number: ["borg", "create", f"{borg}::{number}", str(file)],
        }

    def _run(self, *command: str) -> None:
        subprocess.run(command, env=self._environment, check=True, stdout=subprocess.DEVNULL)

    def put(self, number: int) -> dict[str, int]:
        """Put one version into each store; return the bytes that each has by then."""
        for command in self._puts.values():
            self._run(*command(number))
        if number:
            self._run(str(BIN / "pfs"), "--pool", str(self._work / "pfs"), "snapshots", "-q", "--take", str(number))
        return {store: disk_bytes(self._work / store) for store in STORES}


def disk_bytes(path: Path) -> int:
    os.sync()
    return sum(entry.stat().st_blocks * 512 for entry in path.rglob("*") if entry.is_file())


def measure(work: Path, file: Path, change: Callable[[int], None], versions: int) -> dict[str, float]:
    """Return the median growth of each store for one version more."""
    stores = Stores(work, file)
    held = [stores.put(0)]
    for number in range(1, versions + 1):
        change(number)
        held.append(stores.put(number))
    grown = {store: [b[store] - a[store] for a, b in pairwise(held)] for store in STORES}
    return {store: statistics.median(sizes) for store, sizes in grown.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--size", type=int, default=200_000_000, help="bytes of each file")
    parser.add_argument("--versions", type=int, default=5)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(dir=options.work))
    count = int(options.size * SHARE) // EDIT
    try:
        for place in ("random", "sqlite"):
            (work / place).mkdir()
        noise, database = work / "random.bin", work / "data.db"
        write_random(noise, options.size, random.Random(1))
        write_database(database, options.size, random.Random(2))
        grown = {
            "random": measure(
                work / "random", noise, lambda n: overwrite(noise, EDIT, count, random.Random(n)), options.versions
            ),
            "sqlite": measure(
                work / "sqlite", database, lambda n: update_rows(database, SHARE, random.Random(n)), options.versions
            ),
        }
    finally:
        shutil.rmtree(work)
    for kind, sizes in grown.items():
        print(f"{kind}: a version more, of {options.size / 1e6:.0f} MB, takes", end=" ")
        print(", ".join(f"{store} {size / 1e6:.2f} MB" for store, size in sizes.items()))
    part = grown["random"]["pfs"] / (count * EDIT)
    print(f"of what changed in the random file: {part:.2f}, limit {LIMIT}: {'holds' if part <= LIMIT else 'FAILS'}")
    return part > LIMIT


if __name__ == "__main__":
    sys.exit(main())
