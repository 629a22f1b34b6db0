"""What a sync costs where nothing is remembered: `python -m bench.reconcile [--pairs tiny,sqlite] [--scale 0.1]`.

Each pair is built at both ends, changed at the source, and synced with new histories on both sides; rsync with and
without compression runs on the same trees. `--edits 10,100,1000` edits so many of 100,000 small files (the pair `small`
has 100 of them edited); `--files` says of how many. Bytes are all that passed, both ways.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from bench import content, machine, report, tables
from bench.measure import Copy, clone, copy_once, fresh
from bench.pairs import MB, PAIRS, Pair, fill_small, random_pair
from bench.peers import PFS, RSYNC, RSYNC_Z, Peer, Stage

BOUNDS: Final = {
    "random-100MB-4KiB": 1_300_000,
    "random-100MB-256B": 2_900_000,
    "random-100MB-64B": 5_800_000,
    "aligned-100MB-4KiB": 1_300_000,
    "aligned-100MB-256B": 2_900_000,
    "aligned-100MB-64B": 5_800_000,
    "tiny": 190_000,
    "small": 120_000,
    "renamed": 24_000,
}
"""Bytes both ways that a pair may cost."""
SQLITE_SHARE: Final = 0.25
"""The part of what `rsync -z` sends that the database may cost."""


def aligned_pair(edit: int) -> Pair:
    """Make the pair of random bytes whose edits lie on multiples of their size, as pages and records do."""
    pair = random_pair(100 * MB, edit)

    def change(root: Path, _scale: float, rng: Random) -> None:
        size = (root / "data").stat().st_size
        with (root / "data").open("r+b") as file:
            for _ in range(max(1, int(size / 100 / edit))):
                file.seek(rng.randrange(size // edit) * edit)
                file.write(rng.randbytes(edit))

    return replace(pair, name=pair.name.replace("random", "aligned"), about=pair.about + ", aligned", edit=change)


def fill_files(count: int, root: Path, scale: float, rng: Random) -> None:
    if count == SMALL:
        fill_small(root, scale, rng)
        return
    for folder in range(1000):
        (root / f"{folder:03}").mkdir()
        for number in range(int(count * scale) // 1000):
            (root / f"{folder:03}" / f"{number:05}").write_bytes(rng.randbytes(60))


def edit_files(edits: int, root: Path, _scale: float, rng: Random) -> None:
    files = sorted(path for path in root.glob("*/*") if path.stat().st_size > 16)
    for path in rng.sample(files, min(edits, len(files))):
        content.overwrite(path, rng.randint(1, 16), 1, rng)


SMALL: Final = 100_000


def fill_below(root: Path, scale: float, rng: Random) -> None:
    for folder in range(1000):
        (root / "top" / f"{folder:03}").mkdir(parents=True)
        for number in range(int(20 * scale)):
            (root / "top" / f"{folder:03}" / f"{number:05}").write_bytes(rng.randbytes(60))


def rename_top(root: Path, _scale: float, _rng: Random) -> None:
    (root / "top").rename(root / "renamed")


RENAMED: Final = Pair(
    "renamed", "20,000 files in 1,000 directories, the one around them renamed", fill_below, rename_top
)


def files_pair(count: int, edits: int) -> Pair:
    name, about = f"files-{count}-{edits}", f"{count:,} files, {edits:,} edited"
    return Pair(name, about, partial(fill_files, count), partial(edit_files, edits))


@dataclass(frozen=True, slots=True)
class Row:
    """What one pair cost, and the bound that it is judged by."""

    pair: str
    about: str
    copies: list[Copy]
    bound: int | None

    @property
    def holds(self) -> bool | None:
        ours = wire(self.copies[0])
        return None if self.bound is None else ours <= self.bound


def wire(copy: Copy) -> int:
    return copy.run.up + copy.run.down


def measure(pair: Pair, peers: list[Peer], work: Path, scale: float, seed: int) -> Row:
    print(f"\n{pair.name}: {pair.about}", flush=True)
    pair.build(work / "old", scale, seed)
    clone(work / "old", work / "new")
    pair.change(work / "new", scale, seed)
    copies = list(copy_all(pair, peers, work))
    bound = BOUNDS.get(pair.name) if scale == 1 else None
    packed = [wire(copy) for copy in copies if copy.peer == RSYNC_Z.name]
    if pair.name == "sqlite" and packed:
        bound = int(SQLITE_SHARE * packed[0])
    return Row(pair.name, pair.about, copies, bound)


def copy_all(pair: Pair, peers: list[Peer], work: Path) -> Iterator[Copy]:
    for peer in peers:
        stage = Stage(work / "stage")
        stage.root.mkdir()
        (work / "new").rename(stage.source)
        clone(work / "old", stage.target)
        yield copy_once(pair.name, peer, "no history", stage)
        stage.source.rename(work / "new")
        shutil.rmtree(stage.root)


def checks(rows: list[Row]) -> list[report.Check]:
    """Return what `bench.report` shows beside the other bounds."""
    bounds = [(row, row.bound) for row in rows if row.bound is not None]
    return [
        report.Check(f"wire, no history: {row.pair}", f"{wire(row.copies[0]):,} B", f"<= {bound:,} B", row.holds)
        for row, bound in bounds
    ]


def chosen(options: argparse.Namespace) -> list[Pair]:
    aligned = [aligned_pair(edit) for edit in (4096, 256, 64)]
    known = [*(pair for pair in PAIRS if "1GB" not in pair.name), *aligned, RENAMED]
    pairs = [pair for pair in known if pair.name in options.pairs.split(",")]
    return pairs + [files_pair(options.files, int(edits)) for edits in options.edits.split(",") if edits]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.reconcile", description=__doc__)
    parser.add_argument("--pairs", default=",".join([*BOUNDS, "sqlite", "log"]), help="which pairs; '' for none")
    parser.add_argument("--edits", default="", help="how many of the small files to edit, with commas")
    parser.add_argument("--files", type=int, default=SMALL, help="how many small files")
    parser.add_argument("--peers", default=f"{RSYNC.name},{RSYNC_Z.name}", help="who else; '' for none")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="a folder with room for 5 times the largest pair")
    parser.add_argument("--out", type=Path, default=report.OUT)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    peers = [PFS, *(peer for peer in (RSYNC, RSYNC_Z) if peer.name in options.peers.split(",") and peer.installed())]
    with tempfile.TemporaryDirectory(prefix="packetfs-bench-", dir=options.work) as work:
        rows = [
            measure(pair, peers, fresh(Path(work) / "work"), options.scale, options.seed) for pair in chosen(options)
        ]
    results = {"machine": machine.describe(), "scale": options.scale, "seed": options.seed, "rows": rows}
    report.store(options.out, "reconcile", {**results, "checks": checks(rows)})
    print("\n" + tables.reconcile(report.load(options.out, "reconcile") or {}))
    return any(row.holds is False or copy.fault for row in rows for copy in row.copies)


if __name__ == "__main__":
    sys.exit(main())
