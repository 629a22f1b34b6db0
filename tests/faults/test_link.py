"""The link breaks, or another program answers on it: one clear sentence, nothing torn, the next run finishes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from bench.measure import clone
from bench.peers import Stage
from tests.faults.syncs import await_far_end, judge_end, judge_half_way, make_stage, sync
from tests.faults.trees import State, advance, build_states, read_state

SHARES = (0.0, 0.001, 0.1, 0.5, 0.9, 0.999)
OTHER_VERSION = """
from packetfs.net import sync
from packetfs.net.serving import serve
from packetfs.net.wire import messages as wire
for module in (wire, serve, sync):
    if hasattr(module, "PROTOCOL"):
        module.PROTOCOL += {step}
from packetfs.frontends.cli.main import main
raise SystemExit(main(["serve", "--stdio"]))
"""
NOISE = "import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(100_000))"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_states(tmp_path_factory.mktemp("trees"), 7, scale=0.3)


@pytest.fixture
def stage(tmp_path: Path, trees: tuple[Path, Path]) -> Stage:
    """Give a stage whose target holds the old state and whose source holds the new one."""
    stage = make_stage(tmp_path / "stage")
    clone(trees[0], stage.source)
    assert sync(stage).status == 0
    advance(stage.source, trees[1])
    return stage


def states(trees: tuple[Path, Path]) -> tuple[State, State]:
    return read_state(trees[0]), read_state(trees[1])


def test_broken_link(stage: Stage, trees: tuple[Path, Path]) -> None:
    """Cut the line after a share of the bytes that the whole sync takes: in the greeting, the data, the last words."""
    old, new = states(trees)
    whole = []
    for tree in (trees[1], trees[0]):
        advance(stage.source, tree)
        assert sync(stage).status == 0
        whole.append(sum(int(word) for word in stage.report.read_text().split()[:2]))
    for number, share in enumerate(SHARES):
        advance(stage.source, trees[1 - number % 2])
        ended = sync(stage, "--cut", str(1 + int(share * whole[number % 2])))
        assert ended.status != 0, f"the link broke after {share:.1%}, and the sync ended as if all were well"
        ended.explains()
        judge_half_way(stage, old, new)
        judge_end(stage)


@pytest.mark.parametrize("step", [-1, 1])
def test_other_version(stage: Stage, trees: tuple[Path, Path], step: int) -> None:
    far = shlex.join([sys.executable, "-c", OTHER_VERSION.format(step=step)])
    ended = sync(stage, "--far", far)
    assert ended.status != 0
    ended.explains("version")
    await_far_end(stage)
    assert read_state(stage.target).keys() == read_state(trees[0]).keys(), "nothing may be touched"
    judge_end(stage)


@pytest.mark.parametrize(
    "far",
    [
        "printf 'Welcome to host.\\r\\nLast login: today\\r\\n'",
        "cat",
        pytest.param(shlex.join([sys.executable, "-c", NOISE]), id="noise"),
        "true",
        "no-such-program-anywhere",
        "sh -c 'echo this account is locked >&2; exit 1'",
    ],
)
def test_other_program(stage: Stage, trees: tuple[Path, Path], far: str) -> None:
    """A login message, an echo, noise, silence, a missing program answers: never a traceback, never a change."""
    ended = sync(stage, "--far", far)
    assert ended.status not in (0, 3)
    ended.explains()
    assert read_state(stage.target).keys() == read_state(trees[0]).keys(), "nothing may be touched"
    judge_end(stage)
