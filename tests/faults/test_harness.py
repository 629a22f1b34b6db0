"""The instruments themselves: the relay counts every byte, the meter tells the sides apart, the judge can say no."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench import report, tables
from bench.compare import differences
from bench.pairs import PAIRS, Pair
from bench.peers import TCP, Stage
from bench.process import Run, Usage, run
from tests.faults.trees import State, read_state

BURN = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_relay_counts_every_byte_and_turn(stage: Stage) -> None:
    """Ask, answer, ask, answer: the far side echoes lines, one at a time."""
    with subprocess.Popen(
        [*stage.relay(), "host", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=stage.environment()
    ) as relay:
        assert relay.stdin
        assert relay.stdout
        for size in (10, 100_000, 7):
            relay.stdin.write(b"x" * (size - 1) + b"\n")
            relay.stdin.flush()
            assert len(relay.stdout.readline()) == size
        relay.stdin.close()
    up, down, turns = (int(word) for word in stage.report.read_text().split()[:3])
    assert (up, down) == (100_017, 100_017)
    assert turns >= 6


def test_relay_passes_the_exit_status_on(stage: Stage) -> None:
    ended = subprocess.run([*stage.relay(), "host", "sh", "-c", "'exit 7'"], env=stage.environment(), check=False)
    assert ended.returncode == 7


def test_relay_cuts_the_line(stage: Stage) -> None:
    data = b"y" * 50_000
    command = [*stage.relay("--cut", "1000"), "host", "cat"]
    ended = subprocess.run(command, input=data, capture_output=True, env=stage.environment(), check=False)
    assert ended.returncode == 255
    assert len(ended.stdout) <= 1000


@pytest.mark.parametrize(("burnt_near", "burnt_far"), [(0.05, 1.0), (1.0, 0.05)])
def test_meter_tells_the_sides_apart(stage: Stage, burnt_near: float, burnt_far: float) -> None:
    """One side burns far more than the other, and either is told its own."""
    far = shlex.join([sys.executable, "-c", BURN.format(seconds=burnt_far)])
    near = f"import subprocess\n{BURN.format(seconds=burnt_near)}\nsubprocess.run({[*stage.relay(), 'host', far]!r})"
    done = run([sys.executable, "-c", near], stage.environment(), stage.report, stage.processes)
    assert done.status == 0
    assert done.near.cpu >= burnt_near
    assert done.far.cpu >= burnt_far
    assert min(done.near.cpu, done.far.cpu) < 1.0
    assert done.near.rss > 5_000_000
    assert done.far.rss > 5_000_000


def test_plain_copy_is_equal(stage: Stage) -> None:
    (stage.source / "folder").mkdir(parents=True)
    (stage.source / "folder" / "file").write_bytes(random.randbytes(300_000))
    (stage.source / "empty").touch()
    done = TCP.copy(stage)
    assert done.status == 0, done.stderr
    assert done.up > 300_000
    assert not list(differences(os.fsencode(stage.source), os.fsencode(stage.target), content_only=True))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_pairs_follow_from_their_seed(pair: Pair, tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pair.build(tmp_path / name, 0.001, seed)
        before = read_state(tmp_path / name)
        pair.change(tmp_path / name, 0.001, seed)
        after = read_state(tmp_path / name)
        assert content_of(before) != content_of(after), "the change changes nothing"
        states.append((content_of(before), content_of(after)))
    assert states[0] == states[1]
    assert states[0] != states[2]


def content_of(state: State) -> dict[bytes, bytes]:
    return {name: digest for name, (_, digest) in state.items()}


def results(wire: int, private: int) -> report.Results:
    side = {"cpu": 1.0, "rss": 20_000_000, "private": private}
    done = {"up": wire, "down": 0, "turns": 2, "wall": 1.0, "near": side, "far": side}
    copies = [{"pair": "p", "peer": "pfs", "phase": "changed", "run": done, "fault": ""}]
    return {"pairs": [{"pair": "p", "about": "a pair", "floors": [{"bytes": 10_000}], "copies": copies}]}


@pytest.mark.parametrize(
    ("wire", "private", "fails"),
    [(17_096, 30_000_000, 0), (17_097, 30_000_000, 1), (17_096, 30_000_001, 1), (90_000, 90_000_000, 2)],
)
def test_report_judges_by_the_bounds(wire: int, private: int, fails: int) -> None:
    judged = list(report.checks(results(wire, private)))
    assert sum(check.holds is False for check in judged) == fails
    assert all(check.line().startswith(("PASS", "FAIL", "----")) for check in judged)


def test_report_leaves_what_was_not_measured() -> None:
    text = "<!-- measured: {} -->\n{}\n<!-- end -->\n"
    held = text.format("a", "old") + text.format("b", "old")
    assert report.fill_in(held, {"b": "| new |"}) == text.format("a", "old") + text.format("b", "| new |")


@pytest.mark.parametrize(
    ("fast", "cells"), [(6.66e3, "6,700 MB/s | 9.5 MB/s | 700"), (None, "not built | 9.5 MB/s | ")]
)
def test_table_of_twins(fast: float | None, cells: str) -> None:
    loop = {"name": "cut", "about": "noise", "unit": "MB/s", "native": fast, "twin": 9.47}
    machine = {"cpu": "a CPU", "python": "3", "commit": "1", "changed": True}
    assert f"| cut | noise | {cells} |" in tables.twins({"machine": machine, "megabytes": 4, "loops": [loop]})


def test_tables_show_each_pair() -> None:
    held = results(17_000, 1)
    assert "17 KB" in tables.summary(held)
    assert "| p | changed | 17,000 | 10,000 |" in tables.wire(held)


@pytest.mark.parametrize(("size", "text"), [(None, ""), (999, "999 B"), (17_000, "17 KB"), (1_234_567, "1.23 MB")])
def test_sizes_are_short(size: int | None, text: str) -> None:
    assert tables.shown(size) == text


def test_wire_is_both_ways() -> None:
    assert Run(0, 1.0, Usage(0), Usage(0), up=3, down=4).wire == 7
