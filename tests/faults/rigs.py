"""What is struck: a sync between two directories, into a pool, out of a pool, each in its scenarios.

Every rig's source alternates between two states of one tree. A pool knows no half-way: its names change in one
transaction, so what it holds after a kill is one of the two trees and nothing between.
"""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.measure import clone
from tests.faults.pools import HeldPool
from tests.faults.syncs import (
    await_far_end,
    finish_it,
    forget_all,
    judge_equal,
    judge_half_way,
    kill_far,
    kill_near,
    make_stage,
    start,
    sync,
)
from tests.faults.trees import State, advance, build_states, read_state

SCENARIOS = ("known base", "first copy", "no history", "known base", "known base")
TREE = "tree"


class Rig(ABC):
    """One stage; each scenario has its own measured duration."""

    def __init__(self, root: Path, seed: int, scale: float = 1.0) -> None:
        self.trees = build_states(root / "trees", seed, scale)
        self.states = tuple(read_state(tree) for tree in self.trees)
        self.stage = make_stage(root / "stage")
        self.pool = HeldPool(self.stage.root / "pool", self.stage.root / "scratch")
        self.now = 0
        self.furnish()
        finish_it(self.stage, self.ends)
        self.durations = {scenario: self._time(scenario) for scenario in dict.fromkeys(SCENARIOS)}

    @property
    @abstractmethod
    def ends(self) -> Sequence[str]:
        """The words that name SRC and DST as they are now."""

    @abstractmethod
    def furnish(self) -> None:
        """Make the source in its first state."""

    @abstractmethod
    def turn_source(self) -> None:
        """Bring the source into the state `now`."""

    @abstractmethod
    def empty_target(self) -> None:
        """Take away all that earlier syncs brought."""

    @abstractmethod
    def judge_half_way(self, old: State, new: State) -> None:
        """Look at what a kill has left."""

    @abstractmethod
    def judge_end(self) -> None:
        """Look at what the run after the kill has made."""

    def judge_all(self) -> None:  # noqa: B027 (plain directories have nothing more)
        """Look at what all strikes together have left."""

    def _time(self, scenario: str) -> float:
        self.prepare(scenario)
        started = time.monotonic()
        ended = sync(self.stage, ends=self.ends)
        assert ended.status == 0, f"an undisturbed sync failed: {ended.stderr}"
        return time.monotonic() - started

    def prepare(self, scenario: str) -> tuple[State, State]:
        """Bring the source to its other state; give the states that the target may be in."""
        before, self.now = self.now, 1 - self.now
        self.turn_source()
        if scenario != "known base":
            forget_all(self.stage)
        if scenario == "first copy":
            self.empty_target()
            return {}, self.states[self.now]
        return self.states[before], self.states[self.now]

    def strike(self, scenario: str, side: str, moment: float) -> bool:
        """Run one sync, kill one side of it, judge what is left; tell whether the kill hit."""
        old, new = self.prepare(scenario)
        process = start(self.stage, ends=self.ends)
        time.sleep(moment)
        hit = kill_near(process) if side == "near" else kill_far(self.stage, process)
        if self.stage.processes.exists():
            await_far_end(self.stage)
        self.judge_half_way(old, new)
        finish_it(self.stage, self.ends)
        self.judge_end()
        return hit


class Plain(Rig):
    """From a directory to a directory."""

    @property
    def ends(self) -> Sequence[str]:
        return (f"{self.stage.source}/", f"host:{self.stage.target}")

    def furnish(self) -> None:
        clone(self.trees[0], self.stage.source)

    def turn_source(self) -> None:
        advance(self.stage.source, self.trees[self.now])

    def empty_target(self) -> None:
        shutil.rmtree(self.stage.target, ignore_errors=True)

    def judge_half_way(self, old: State, new: State) -> None:
        judge_half_way(self.stage, old, new)

    def judge_end(self) -> None:
        judge_equal(self.stage.source, self.stage.target)


class IntoPool(Plain):
    """From a directory into a pool, which the far side writes."""

    @property
    def ends(self) -> Sequence[str]:
        return ("--far-pool", str(self.pool.path), f"{self.stage.source}/", f"host:pfs:{TREE}")

    def furnish(self) -> None:
        super().furnish()
        self.pool.renew()

    def empty_target(self) -> None:
        self.pool.renew()

    def judge_half_way(self, old: State, new: State) -> None:
        self.pool.check()
        held = self.pool.read(TREE)
        assert held in (old, new), f"{TREE} is neither its old nor its new version"
        self._judge_snapshots(held)

    def judge_end(self) -> None:
        self.pool.check()
        judge_equal(self.stage.source, self.pool.write_out(TREE))
        self._judge_snapshots(self.states[self.now])

    def _judge_snapshots(self, held: State) -> None:
        """Every sync took one, in the transaction that changed the names: the last has what the names have."""
        roots = self.pool.snapshots()
        assert bool(roots) == bool(held)
        assert not roots or roots[-1] == self.pool.root(TREE), "names and last snapshot differ"
        assert len(set(roots)) <= len(self.states), "a snapshot is neither of the two trees"

    def judge_all(self) -> None:
        """What the killed syncs left without a name can be collected, and nothing else goes with it."""
        self.pool.ask("gc")
        self.judge_end()


class OutOfPool(Rig):
    """From a pool, which the near side holds, to a directory. The pool has both states, each under its own name."""

    names: ClassVar = ("one", "other")

    @property
    def ends(self) -> Sequence[str]:
        return ("--pool", str(self.pool.path), f"pfs:{self.names[self.now]}/", f"host:{self.stage.target}")

    def furnish(self) -> None:
        self.pool.renew()
        for name, tree in zip(self.names, self.trees, strict=True):
            ended = sync(self.stage, ends=("--far-pool", str(self.pool.path), f"{tree}/", f"host:pfs:{name}"))
            assert ended.status == 0, ended.stderr
        forget_all(self.stage)
        self.roots = [self.pool.root(name) for name in self.names]

    def turn_source(self) -> None:
        """Both states are there; `ends` names the one."""

    def empty_target(self) -> None:
        shutil.rmtree(self.stage.target, ignore_errors=True)

    def judge_half_way(self, old: State, new: State) -> None:
        judge_half_way(self.stage, old, new)
        self._judge_pool()

    def judge_end(self) -> None:
        judge_equal(self.trees[self.now], self.stage.target)
        self._judge_pool()

    def _judge_pool(self) -> None:
        """What is only read stays as it is, whenever its reader dies."""
        self.pool.check()
        assert self.pool.names() == set(self.names)
        assert [self.pool.root(name) for name in self.names] == self.roots
        assert self.pool.snapshots() == self.roots

    def judge_all(self) -> None:
        self.pool.ask("gc")
        for name, state in zip(self.names, self.states, strict=True):
            assert self.pool.read(name) == state
