"""A sync under test: started through the relay, struck, ended, judged."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compare import STAGING, differences
from bench.peers import BIN, Stage
from bench.process import PATIENCE, read_processes
from tests.faults.trees import State, neither, read_state

DEADLINE = 120.0
"""Seconds that any sync of these tests may take: they move some MB."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a sync ended, as the user sees it."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    def explains(self, *words: str) -> None:
        """Fail unless the error is words for a user: something said, no traceback, and these words in it."""
        assert self.stderr.strip(), f"exit {self.status}, and nothing on stderr"
        assert "Traceback" not in self.stderr, self.stderr
        assert "fault in PacketFS" not in self.stderr, self.stderr
        for word in words:
            assert word.lower() in self.stderr.lower(), f"{word!r} is not in: {self.stderr}"


def start(stage: Stage, *options: str, prefix: Sequence[str] = (), ends: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start `pfs sync` of the stage: options go to the relay, the prefix before the command. `ends` are SRC and DST and
    the pool of either; without them source and target are plain directories."""
    stage.report.unlink(missing_ok=True)
    stage.processes.unlink(missing_ok=True)
    ends = ends or (f"{stage.source}/", f"host:{stage.target}")
    return subprocess.Popen(
        [*prefix, str(BIN / "pfs"), "sync", "--delete", "-e", shlex.join(stage.relay(*options)), *ends],
        env=stage.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )


def finish(process: subprocess.Popen[str]) -> Ended:
    started = time.perf_counter()
    try:
        stdout, stderr = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Ended(process.returncode, stdout, stderr, time.perf_counter() - started)


def sync(stage: Stage, *options: str, prefix: Sequence[str] = (), ends: Sequence[str] = ()) -> Ended:
    return finish(start(stage, *options, prefix=prefix, ends=ends))


def await_far_end(stage: Stage) -> int:
    """Wait until the far side has ended, and give its wait status; it must not outlive its connection."""
    deadline = time.monotonic() + PATIENCE
    while not stage.report.exists():
        assert time.monotonic() < deadline, "the far side lives on without a near side"
        time.sleep(0.002)
    return int(stage.report.read_text().split()[5])


def kill_near(process: subprocess.Popen[str]) -> bool:
    """Kill the near side; tell whether it was still at work."""
    process.send_signal(signal.SIGKILL)
    return finish(process).status == -signal.SIGKILL


def kill_far(stage: Stage, process: subprocess.Popen[str]) -> bool:
    """Kill the far side; tell whether it was still at work. The near side must then fail, and say so."""
    while not stage.processes.exists() and process.poll() is None:
        time.sleep(0.001)
    _, pid = read_processes(stage.processes)
    if stage.report.exists() or not pid:
        finish(process)
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        finish(process)
        return False
    ended = finish(process)
    hit = os.WIFSIGNALED(await_far_end(stage))
    if hit and ended.status:
        ended.explains()
    return hit


def judge_half_way(stage: Stage, old: State, new: State) -> None:
    """Every file of the target is its old or its new version."""
    if stage.target.exists():
        wrong = neither(read_state(stage.target), old, new)
        assert not wrong, "\n".join(wrong)


def judge_end(stage: Stage) -> None:
    """Run the sync again: it finishes, both trees are equal, nothing is left over."""
    finish_it(stage)
    judge_equal(stage.source, stage.target)


def finish_it(stage: Stage, ends: Sequence[str] = ()) -> None:
    ended = sync(stage, ends=ends)
    assert ended.status == 0, f"the second run ended with {ended.status}: {ended.stderr}"


def judge_equal(wanted: Path, found: Path) -> None:
    wrong = list(differences(os.fsencode(wanted), os.fsencode(found)))
    assert not wrong, "\n".join(wrong)
    assert not (found / os.fsdecode(STAGING)).exists(), "the staging directory is left over"


def forget_all(stage: Stage) -> None:
    """Lose the history of both sides."""
    for state in (stage.near_state, stage.far_state):
        shutil.rmtree(state, ignore_errors=True)


def make_stage(root: Path) -> Stage:
    stage = Stage(root)
    stage.root.mkdir(parents=True, exist_ok=True)
    return stage
