"""Kill either side at random moments: every file is its old or its new version, and the next run finishes the work."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from random import Random

import pytest

from bench.measure import clone
from bench.peers import Stage
from tests.faults.syncs import (
    await_far_end,
    forget_all,
    judge_end,
    judge_half_way,
    kill_far,
    kill_near,
    make_stage,
    start,
    sync,
)
from tests.faults.trees import State, advance, build_states, read_state

SCENARIOS = ("known base", "first copy", "no history", "known base", "known base")


class Rig:
    """One stage whose source alternates between two states; each scenario has its own measured duration."""

    def __init__(self, root: Path, seed: int) -> None:
        self.trees = build_states(root / "trees", seed)
        self.states = tuple(read_state(tree) for tree in self.trees)
        self.stage = make_stage(root / "stage")
        clone(self.trees[0], self.stage.source)
        self.now = 0
        sync(self.stage)
        self.durations = {scenario: self._time(scenario) for scenario in dict.fromkeys(SCENARIOS)}

    def _time(self, scenario: str) -> float:
        self.prepare(scenario)
        started = time.monotonic()
        ended = sync(self.stage)
        assert ended.status == 0, f"an undisturbed sync failed: {ended.stderr}"
        return time.monotonic() - started

    def prepare(self, scenario: str) -> tuple[State, State]:
        """Bring the source to its other state; give the states that a file of the target may be in."""
        before, self.now = self.now, 1 - self.now
        advance(self.stage.source, self.trees[self.now])
        if scenario != "known base":
            forget_all(self.stage)
        if scenario == "first copy":
            shutil.rmtree(self.stage.target, ignore_errors=True)
            return {}, self.states[self.now]
        return self.states[before], self.states[self.now]

    def strike(self, scenario: str, side: str, moment: float) -> bool:
        """Run one sync, kill one side of it, judge what is left; tell whether the kill hit."""
        old, new = self.prepare(scenario)
        process = start(self.stage)
        time.sleep(moment)
        hit = kill_near(process) if side == "near" else kill_far(self.stage, process)
        if self.stage.processes.exists():
            await_far_end(self.stage)
        judge_half_way(self.stage, old, new)
        judge_end(self.stage)
        return hit


def test_kills_at_random_moments(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    wanted, seed = request.config.getoption("--kills"), request.config.getoption("--fault-seed")
    rig, rng = Rig(tmp_path, seed), Random(seed)
    hits = {"near": 0, "far": 0}
    for strike in range(3 * wanted):
        side, scenario = ("near", "far")[strike % 2], SCENARIOS[strike // 2 % len(SCENARIOS)]
        moment = rng.uniform(0, rig.durations[scenario])
        try:
            hits[side] += rig.strike(scenario, side, moment)
        except AssertionError as error:
            error.add_note(f"strike {strike}: {scenario}, {side} side killed after {moment:.3f} s, seed {seed}")
            raise
        if sum(hits.values()) >= wanted:
            break
    print(f"kills in flight: {hits}; undisturbed, in seconds: {rig.durations}")
    assert sum(hits.values()) >= wanted, f"too few kills hit a sync in flight: {hits}"
    assert min(hits.values()) >= wanted // 4, f"one side was hardly hit: {hits}"


def test_harness_tells_a_torn_file(tmp_path: Path) -> None:
    """The judge itself: a file that mixes both versions, and a lost one, are found."""
    old, new = build_states(tmp_path, 3, scale=0.01)
    stage = Stage(tmp_path)
    clone(old, stage.target)
    judge_half_way(stage, read_state(old), read_state(new))
    torn = stage.target / "large" / "0.bin"
    torn.write_bytes(torn.read_bytes()[:500] + (new / "large/0.bin").read_bytes()[500:])
    (stage.target / "small" / "007").unlink()
    with pytest.raises(AssertionError, match=r"(?s)large/0.bin' is neither.*007' is lost"):
        judge_half_way(stage, read_state(old), read_state(new))


def test_harness_advances_both_ways(tmp_path: Path) -> None:
    old, new = build_states(tmp_path, 4, scale=0.01)
    clone(old, tmp_path / "source")
    for wanted in (new, old, new):
        advance(tmp_path / "source", wanted)
        assert read_state(tmp_path / "source") == read_state(wanted)
