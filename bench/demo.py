"""Replicate a real tree to a stand-in for another machine, change it as work does, replicate again; show what moved.

The tree is a copy of this environment's site-packages, with a database of its files and a log. The other machine is a
process of its own with its own state, reached through a pipe as ssh would be.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.compare import differences
from bench.measure import clone, tree_size
from bench.peers import PFS, RSYNC, RSYNC_Z, TCP, Peer, Stage
from bench.process import Run
from bench.tables import shown

EDITED = 25
LOGGED = 300
ROWS_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Moved:
    """What one peer moved for both copies."""

    peer: str
    first: Run
    changed: Run


def build(tree: Path) -> None:
    """Copy what is installed here, and add what a working directory has: a database and a log."""
    packages = Path(sysconfig.get_path("purelib"))
    shutil.copytree(packages, tree / "site-packages", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    with sqlite3.connect(tree / "files.db") as database:
        database.execute("CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT, size INTEGER, seen REAL, head BLOB)")
        database.executemany("INSERT INTO files (path, size, seen, head) VALUES (?, ?, ?, ?)", _rows(tree))
        database.execute("CREATE INDEX by_path ON files (path)")
    database.close()
    (tree / "work.log").write_text("".join(f"seen {path} {size}\n" for path, size, _, _ in _rows(tree)))


def _rows(tree: Path) -> Iterator[tuple[str, int, float, bytes]]:
    for path in sorted((tree / "site-packages").rglob("*")):
        if path.is_file():
            status = path.stat()
            yield str(path.relative_to(tree)), status.st_size, status.st_mtime, path.read_bytes()[:512]


def change(tree: Path) -> str:
    """Edit some sources, update some rows, append to the log; the same edits for every peer."""
    rng = Random("demo")
    sources = sorted(path for path in tree.rglob("*.py") if path.stat().st_size > 1000)
    for path in rng.sample(sources, min(EDITED, len(sources))):
        lines = path.read_bytes().splitlines(keepends=True)
        lines.insert(rng.randrange(len(lines)), b"# looked at again\n")
        path.write_bytes(b"".join(lines))
    with sqlite3.connect(tree / "files.db") as database:
        (count,) = database.execute("SELECT count(*) FROM files").fetchone()
        for key in rng.sample(range(1, count + 1), int(count * ROWS_SHARE)):
            database.execute("UPDATE files SET seen = seen + ? WHERE id = ?", (rng.random() * 1e6, key))
    database.close()
    with (tree / "work.log").open("a") as log:
        log.writelines(f"edited {rng.getrandbits(64):x}\n" for _ in range(LOGGED))
    return f"{EDITED} sources edited, 1 % of {count:,} database rows updated, {LOGGED} lines logged"


def replicate(peer: Peer, tree: Path, work: Path) -> Moved:
    stage = Stage(work / peer.name)
    stage.root.mkdir()
    clone(tree, stage.source)
    first = copied(peer, stage)
    change(stage.source)
    changed = copied(peer, stage)
    shutil.rmtree(stage.root)
    return Moved(peer.name, first, changed)


def copied(peer: Peer, stage: Stage) -> Run:
    run = peer.copy(stage)
    if run.status:
        raise SystemExit(f"{peer.name} failed with {run.status}:\n{run.stderr}")
    for wrong in differences(os.fsencode(stage.source), os.fsencode(stage.target), content_only=not peer.exact):
        raise SystemExit(f"{peer.name} left a difference: {wrong}")
    return run


def show(moved: list[Moved]) -> None:
    print(f"\n{'':10} {'first copy':^32}   {'after the change':^32}")
    print(f"{'':10} {'moved':>10} {'time':>9} {'CPU':>10}    {'moved':>10} {'time':>9} {'CPU':>10}")
    for one in moved:
        print(f"{one.peer:<10} {cells(one.first)}    {cells(one.changed)}")
    ours, plain = moved[0].changed.wire, moved[-1].changed.wire
    print(f"\nPacketFS moved {shown(ours)} after the change, {1 - ours / plain:.3%} less than a plain TCP copy.")
    if any(one.peer == RSYNC.name for one in moved):
        print("rsync is rsync -a, without compression; rsync-z is rsync -az. PacketFS compresses where that pays.")
    print("Every copy was compared with its source; CPU is that of both sides, start-up included.")


def cells(run: Run) -> str:
    return f"{shown(run.wire):>10} {run.wall:7.2f} s {run.near.cpu + run.far.cpu:8.2f} s"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="packetfs-demo-") as folder:
        work = Path(folder)
        tree = work / "tree"
        build(tree)
        files = sum(len(names) for _, _, names in os.walk(tree))
        print(f"tree: {files:,} files, {shown(tree_size(tree))}: site-packages, a database, a log", flush=True)
        clone(tree, work / "changed")
        print(f"change: {change(work / 'changed')}", flush=True)
        show([replicate(peer, tree, work) for peer in (PFS, RSYNC, RSYNC_Z, TCP) if peer.installed()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
