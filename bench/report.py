"""Judge the results against every bound, and write them as tables: `python -m bench.report [--write] [FOLDER]`.

FOLDER (bench/out) holds measure.json, twins.json, start.json, and whatever else was measured as NAME.json with a list
"checks" of {"what", "figure", "bound", "holds"}. With --write the tables go into README.md and docs/ where
`<!-- measured: NAME -->` and `<!-- end -->` stand; what was not measured stays, and of the copies only a whole run is
written there: every pair and all rounds, at full scale.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from bench import tables
from bench.pairs import PAIRS

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
    holds = not faults if copies else None
    yield Check("copies equal to their source", f"{len(copies) - len(faults)} of {len(copies)}", "all", holds)
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


def small_tables(folder: Path) -> dict[str, str]:
    """Make the tables of what is measured by commands of their own (bench/twins.py, bench/start.py)."""
    held = {name: load(folder, name) for name in tables.SMALL}
    return {name: tables.SMALL[name](results) for name, results in held.items() if results is not None}


def write_tables(parts: dict[str, str]) -> None:
    """Put the tables between their markers, in every document that has them."""
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text()
        new = fill_in(text, parts)
        if new != text:
            path.write_text(new)
            print(f"{path.relative_to(ROOT)}: written")


def fill_in(text: str, parts: dict[str, str]) -> str:
    """Put each part between its markers; one that was not measured stays as it is."""
    return PART.sub(lambda part: f"{part[1]}{parts[part[2]]}\n{part[3]}" if part[2] in parts else part[0], text)


def checks_table(judged: list[Check]) -> str:
    rows = [f"| {c.what} | {c.figure} | {c.bound} | {tables.VERDICTS[c.holds]} |" for c in judged]
    return "\n".join(["| what | measured | bound | holds |", "|---|--:|--:|---|", *rows])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into the documents")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    parts = small_tables(options.folder)
    results, judged = load(options.folder, "measure"), list[Check]()
    if results is None:
        print(f"no copies were measured yet ({options.folder / 'measure.json'} is missing): run `make bench`")
    else:
        judged = [*checks(results), *other_checks(options.folder)]
        print("\n".join(check.line() for check in judged))
        if is_whole(results):
            parts |= {**tables.all_tables(results), "checks": checks_table(judged)}
        else:
            print(f"scale {results['scale']}, or a part: bounds are meant for scale 1, and only a whole run is written")
    if options.write:
        write_tables(parts)
    return 1 if any(check.holds is False for check in judged) else 0


def is_whole(results: Results) -> bool:
    """Tell whether the results are those of `make bench` as it is, so that no document loses a part of its tables."""
    every = {pair.name for pair in PAIRS} == {pair["pair"] for pair in results.get("pairs", ())}
    return every and results["scale"] == 1 and {"startup", "throughput"} <= results.keys()


def store(folder: Path, name: str, results: Results) -> None:
    """Keep results where they are judged and shown from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1, default=plain) + "\n")


def plain(value: object) -> object:
    """Turn records into what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{value!r} does not belong into the results")


def load(folder: Path, name: str) -> Results | None:
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
