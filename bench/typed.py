"""What a user would type, beside PacketFS: word counts, searches, a histogram, the sum of a column.

`python -m bench.typed [--size 1000] [--engine auto]`: files of a gigabyte, in the page cache; every command writes to
a file and runs alone on one core, from its start to its end. Commands of a case take turns; the figures are medians of
CPU and wall time. `ratio` is the peer's CPU by ours: above 1 PacketFS is faster. Answers are compared. Bytecode is
compiled before, as pip does. Peers that are missing are named (`tools/setup peers` installs ripgrep).
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import packetfs
from bench import machine, report, tables
from bench.typed_data import WORDS, make

PFS: Final = str(Path(sys.executable).with_name("pfs"))
ROUNDS: Final = 5
_WC: Final = "count_byte, count_words"
_NUMPY: Final = """import numpy as np
packets = np.memmap({file!r}, dtype=[("front", "V10"), ("field", "<u2"), ("rest", "V52")], mode="r")
counts = {counts}
for value in np.argsort(counts)[-10:]: print(value, counts[value])"""
_BINCOUNT: Final = 'np.bincount(packets["field"], minlength=65536)'
_HISTOGRAM: Final = 'np.histogram(packets["field"], bins=65536, range=(0, 65536))[0]'
_DUCKDB: Final = """import duckdb
duckdb.sql("set threads = 1; set enable_progress_bar = false")
print(duckdb.sql("select sum(amount) from read_csv({file!r})").fetchall()[0][0])"""
_POLARS: Final = """import polars
print(polars.scan_csv({file!r}).select(polars.col("amount").sum()).collect().item())"""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to find out. ours: arguments of `pfs run`; peers: (command, at least so many times as fast as that,
    None: only told); helpers: what of the microVM's helpers the program uses."""

    name: str
    kind: str
    ours: tuple[str, ...]
    peers: tuple[tuple[tuple[str, ...], float | None], ...]
    helpers: str


def python(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


def grep(name: str, kind: str, text: str) -> Case:
    ours = ("grep", "--arg", f"pattern={text}", "--arg", "count=yes")
    peers = ((("grep", "-c", text, "{file}"), 1.0), (("rg", "-c", text, "{file}"), 0.5))
    return Case(name, kind, ours, peers, "count_parts")


CASES: Final = (
    Case("words", "prose", ("wc",), ((("wc", "{file}"), 1.0), (("wc", "-w", "{file}"), 1.0)), _WC),
    Case("lines", "prose", ("wc",), ((("wc", "-l", "{file}"), 0.5),), _WC),
    grep("lines with a rare word", "prose", WORDS[0].decode()),
    grep("lines with a rare word of rare letters", "prose", WORDS[1].decode()),
    grep("lines with a word that one in fifty has", "log", "ERROR"),
    Case(
        "histogram of a u16 field",
        "packets",
        ("histogram", "--records", "fixed:65536", "--arg", "stride=64", "--arg", "offset=10", "--arg", "width=2",
         "--top", "10"),
        ((python(_NUMPY.replace("{counts}", _BINCOUNT)), 1.0), (python(_NUMPY.replace("{counts}", _HISTOGRAM)), 1.0)),
        "tally",
    ),
    Case(
        "sum of a CSV column",
        "table",
        ("csv", "--arg", "column=3", "--arg", "decimals=2"),
        ((python(_DUCKDB), None), (python(_POLARS), None)),
        "find_byte, find, decimal",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took in seconds, and what it wrote."""

    cpu: float
    wall: float
    wrote: str


def run(command: Sequence[str], out: Path) -> Took:
    """Run a command with its output in a file."""
    with open(out, "wb") as file:
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {child.returncode}")
    return Took(usage.ru_utime + usage.ru_stime, wall, out.read_text())


def same(ours: str, theirs: str) -> bool:
    """Tell whether all numbers that a peer wrote are in what we wrote; sums of floats in their first ten digits."""
    found = {_rounded(number) for number in re.findall(r"-?[\d,]+(?:\.\d+)?", ours)}
    return all(_rounded(number) in found for number in re.findall(r"-?\d+(?:\.\d+)?(?!\S*/)", theirs.split(" /")[0]))


def _rounded(number: str) -> str:
    return f"{float(number.replace(',', '')):.10g}" if number.strip(",-") else ""


def measure(case: Case, file: Path, engine: str, rounds: int, folder: Path) -> list[dict[str, object]]:
    """Run our command and those of the peers that are there in turns."""
    out, ours = folder / "out", (PFS, "run", "--engine", engine, *case.ours, str(file))
    there = [(tuple(each.replace("{file}", str(file)).replace("{file!r}", repr(str(file))) for each in command), least)
             for command, least in case.peers if shutil.which(command[0])]  # fmt: skip
    taken: dict[tuple[str, ...], list[Took]] = {ours: [], **{command: [] for command, _ in there}}
    for _ in range(rounds):
        for command in taken:
            taken[command].append(run(command, out))
    told = engine_of(run((*ours[:2], "--json", *ours[2:]), out).wrote)
    rows = []
    for command, least in there:
        ratio = _median(taken[command], "cpu") / _median(taken[ours], "cpu")
        if not same(taken[ours][0].wrote, taken[command][0].wrote):
            raise RuntimeError(f"{case.name}: the answers differ:\n{taken[ours][0].wrote}\n{taken[command][0].wrote}")
        rows.append({
            "case": case.name, "kind": case.kind, "peer": shown(command, file), "engine": told,
            "helpers": case.helpers, "ratio": ratio, "least": least, "ours": _medians(taken[ours]),
            "theirs": _medians(taken[command]),
        })  # fmt: skip
    return rows


def engine_of(wrote: str) -> str:
    """Return which engine a run with --json says that it was."""
    lines = (json.loads(line) for line in wrote.splitlines() if line.startswith("{"))
    return next(str(line["engine"]) for line in lines if line.get("type") == "run")


def _median(taken: list[Took], what: str) -> float:
    return median(each.cpu if what == "cpu" else each.wall for each in taken)


def _medians(taken: list[Took]) -> dict[str, float]:
    return {what: _median(taken, what) for what in ("cpu", "wall")}


def shown(command: Sequence[str], file: Path) -> str:
    """Return a peer's command as a user types it; of Python, the call that counts."""
    text = " ".join(command).replace(str(file), "FILE")
    found = re.search(r"np\.\w+|duckdb|polars", text.partition("memmap")[2] or text)
    return found[0] if found and command[0] == sys.executable else text


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.typed", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="WORD", help="only cases whose names contain it")
    parser.add_argument("--size", type=int, default=1000, metavar="MB", help="of each file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="where the files are kept (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=report.OUT)
    options = parser.parse_args()
    compileall.compile_dir(os.path.dirname(packetfs.__file__), quiet=1)
    os.sched_setaffinity(0, {options.core})
    os.environ["POLARS_MAX_THREADS"] = "1"
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="packetfs-typed-", dir=options.folder) as temporary:
        for case in CASES:
            if options.cases and not any(word in case.name for word in options.cases):
                continue
            file = make(options.folder or Path(temporary), case.kind, options.size * 1_000_000)
            run(("cat", str(file)), Path(os.devnull))
            rows += measure(case, file, options.engine, options.rounds, Path(temporary))
    for missing in {command[0] for case in CASES for command, _ in case.peers if not shutil.which(command[0])}:
        print(f"{missing} is not installed: not measured")
    print(tables.typed({"rows": rows}))
    if not options.cases:
        report.store(options.out, "typed", {"machine": machine.describe(), "rows": rows, "checks": _checks(rows)})
    return 1 if any(row["least"] is not None and row["ratio"] < row["least"] for row in rows) else 0  # type: ignore[operator]


def _checks(rows: list[dict[str, object]]) -> list[report.Check]:
    return [
        report.Check(f"{row['case']}: as fast as {row['peer']}", f"{row['ratio']:.2f}", f">= {row['least']:g}",
                     row["ratio"] >= row["least"])  # type: ignore[operator]
        for row in rows if row["least"] is not None
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
