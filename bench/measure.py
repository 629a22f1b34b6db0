"""Measure what the README states: `make bench ARGS="--pairs sqlite --scale 0.1"` runs a part of it, smaller.

For each pair and peer: a first copy, the change, a second copy, and (where a peer can tell) a third with nothing to do.
Each copy is compared with its source. Then start-up, round trips, throughput, with --big the memory that a 10 GB file
takes, and with --also what has a command of its own. Everything is generated, measured and removed; results stand in
bench/out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import machine, microvms, plot, report, start, twins
from bench.compare import differences
from bench.content import write_random
from bench.floor import floors, pack
from bench.pairs import MB, PAIRS, Pair, random_pair
from bench.peers import PEERS, PFS, Peer, Stage, keeping
from bench.process import Run
from bench.speed import measure_startup, measure_throughput, measure_trips

PHASES = ("first", "changed", "unchanged")
BUDGET_SHARE = 4
"""The source is this many times the content budget in the run that is reported beside the others."""
BIG = 10_000 * MB
ALSO: dict[str, Callable[[list[str]], int]] = {"twins": twins.main, "start": start.main, "microvms": microvms.main}
"""Measured by a command of its own, into a file of its own."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One measured copy, as it stands in the results."""

    pair: str
    peer: str
    phase: str
    run: Run
    fault: str = ""
    """What went wrong: the peer failed, or left the target different from the source. Then the figures mean nothing."""


def measure_pair(pair: Pair, peers: list[Peer], work: Path, scale: float, seed: int) -> dict[str, object]:
    old, new = work / "old", work / "new"
    pair.build(old, scale, seed)
    clone(old, new)
    before = snapshot(new)
    pair.change(new, scale, seed)
    sizes = {"logical": tree_size(new), "changed": changed_size(before, snapshot(new))}
    print(f"\n{pair.name}: {pair.about} ({sizes['logical']:,} bytes)", flush=True)
    found = floors(pack(old, work / "old.tar"), pack(new, work / "new.tar"))
    for one in found:
        print(f"  {one.tool:<24} {one.bytes:>14,} B {one.cpu:8.2f} s CPU {one.rss / 1e6:8.0f} MB", flush=True)
    for left in (work / "old.tar", work / "new.tar"):
        left.unlink()
    shutil.rmtree(new)
    budget = keeping(sizes["logical"] // BUDGET_SHARE)
    copies = [copy for peer in with_budget(peers, budget) for copy in copy_pair(pair, peer, work, scale, seed)]
    return {"pair": pair.name, "about": pair.about, **sizes, "floors": found, "copies": copies}


def with_budget(peers: list[Peer], budget: Peer) -> Iterator[Peer]:
    for peer in peers:
        yield peer
        if peer is PFS:
            yield budget


def copy_pair(pair: Pair, peer: Peer, work: Path, scale: float, seed: int) -> Iterator[Copy]:
    """Copy the old state, change the source, copy again; then once more, unchanged. A fault ends it."""
    stage = Stage(work / "stage")
    stage.root.mkdir()
    clone(work / "old", stage.source)
    for phase in PHASES[:2] if peer.whole else PHASES:
        if phase == "changed":
            pair.change(stage.source, scale, seed)
            peer.forget(stage)
            if peer.whole:
                shutil.rmtree(stage.target)  # they never delete, so that a rotated log would leave its old names
        copy = copy_once(pair.name, peer, phase, stage)
        yield copy
        if copy.fault:
            break
    shutil.rmtree(stage.root)


def copy_once(pair: str, peer: Peer, phase: str, stage: Stage) -> Copy:
    os.sync()  # what earlier runs left to write back must not slow this one
    run = peer.copy(stage)
    print(describe(peer.name, phase, run), flush=True)
    fault = f"exit {run.status}: {run.stderr.strip()}" if run.status else first_difference(peer, stage)
    if fault:
        print(f"  FAULT  {fault}", flush=True)
    summary = "".join(run.stdout.splitlines()[-1:])  # what pfs says of itself; a line for each file stands before it
    return Copy(pair, peer.name, phase, replace(run, stdout=summary), fault)


def first_difference(peer: Peer, stage: Stage) -> str:
    ends = os.fsencode(stage.source), os.fsencode(stage.target)
    return next(differences(*ends, content_only=not peer.exact), "")


def describe(peer: str, phase: str, run: Run) -> str:
    memory = max(run.near.private, run.far.private) / 1e6
    rss = max(run.near.rss, run.far.rss) / 1e6
    return (
        f"  {peer:<24} {phase:<10} {run.up:>13,} up {run.down:>9,} down {run.turns:>4} turns {run.wall:7.2f} s "
        f"{run.near.cpu:6.2f} + {run.far.cpu:5.2f} s CPU {memory:5.1f} MB private {rss:5.1f} RSS"
    )


def measure_big(work: Path, scale: float, seed: int) -> list[Copy]:
    """Copy one file far larger than any buffer, change 1 % of it, and copy again: memory must not grow with it."""
    pair = random_pair(BIG, 4096)
    need = int(BIG * scale) * 5
    if shutil.disk_usage(work).free < need:
        raise SystemExit(f"--big needs {need:,} bytes free in {work}; name another place with --work")
    print(f"\n{pair.name}: {pair.about}", flush=True)
    pair.build(work / "old", scale, seed)
    return list(copy_pair(pair, PFS, work, scale, seed))


def clone(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Note size and time of every file, to tell which ones a change touched."""
    files = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    return {path: (status.st_size, status.st_mtime_ns) for path in files for status in [os.stat(path)]}


def changed_size(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> int:
    return sum(state[0] for path, state in after.items() if before.get(path) != state)


def tree_size(root: Path) -> int:
    return sum(size for size, _ in snapshot(root).values())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    names = ",".join(pair.name for pair in PAIRS)
    parser.add_argument("--pairs", default=names, help=f"which pairs, with commas (default: {names}); '' for none")
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="which peers, with commas")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all sizes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="of throughput, start-up and trips; 0 leaves them out")
    parser.add_argument("--big", action="store_true", help="also a file of 10 GB, for the memory that it takes")
    parser.add_argument("--also", default="", help=f"what else, with commas, of {', '.join(ALSO)}")
    parser.add_argument("--work", type=Path, help="a folder with room for about 20 times the largest pair")
    parser.add_argument("--out", type=Path, default=report.OUT)
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, work: Path) -> dict[str, object]:
    chosen = [pair for pair in PAIRS if pair.name in options.pairs.split(",")]
    peers = [peer for peer in PEERS if peer.name in options.peers.split(",") and peer.installed()]
    results: dict[str, object] = {"machine": machine.describe(), "scale": options.scale, "seed": options.seed}
    results["pairs"] = [measure_pair(pair, peers, fresh(work), options.scale, options.seed) for pair in chosen]
    if options.rounds:
        results["startup"] = measure_startup(peers, fresh(work), options.rounds)
        results["trips"] = measure_trips(peers, fresh(work), options.rounds, options.seed)
        results["throughput"] = measure_throughput(peers, fresh(work), options.rounds, options.scale, write_random)
    if options.big:
        results["big"] = measure_big(fresh(work), options.scale, options.seed)
    return results


def fresh(work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    if options.pairs or options.rounds or options.big:  # else what was measured before stays
        with tempfile.TemporaryDirectory(prefix="packetfs-bench-", dir=options.work) as work:
            report.store(options.out, "measure", measure(options, Path(work) / "work"))
        plot.draw(options.out)
    failed = [name for name in options.also.split(",") if name and ALSO[name](["--out", str(options.out)])]
    return report.main([str(options.out)]) or bool(failed)


if __name__ == "__main__":
    sys.exit(main())
