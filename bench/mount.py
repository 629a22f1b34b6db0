"""The mount beside a responder that does nothing but answer, and beside the mounts of borg and mfusepy, in one run.

    python -m bench.mount [--megabytes N] [--files N] [--rounds N] [--home FOLDER]

What is compared is asked in turns. It prints one JSON object a figure: the median of all rounds, and where there is one
what must hold. Needs root. `tools/setup peers` installs the peers; one that is absent is named and left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from bench.mount_places import (
    PFS,
    borg,
    compute_in_python,
    compute_natively,
    gone,
    mfusepy,
    nothing,
    packetfs,
    slow,
)
from bench.mount_rates import (
    create_rate,
    disk_use,
    drop_caches,
    noise,
    patience,
    read_rate,
    seconds_of,
    server_memory,
    source_tree,
    stat_rate,
    warm_memory,
    write_rate,
)

SLOW_SECONDS = 10.0
STAT_PARTS = 4
"""Stats are compared in shorter turns: what else the machine does changes by the second."""


class Bench:
    """One run: where its folders are, how much of everything, and what it has told."""

    def __init__(self, home: Path, size: int, files: int, rounds: int) -> None:
        self.home = home
        self.pool = home / "pool"
        self.at = home / "mnt"
        self.size = size
        self.files = files
        self.rounds = rounds

    def tell(self, what: str, value: float, unit: str, least: float | None = None, most: float | None = None) -> None:
        """Print a figure, and whether it is what it must be."""
        told: dict[str, object] = {"what": what, "value": round(value, 3), "unit": unit}
        if least is not None or most is not None:
            told["must"] = f">= {least}" if least is not None else f"<= {most}"
            told["holds"] = (least is None or value >= least) and (most is None or value <= most)
        print(json.dumps(told), flush=True)

    def in_turns(self, asked: Mapping[str, Callable[[], float]], unit: str, more: int = 1) -> dict[str, list[float]]:
        """Ask each in every round, and tell the medians."""
        found: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(more * self.rounds):
            for name, ask in asked.items():
                found[name].append(ask())
        for name, values in found.items():
            self.tell(name, median(values), unit)
        return found

    def run(self) -> None:
        warm_memory(4 * self.size)
        subprocess.run([*PFS, "init", self.pool], check=True, timeout=60, stderr=subprocess.DEVNULL)
        with packetfs(self.at, self.pool):
            self.write()
            self.create()
        with packetfs(self.at, self.pool):
            self.read()
            self.look()
            self.wait()
            self.unpack()
            self.tell("memory of the server", server_memory(self.at) / 1e6, "MB", most=100)
        for name, compute in (("C", compute_natively), ("Python", compute_in_python)):
            self.wait_for(name, partial(compute, SLOW_SECONDS))

    def write(self) -> None:
        unique, again, grown = [], [], 0
        for number in range(self.rounds):
            with noise(self.size) as content:
                unique.append(write_rate(self.at / "large", content))
                before = disk_use(self.pool / "arena")
                again.append(write_rate(self.at / f"again-{number}", content))
                grown += disk_use(self.pool / "arena") - before
        self.tell("write, unique", median(unique), "MB/s", least=300)
        self.tell("write, duplicate", median(again), "MB/s")
        self.tell("write, duplicate to unique", median(map(_ratio, again, unique)), "x", least=2)
        self.tell("pool grown by duplicates", grown / (self.rounds * self.size) * 100, "% of their size", most=1)

    def create(self) -> None:
        (self.at / "d").mkdir()
        self.tell("create, durable", create_rate(self.at / "d", self.files), "1/s", least=2000)

    def read(self) -> None:
        drop_caches(1)
        self.tell("read, from the disk, checked for the first time", read_rate(self.at / "large"), "MB/s")
        with (
            nothing(self.home / "nothing", self.size) as idle,
            borg(self.home / "borg-mount", self.home, self.at / "large") as archived,
            mfusepy(self.home / "mfusepy", self.size) as other,
        ):
            peers = {"borg": archived, "mfusepy": other}
            for name in [name for name, file in peers.items() if file is None]:
                print(json.dumps({"what": f"read, {name}", "absent": "tools/setup peers installs it"}), flush=True)
            asked = {"read": self.at / "large", "read, nothing": idle / "large"}
            asked |= {f"read, {name}": file for name, file in peers.items() if file is not None}
            found = self.in_turns({name: partial(read_rate, file) for name, file in asked.items()}, "MB/s")
            for name in [name for name in found if name != "read"]:
                least = 0.7 if name == "read, nothing" else 1
                self.tell(f"read to {name}", median(map(_ratio, found["read"], found[name])), "x", least=least)

    def look(self) -> None:
        with nothing(self.home / "nothing", self.size) as idle:
            rate = partial(stat_rate, count=self.files // STAT_PARTS, cached=False)
            asked = {"stat, uncached": partial(rate, self.at / "d"), "stat, nothing": partial(rate, idle / "d")}
            found = self.in_turns(asked, "1/s", STAT_PARTS)
            ratio = median(map(_ratio, found["stat, uncached"], found["stat, nothing"]))
            self.tell("stat, uncached to nothing", ratio, "x", least=0.6)
        cached = partial(stat_rate, self.at / "d", self.files, cached=True)
        self.tell("stat, cached", median(cached() for _ in range(self.rounds)), "1/s", least=200_000)

    def wait(self) -> None:
        """Tell how long a stat takes while nothing, much reading or much writing is done."""
        large, copy = self.at / "large", self.at / "copy"
        for name, command in {
            "nothing is done": "sleep 5",
            "reading": f"cat {large} {large}",
            "writing": f"dd if={large} of={copy} bs=1M conv=fsync",
        }.items():
            self.tell(f"stat p99 while {name}", patience(self.at / "d", command, self.files), "ms")

    def wait_for(self, name: str, compute: Callable[[], None]) -> None:
        """Tell how long a stat takes while somebody reads a file that computes for ten seconds."""
        with slow(self.at, self.pool, b"again-0", compute):
            command = f"head -c 4096 {self.at}/again-0"
            times = patience(self.at / "d", command, self.files)
            self.tell(f"stat p99 while a file computes in {name}", times, "ms", most=5)

    def unpack(self) -> None:
        archive = source_tree(self.home)
        (self.home / "beside").mkdir()
        status = ("git", "-c", "safe.directory=*", "status", "--porcelain")
        for name, place in {"disk": self.home / "beside", "mount": self.at}.items():
            self.tell(f"tar x, {name}", seconds_of("tar", "-xf", archive, cwd=place), "s")
            seconds_of(*status, cwd=place / "tree")
            self.tell(f"git status, {name}", seconds_of(*status, cwd=place / "tree"), "s")


def _ratio(one: float, other: float) -> float:
    return one / other


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.mount", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where the pool lies (default: the temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.home) as home:
        try:
            Bench(Path(home), options.megabytes * 1_000_000, options.files, options.rounds).run()
        finally:
            for name in ("mnt", "nothing", "borg-mount", "mfusepy"):
                gone(Path(home) / name)


if __name__ == "__main__":
    main()
