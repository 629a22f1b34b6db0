"""A pool seen from outside, by the command line alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.peers import BIN
from tests.faults.trees import State, read_state


def pfs(pool: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [str(BIN / "pfs"), words[0], "--pool", str(pool), *words[1:]]
    return subprocess.run(command, capture_output=True, check=False, timeout=200)


@dataclass(frozen=True, slots=True)
class HeldPool:
    """One pool under test. What is read out of it goes through `scratch`."""

    path: Path
    scratch: Path

    def renew(self) -> None:
        """Make it anew, with nothing in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.ask("init")

    def ask(self, *words: str) -> list[dict[str, object]]:
        """Run a command that must go well; give the records that it prints."""
        ended = pfs(self.path, words[0], "--json", *words[1:])
        assert ended.returncode == 0, f"{words} ended with {ended.returncode}: {ended.stderr.decode()}"
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def check(self) -> None:
        """Fail unless every byte of the pool is verified and every program of its names and snapshots is whole."""
        ended = pfs(self.path, "check")
        said = (ended.stdout + ended.stderr).decode(errors="backslashreplace")
        assert ended.returncode == 0, f"the pool is damaged: {said}"

    def names(self) -> set[str]:
        return {str(record["path"]) for record in self.ask("ls")}

    def root(self, name: str) -> str:
        return str(self.ask("stat", name)[0]["root"])

    def snapshots(self) -> list[str]:
        """Give the root of each snapshot, oldest first."""
        return [str(record["root"]) for record in self.ask("snapshots")]

    def read(self, name: str) -> State:
        """Give what a directory of the pool holds, written out and looked at; nothing where there is none."""
        if name not in self.names():
            return {}
        self.write_out(name)
        return read_state(self.scratch)

    def write_out(self, name: str) -> Path:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.ask("get", f"{name}/", str(self.scratch))
        return self.scratch
