"""What a command costs before it does anything: time and peak memory of its start: `python -m bench.start [--out DIR]`.

`pfs run` counts the words of a file of two lines; `pfs sync` finds a tree of five small files unchanged, and its CPU
time is that of both sides. Every side of a sync pays the start, so it stands beside the bare interpreter, and beside
importing what parses arguments (argparse, and typer where it is installed). The figures are medians; the commands take
turns, so that all of them meet the same machine.

The kernel's figure of peak memory still holds the size of the process that a command was spawned from. So each one is
spawned by a launcher: an interpreter without `site`, smaller than anything that is measured here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bench import machine, report, tables
from bench.peers import BIN

ROUNDS = 20
PFS = str(BIN / "pfs")
LAUNCHER = """
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
begun = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(status, time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)
"""

Figures = dict[str, float]


def commands(home: Path) -> dict[str, list[str]]:
    """Give each command as it is shown, and as it is run. They work on what `prepare` made in `home`."""
    programs = ["pass", "import argparse", *(["import typer"] if find_spec("typer") else [])]
    python = {f"python3 -c '{program}'": [sys.executable, "-c", program] for program in programs}
    return {
        **python,
        "pfs --version": [PFS, "--version"],
        "pfs ls": [PFS, "ls"],
        "pfs run wc FILE": [PFS, "run", "wc", str(home / "tree" / "0.txt")],
        "pfs sync TREE COPY": [PFS, "sync", "--quiet", str(home / "tree"), str(home / "copy")],
    }


def prepare(home: Path) -> None:
    """Make the small tree that is run over and synced."""
    (home / "tree").mkdir()
    for number in range(5):
        (home / "tree" / f"{number}.txt").write_text(f"file number {number}\nof five\n")


def launch(command: list[str], environment: dict[str, str]) -> Figures:
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    ended = subprocess.run(launcher, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    status, wall, cpu, rss = (float(word) for word in ended.stdout.split())
    if status:
        raise RuntimeError(f"{command} ended with wait status {status:.0f}")
    return {"wall": wall, "cpu": cpu, "rss": rss}


def measure(home: Path) -> list[dict[str, object]]:
    """Run every command once to fill the caches, then in turns; `pfs ls` reads a pool with nothing in it."""
    environment = {**os.environ, "XDG_DATA_HOME": str(home), "LC_ALL": "C.UTF-8"}
    prepare(home)
    for name in ("PACKETFS_POOL", "PYTHONDONTWRITEBYTECODE"):  # an installed program has its bytecode
        environment.pop(name, None)
    subprocess.run([PFS, "init"], env=environment, check=True, capture_output=True)
    runs: dict[str, list[Figures]] = {shown: [] for shown in commands(home)}
    for turn in range(ROUNDS + 1):
        for shown, command in commands(home).items():
            figures = launch(command, environment)
            if turn:
                runs[shown].append(figures)
    return [{"command": shown, **medians(taken)} for shown, taken in runs.items()]


def medians(runs: list[Figures]) -> Figures:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=report.OUT)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="packetfs-start-") as home:
        results = {"machine": machine.describe(), "rounds": ROUNDS, "commands": measure(Path(home))}
    print(tables.start(results))
    report.store(options.out, "start", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
