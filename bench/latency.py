"""Latency over a long line: one small change in a large file, until the far side has it. `python -m bench.latency`

The link is ssh to this machine, through a relay that adds 12.5 ms each way. `pfs sync --watch` stands; the clock runs
from the close of the file to the line that says that the far side has committed, half a round trip later. rsync and
scp start when the file is closed, as a script would start them, over ssh connections of their own. All in one run, in
turns; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from bench.peers import BIN, HERE
from bench.sshd import Sshd

DELAY = 0.0125
RTT = 2 * DELAY
SHARE = 0.25
ROOM = 0.030


class Watch:
    """A `pfs sync --watch` that stands, and the lines that it writes."""

    def __init__(self, source: Path, destination: str, shell: list[str], environment: dict[str, str]) -> None:
        far = f"env XDG_DATA_HOME={environment['FAR_DATA']} {BIN / 'pfs'}"
        command = [str(BIN / "pfs"), "sync", "--json", "--watch", "-e", shlex.join(shell)]
        command += [
            "--far-command",
            f"env {far}",
            "--far-pool",
            environment["PACKETFS_POOL"],
            f"{source}/",
            destination,
        ]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        self.await_record("connection")

    def await_record(self, kind: str) -> dict[str, object]:
        out: IO[bytes] | None = self._process.stdout
        assert out is not None
        for line in out:
            record: dict[str, object] = json.loads(line)
            if record["type"] == kind and not record.get("lost"):
                return record
        raise SystemExit("pfs ended")

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


def edit(path: Path, rng: random.Random) -> float:
    """Change a few bytes in place; return when the file was closed."""
    with path.open("r+b") as file:
        file.seek(rng.randrange(path.stat().st_size - 100))
        file.write(rng.randbytes(20))
    return time.perf_counter()


def timed(path: Path, rng: random.Random, command: list[str], environment: dict[str, str]) -> float:
    start = edit(path, rng)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(work: Path, size: int, rounds: int) -> dict[str, list[float]]:
    rng = random.Random(1)
    source, file = work / "source", work / "source" / "file"
    source.mkdir()
    file.write_bytes(rng.randbytes(size))
    data = {"XDG_DATA_HOME": str(work / "near"), "FAR_DATA": str(work / "far"), "PACKETFS_POOL": str(work / "pool")}
    environment = {**os.environ, **data}
    subprocess.run([str(BIN / "pfs"), "init", "-q", str(work / "pool")], check=True)
    times: dict[str, list[float]] = {"watch, pool": [], "watch, plain": [], "rsync": [], "scp": []}
    with Sshd(work / "sshd") as sshd:
        late = [sys.executable, "-I", "-S", str(HERE / "latelink.py"), str(DELAY), "--", *sshd.ssh]
        rsync = ["rsync", "-a", "-e", shlex.join(late), f"{source}/", f"host:{work}/rsync"]
        wrapper = work / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(late)} "$@"\n')
        wrapper.chmod(0o755)
        scp = ["scp", "-q", "-S", str(wrapper), str(file), f"host:{work}/scp"]
        for command in (rsync, scp):
            timed(file, rng, command, environment)
        for name, destination in (("watch, pool", "host:pfs:dst"), ("watch, plain", f"host:{work}/plain")):
            watch = Watch(source, destination, late, environment)
            for number in range(rounds + 1):
                start = edit(file, rng)
                watch.await_record("delivered")
                if number:  # the first change of a session reads the old content
                    times[name].append(time.perf_counter() - start)
                time.sleep(0.3)  # no writer is that quick, and the next turn is prepared meanwhile
            watch.close()
        for _ in range(rounds):
            for name, command in (("rsync", rsync), ("scp", scp)):
                times[name].append(timed(file, rng, command, environment))
    return times


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--size", type=int, default=100_000_000, help="bytes of the file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(dir=options.work))
    try:
        times = measure(work, options.size, options.rounds)
    finally:
        shutil.rmtree(work)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:<14} {medians[name] * 1000:8.1f} ms   {min(values) * 1000:8.1f} to {max(values) * 1000:8.1f}")
    commit = medians["watch, pool"] - DELAY
    limit = 1.5 * RTT + ROOM
    holds = commit <= limit
    verdict = "holds" if holds else "FAILS"
    print(f"pool: close to far commit {commit * 1000:.1f} ms, limit {limit * 1000:.1f} ms: {verdict}")
    for peer in ("rsync", "scp"):
        for name in ("watch, pool", "watch, plain"):
            share = medians[name] / medians[peer]
            holds &= share <= SHARE
            print(f"{name} takes {share:.1%} of {peer}: {'holds' if share <= SHARE else 'FAILS'}")
    return not holds


if __name__ == "__main__":
    sys.exit(main())
