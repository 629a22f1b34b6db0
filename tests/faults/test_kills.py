"""Kill either side at random moments: every file is its old or its new version, and the next run finishes the work."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from bench.measure import clone
from bench.peers import Stage
from tests.faults.rigs import SCENARIOS, TREE, IntoPool, OutOfPool, Plain, Rig
from tests.faults.syncs import judge_half_way
from tests.faults.trees import advance, build_states, read_state

SHARES: dict[type[Rig], int] = {Plain: 2, IntoPool: 4, OutOfPool: 4}
"""Each kind gets one in so many of all kills."""


@pytest.mark.parametrize("kind", SHARES, ids=lambda kind: kind.__name__)
def test_kills_at_random_moments(kind: type[Rig], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    wanted, seed = request.config.getoption("--kills") // SHARES[kind], request.config.getoption("--fault-seed")
    rig, rng = kind(tmp_path, seed), Random(f"{seed} {kind.__name__}")
    misses = 0
    for strike in range(wanted):
        side, scenario = ("near", "far")[strike % 2], SCENARIOS[strike % len(SCENARIOS)]
        moment = rng.uniform(0, rig.durations[scenario])
        try:
            while not rig.strike(scenario, side, moment):  # this sync was over sooner than the one that was timed
                misses, moment = misses + 1, moment / 2
        except AssertionError as error:
            error.add_note(f"strike {strike}: {scenario}, {side} side killed after {moment:.3f} s, seed {seed}")
            raise
    rig.judge_all()
    print(f"{wanted} kills in flight, {misses} too late; undisturbed, in seconds: {rig.durations}")


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


def test_harness_tells_a_mixed_pool(tmp_path: Path) -> None:
    """The judge of pools: a name of the old version among the new ones, and a flipped byte, are found."""
    rig = IntoPool(tmp_path, 5, scale=0.01)
    old, new = rig.states
    rig.judge_half_way(old, new)
    rig.pool.ask("put", str(rig.trees[1 - rig.now] / "small/000"), f"{TREE}/small/000")
    with pytest.raises(AssertionError, match="neither its old nor its new"):
        rig.judge_half_way(old, new)
    segment = rig.pool.path / "arena" / "00000000"
    data = bytearray(segment.read_bytes())
    data[data.index((rig.trees[0] / "large/5.bin").read_bytes()[:64])] ^= 1
    segment.write_bytes(data)
    with pytest.raises(AssertionError, match="damaged"):
        rig.judge_half_way(old, new)
