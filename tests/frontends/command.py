"""Run `pfs` as a user does: in a process of its own, with an environment that holds nothing of the tester's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from packetfs.engines.jobs.steering import JobInfo, list_jobs

SOURCE = Path(__file__).resolve().parents[2] / "src"
COMMAND = (sys.executable, "-m", "packetfs")
HANGS = 200
"""Seconds after which a command hangs; most take less than one, on a busy machine some ten."""


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def records(self) -> list[dict[str, object]]:
        """What was said, but for how far it was: only a busy machine takes long enough to be told that."""
        records = [json.loads(line) for line in self.out.splitlines()]
        return [record for record in records if record.get("type") != "progress"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return a bare environment; PACKETFS_PURE is passed on, since it says which twin is under test."""
    kept = {name: os.environ[name] for name in ("PATH", "PACKETFS_PURE") if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8", **more}


class Pfs:
    """`pfs` with a home directory, so that its default pool is the test's own."""

    def __init__(self, home: Path, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self.prefix = prefix
        self.pool = home / ".local/share/packetfs/pool"

    def __call__(self, *arguments: str | bytes | Path, stdin: bytes = b"", **more: str) -> Ended:
        done = subprocess.run(
            [*self.prefix, *COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            env=environment(self.home, **more),
            cwd=self.home,
            timeout=HANGS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def good(self, *arguments: str | bytes | Path, stdin: bytes = b"", **more: str) -> Ended:
        """Run what must succeed."""
        ended = self(*arguments, stdin=stdin, **more)
        assert ended.code == 0, ended.err
        return ended

    def start(self, *arguments: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(self.home),
            cwd=self.home,
        )


def await_job(home: Path, running: subprocess.Popen[bytes]) -> JobInfo:
    """Wait until the command that runs has a job in `home/run`, which sees to Ctrl-C by then."""
    while not (jobs := list_jobs(str(home / "run" / "packetfs"))):
        assert running.poll() is None
        os.sched_yield()
    return jobs[0]


def without_privilege(pfs: Pfs) -> Pfs:
    """Return `pfs` for which permissions count, also where root runs the tests."""
    if os.geteuid():
        return pfs
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and setpriv is not installed")
    return Pfs(pfs.home, ("setpriv", "--bounding-set=-dac_override,-dac_read_search"))
