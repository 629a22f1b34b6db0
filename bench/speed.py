"""What is measured by rounds: start-up, round trips, and throughput beside rsync through one kind of pipe."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from random import Random

from bench.pairs import MB, Pair, change_tiny, fill_tiny
from bench.peers import PFS, RSYNC, Peer, Stage
from bench.process import Run

DELAY = 0.1
"""Seconds each way of the slow link: far above the noise of a run."""
TRIP_SCALE = 0.02
"""2 MB: enough for a real delta, and next to nothing beside the delay."""


def measure_startup(peers: list[Peer], work: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Copy an empty directory: what each peer takes before it does anything."""
    found = {}
    for peer in peers:
        runs = [_copy_empty(peer, work / f"{i}") for i in range(rounds)]
        found[peer.name] = {
            "near_cpu": statistics.median(run.near.cpu for run in runs),
            "far_cpu": statistics.median(run.far.cpu for run in runs),
            "wall": statistics.median(run.wall for run in runs),
        }
        print(f"start-up  {peer.name:<24} " + "  ".join(f"{k} {v:.3f} s" for k, v in found[peer.name].items()))
    return found


def _copy_empty(peer: Peer, root: Path) -> Run:
    stage = Stage(root)
    stage.source.mkdir(parents=True)
    run = _succeed(peer, peer.copy(stage, sample=False))
    shutil.rmtree(root)
    return run


def measure_trips(peers: list[Peer], work: Path, rounds: int, seed: int) -> dict[str, float]:
    """Copy a small change over a fast and a slow link: the difference, in round trips of the slow one, is what a peer
    waits for. It includes connecting; a copy that sends without asking takes 1."""
    pair = Pair("trips", "", fill_tiny, change_tiny)
    found = {}
    for peer in peers:
        if peer.whole:
            continue
        stage = Stage(work / "trips")
        pair.build(stage.source, TRIP_SCALE, seed)
        _succeed(peer, peer.copy(stage))
        walls: dict[float, list[float]] = {0.0001: [], DELAY: []}
        for i in range(rounds):
            for number, (delay, taken) in enumerate(walls.items()):
                pair.change(stage.source, TRIP_SCALE, seed + 2 * i + number)
                peer.forget(stage)
                taken.append(_succeed(peer, peer.copy(stage, "--delay", f"{delay}")).wall)
        fast, slow = (statistics.median(taken) for taken in walls.values())
        found[peer.name] = (slow - fast) / (2 * DELAY)
        print(f"round trips  {peer.name:<21} {found[peer.name]:.2f}", flush=True)
        shutil.rmtree(stage.root)
    return found


def measure_throughput(
    peers: list[Peer], work: Path, rounds: int, scale: float, write: Callable[[Path, int, Random], None]
) -> dict[str, object]:
    """Copy 1 GB of incompressible data for the first time, PacketFS and rsync in turn: both meet the same machine."""
    size = int(1000 * MB * scale)
    write(work / "data", size, Random("throughput"))
    walls: dict[str, list[float]] = {peer.name: [] for peer in (PFS, RSYNC) if peer in peers}
    for _ in range(rounds):
        for peer in (PFS, RSYNC):
            if peer in peers:
                walls[peer.name].append(_first_copy(peer, work))
                print(f"throughput  {peer.name:<22} {size / walls[peer.name][-1] / 1e6:.0f} MB/s", flush=True)
    medians = {name: statistics.median(taken) for name, taken in walls.items()}
    ratio = medians["rsync"] / medians["pfs"] if len(medians) == 2 else 0.0
    return {"bytes": size, "walls": walls, "medians": medians, "ratio": ratio}


def _first_copy(peer: Peer, work: Path) -> float:
    stage = Stage(work / "stage")
    stage.source.mkdir(parents=True)
    os.link(work / "data", stage.source / "data")
    os.sync()  # else the write-back of one run slows the next
    run = _succeed(peer, peer.copy(stage, sample=False))
    shutil.rmtree(stage.root)
    return run.wall


def _succeed(peer: Peer, run: Run) -> Run:
    if run.status:
        raise RuntimeError(f"{peer.name} failed with {run.status}: {run.stderr}")
    return run
