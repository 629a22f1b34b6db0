"""Judge the results against every bound, and write them as tables: `python -m bench.report [--write] [FOLDER]`.

FOLDER (bench/out) holds measure.json, and whatever else was measured as NAME.json with a list "checks" of
{"what", "figure", "bound", "holds"}. With --write the tables go into README.md and docs/ where
`<!-- measured: NAME -->` and `<!-- end -->` stand; only a run at full scale may be written there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import tables

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
PART = re.compile(r"(<!-- measured: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SLACK = 4096
EDITED_MAX = 40_000
UNCHANGED_MAX = 4_000
PRIVATE_MAX = 30_000_000
RSS_MAX = 64_000_000

Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One bound: what, the figure that was measured, the bound, whether it holds (None: not measured)."""

    what: str
    figure: str
    bound: str
    holds: bool | None

    def line(self) -> str:
        verdict = {True: "PASS", False: "FAIL", None: "----"}[self.holds]
        return f"{verdict}  {self.what:<58} {self.figure:>26}   {self.bound}"


def checks(results: Results) -> Iterator[Check]:
    for pair in results.get("pairs", ()):
        yield from pair_checks(pair)
    yield from fault_checks(results)
    yield from memory_checks(results)
    yield throughput_check(results)


def pair_checks(pair: Results) -> Iterator[Check]:
    floor = min((floor["bytes"] for floor in pair["floors"]), default=None)
    for copy in pair["copies"]:
        wire = copy["run"]["up"] + copy["run"]["down"]
        if copy["peer"] == "pfs" and copy["phase"] == "changed":
            bound = None if floor is None else int(1.3 * floor) + SLACK
            what = f"wire, known base: {pair['pair']}"
            yield Check(what, f"{wire:,} B", f"<= {bound or 0:,} B", None if bound is None else wire <= bound)
        if copy["peer"] == "pfs" and pair["pair"] == "small" and copy["phase"] != "first":
            most = EDITED_MAX if copy["phase"] == "changed" else UNCHANGED_MAX
            yield Check(f"wire, 100,000 files, {copy['phase']}", f"{wire:,} B", f"<= {most:,} B", wire <= most)


def fault_checks(results: Results) -> Iterator[Check]:
    """Every copy was compared with its source, whichever peer made it."""
    copies = [copy for pair in results.get("pairs", ()) for copy in pair["copies"]] + results.get("big", [])
    faults = [f"{copy['peer']} {copy['pair']} {copy['phase']}" for copy in copies if copy["fault"]]
    yield Check("copies equal to their source", f"{len(copies) - len(faults)} of {len(copies)}", "all", not faults)
    for fault in faults:
        yield Check(f"fault: {fault}", "", "", False)


def memory_checks(results: Results) -> Iterator[Check]:
    """Take the worst side of the worst run of PacketFS, once for the pairs and once for the big file."""
    of_pairs = [copy for pair in results.get("pairs", ()) for copy in pair["copies"]]
    for where, copies in (("pairs", of_pairs), ("10 GB file", results.get("big", []))):
        sides = [copy["run"][side] for copy in copies if copy["peer"].startswith("pfs") for side in ("near", "far")]
        for what, key, most in (("private", "private", PRIVATE_MAX), ("RSS", "rss", RSS_MAX)):
            worst = max((side[key] for side in sides), default=None)
            figure = "not run" if worst is None else f"{worst / 1e6:.1f} MB"
            holds = None if worst is None else worst <= most
            yield Check(f"memory, {what}, a side, {where}", figure, f"<= {most / 1e6:.0f} MB", holds)


def throughput_check(results: Results) -> Check:
    speed = results.get("throughput", {})
    if not speed.get("ratio"):
        return Check("throughput, first copy, against rsync", "not run", ">= 1.00 x", None)
    rates = ", ".join(f"{name} {speed['bytes'] / wall / 1e6:.0f}" for name, wall in speed["medians"].items())
    figure = f"{speed['ratio']:.2f} x ({rates} MB/s)"
    return Check("throughput, first copy, against rsync", figure, ">= 1.00 x", speed["ratio"] >= 1)


def other_checks(folder: Path) -> Iterator[Check]:
    for path in sorted(folder.glob("*.json")):
        held = json.loads(path.read_text())
        for found in held.get("checks", []) if isinstance(held, dict) else []:
            yield Check(f"{path.stem}: {found['what']}", str(found["figure"]), str(found["bound"]), found["holds"])


def write_tables(results: Results, judged: list[Check]) -> None:
    """Put the tables between their markers, in every document that has them."""
    parts = {**tables.all_tables(results), "checks": checks_table(judged)}
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text()
        new = PART.sub(lambda part: f"{part[1]}{parts[part['name']]}\n{part[3]}", text)
        if new != text:
            path.write_text(new)
            print(f"{path.relative_to(ROOT)}: written")


def checks_table(judged: list[Check]) -> str:
    rows = [f"| {c.what} | {c.figure} | {c.bound} | {tables.VERDICTS[c.holds]} |" for c in judged]
    return "\n".join(["| what | measured | bound | holds |", "|---|--:|--:|---|", *rows])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into the documents")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    path: Path = options.folder / "measure.json"
    if not path.exists():
        print(f"nothing was measured yet ({path} is missing): run `make bench`")
        return 0
    results: Results = json.loads(path.read_text())
    judged = [*checks(results), *other_checks(options.folder)]
    print("\n".join(check.line() for check in judged))
    if options.write and results["scale"] == 1:
        write_tables(results, judged)
    elif results["scale"] != 1:
        print(f"measured at scale {results['scale']}: the bounds are meant for scale 1, and only that is written down")
    return 1 if any(check.holds is False for check in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
