"""Who copies: PacketFS and its peers, each as the command that copies one tree through the relay."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.process import Run, run

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Stage:
    """The place of one copy: source and target trees, and the private state of each side, as on two machines."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def target(self) -> Path:
        return self.root / "target"

    @property
    def near_state(self) -> Path:
        return self.root / "near"

    @property
    def far_state(self) -> Path:
        return self.root / "far"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    def environment(self) -> dict[str, str]:
        """Give each side its own state directory, and let the far side find this PacketFS."""
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        state = {"XDG_DATA_HOME": str(self.near_state), "XDG_CACHE_HOME": str(self.near_state)}
        return {**os.environ, **state, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}

    def relay(self, *options: str) -> list[str]:
        own = ["--report", str(self.report), "--processes", str(self.processes)]
        far = ["--set", f"XDG_DATA_HOME={self.far_state}", "--set", f"XDG_CACHE_HOME={self.far_state}"]
        return [sys.executable, "-I", "-S", str(HERE / "relay.py"), *own, *far, *options]


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to copy. `whole` marks those that send everything each time; `exact` those that must keep all metadata
    (rsync is judged by content alone, as it leaves other times on directories that it worked in)."""

    name: str
    program: str
    command: Callable[[Stage, list[str]], list[str]]
    whole: bool = False
    exact: bool = False
    forgets: bool = False

    def installed(self) -> bool:
        return shutil.which(self.program, path=f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}") is not None

    def copy(self, stage: Stage, *options: str, sample: bool = True) -> Run:
        """Copy source to target once. Options go to the relay."""
        done = run(
            self.command(stage, stage.relay(*options)), stage.environment(), stage.report, stage.processes, sample
        )
        return with_sent(done) if self.name == "tcp" else done

    def forget(self, stage: Stage) -> None:
        """Lose the near side's history, so that the next copy starts without a known base."""
        if self.forgets:
            shutil.rmtree(stage.near_state, ignore_errors=True)


def with_sent(done: Run) -> Run:
    """Plain TCP goes past the relay, so its own count of bytes is the wire."""
    sent = int(done.stdout or 0)
    return Run(done.status, done.wall, done.near, done.far, sent, 0, 1, done.stdout, done.stderr)


def sync_command(*options: str) -> Callable[[Stage, list[str]], list[str]]:
    def command(stage: Stage, relay: list[str]) -> list[str]:
        ends = [f"{stage.source}/", f"host:{stage.target}"]
        return [str(BIN / "pfs"), "sync", "--json", *options, "-e", shlex.join(relay), *ends]

    return command


def rsync_command(*options: str) -> Callable[[Stage, list[str]], list[str]]:
    def command(stage: Stage, relay: list[str]) -> list[str]:
        ends = [f"{stage.source}/", f"host:{stage.target}"]
        return ["rsync", *options, "--delete", "-e", shlex.join(relay), *ends]

    return command


def scp_command(stage: Stage, relay: list[str]) -> list[str]:
    """Run scp without ssh's encryption: -S names the program that it starts instead, and takes no arguments. The target
    must not be there yet, or the source lands in it."""
    carrier = stage.root / "carrier"
    carrier.write_text(f'#!/bin/sh\nexec {shlex.join(relay)} "$@"\n')
    carrier.chmod(0o755)
    return ["scp", "-O", "-r", "-p", "-q", "-S", str(carrier), str(stage.source), f"host:{stage.target}"]


def tcp_command(stage: Stage, relay: list[str]) -> list[str]:
    ends = [str(stage.source), f"host:{stage.target}"]
    return [sys.executable, "-I", "-S", str(HERE / "tcp.py"), "send", "-e", shlex.join(relay), *ends]


def keeping(size: int) -> Peer:
    """Give PacketFS a budget for old content that is a fraction of the source."""
    return Peer("pfs-budget", "pfs", sync_command("--delete", "--keep", str(size)), exact=True)


PFS = Peer("pfs", "pfs", sync_command("--delete"), exact=True)
PFS_NO_HISTORY = Peer("pfs-no-history", "pfs", sync_command("--delete"), exact=True, forgets=True)
RSYNC = Peer("rsync", "rsync", rsync_command("-a"))
RSYNC_Z = Peer("rsync-z", "rsync", rsync_command("-az"))
"""rsync with its compression: beside the others where what counts is what a user would choose, as in the demo."""
SCP = Peer("scp", "scp", scp_command, whole=True)
TCP = Peer("tcp", "python3", tcp_command, whole=True)
PEERS = (PFS, PFS_NO_HISTORY, RSYNC, SCP, TCP)
