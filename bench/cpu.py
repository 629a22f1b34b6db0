"""CPU of both sides together, over ssh with one cipher for all: first copy and re-sync. `python -m bench.cpu`

The cipher is the one that ssh chooses itself, or that of --cipher: one that costs little favours who sends all bytes.
Each command starts its own ssh to a daemon of this benchmark, and what is counted is the CPU time of everything under
both: the command with its ssh, and the daemon's session with what it runs. Start-up is apart: the same command on a
tree of one small file, subtracted from each. Re-sync: 1 % of the file is changed in blocks of 4 KiB. PacketFS writes
into a plain directory, as the others do, and into a pool. Beside them stands a floor: the least that both sides can do
(`bench/touch.py`), on this machine and in the same run. Each round begins with another command: whoever comes first
gets most of the pages that the machine has not had for a while, and these cost it several times as much. What one
command left to be written is written before the next one begins.

What counts is the median over the rounds of what a command took by what its peer took in the same round: on the virtual
machine of the published figures one and the same loop took from 30 to 58 ms of CPU time, for seconds and for minutes at
a time, and what is measured one soon after the other meets the same of it. Beside it stand the least and the greatest.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from itertools import product
from pathlib import Path

from bench.content import write_random
from bench.peers import BIN
from bench.sshd import Sshd
from bench.touch import changed

OWN = ("directory", "pool")
"""What this project writes into."""
LIMITS = {("resync", "scp"): 0.25, ("resync", "rsync"): 0.50, ("first", "rsync"): 1.1}

Costs = dict[tuple[str, str], float]
"""CPU seconds of one round, by phase and command."""


class Side:
    """The trees, the states and the commands of one run."""

    def __init__(self, work: Path, size: int, ssh: list[str]) -> None:
        self.work, self.size = work, size
        self.source = work / "source"
        self.source.mkdir(parents=True)
        wrapper = work / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(ssh)} "$@"\n')
        wrapper.chmod(0o755)
        host = f"host:{work}"
        self.commands = {
            "directory": self._sync(ssh, "directory", f"{host}/to-pfs"),
            "pool": self._sync(ssh, "pool", "host:pfs:to-pfs", "--far-pool", str(work / "pool-there")),
            "rsync": ["rsync", "-a", "-e", shlex.join(ssh), f"{self.source}/", f"{host}/to-rsync"],
            "scp": ["scp", "-q", "-p", "-S", str(wrapper), str(self.source / "file"), f"{host}/to-scp"],
            "floor of a directory": self._touch("to-touch"),
            "floor of a pool": self._touch("to-blocks", "blocks"),
        }
        subprocess.run([str(BIN / "pfs"), "init", "-q", str(work / "pool-there")], check=True)

    def _sync(self, ssh: list[str], kind: str, destination: str, *options: str) -> list[str]:
        """Return a sync whose two sides remember nothing of another one."""
        near = f"XDG_DATA_HOME={self.work / f'{kind}-near'}"
        far = f"env XDG_DATA_HOME={self.work / f'{kind}-far'} {BIN / 'pfs'}"
        command = [str(BIN / "pfs"), "sync", "-q", "-e", shlex.join(ssh), "--far-command", far, *options]
        return ["env", near, *command, f"{self.source}/", destination]

    def _touch(self, copy: str, *options: str) -> list[str]:
        names = str(self.source / "file"), str(self.work / copy), str(self.size)
        return [sys.executable, "-m", "bench.touch", *names, *options]

    def fill(self) -> None:
        write_random(self.source / "file", self.size, random.Random(1))

    def change(self) -> None:
        with (self.source / "file").open("r+b") as file:
            for at, block in changed(self.size):
                file.seek(at)
                file.write(block)


def cpu_of(command: list[str], ssh: Sshd) -> float:
    """Run a command; return the CPU seconds of both sides."""
    before = children_cpu() + ssh.cpu()
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    ssh.settle()
    return children_cpu() + ssh.cpu() - before


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(side: Side, ssh: Sshd, first: int) -> Costs:
    """Measure all commands, the one of number `first` first."""
    found: Costs = {}
    order = deque(side.commands.items())
    order.rotate(-first)
    steps: list[tuple[str, Callable[[], None]]] = [("first", side.fill), ("resync", side.change)]
    for phase, prepare in steps:
        prepare()
        for peer, command in order:
            os.sync()
            found[phase, peer] = cpu_of(command, ssh)
    return found


def report(found: list[Costs], start: list[Costs]) -> bool:
    net = [{key: cost - bare[key] for key, cost in one.items()} for one, bare in zip(found, start, strict=True)]
    for key in found[0]:
        costs, bare, alone = ([one[key] for one in rounds] for rounds in (found, start, net))
        print(
            f"{key[0]:<7} {key[1]:<20} {statistics.median(costs):6.2f} CPU-s ({min(costs):.2f} to {max(costs):.2f}),",
            end=" ",
        )
        print(f"start-up {statistics.median(bare):5.2f}, the copy itself {statistics.median(alone):6.2f}")
    for phase, own in product(("first", "resync"), OWN):
        print(f"{phase} into a {own}: {_told(_shares(net, phase, own, f'floor of a {own}'))} of the floor")
    holds = True
    for (phase, peer), limit in LIMITS.items():
        for own in OWN:
            shares = _shares(net, phase, own, peer)
            is_met = statistics.median(shares) <= limit
            holds &= is_met
            verdict = "holds" if is_met else "FAILS"
            print(f"{phase} into a {own}: {_told(shares)} of {peer}'s, limit {limit}: {verdict}")
    return holds


def _shares(net: list[Costs], phase: str, own: str, peer: str) -> list[float]:
    return [one[phase, own] / one[phase, peer] for one in net]


def _told(shares: list[float]) -> str:
    return f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cpu", description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000_000, help="bytes of the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cipher", default="", help="for all of them: aes128-gcm@openssh.com costs least")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(dir=options.work))
    try:
        with Sshd(work / "sshd", options.cipher) as ssh:
            results: list[list[Costs]] = [[], []]
            for number in range(options.rounds):
                for size, into in zip((1, options.size), results, strict=True):
                    folder = work / f"{number}-{size}"
                    into.append(measure(Side(folder, size, ssh.ssh), ssh, number))
                    shutil.rmtree(folder)
    finally:
        shutil.rmtree(work)
    return not report(results[1], results[0])


if __name__ == "__main__":
    sys.exit(main())
