"""Syncs for tests: real processes on both sides, histories of their own, trees that can be compared."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from packetfs.events import Changed, Event, Trouble
from packetfs.fs.filesystem import FileSystem
from packetfs.net.job import Endpoint, Job, Summary
from packetfs.net.sync import run
from packetfs.pool.pool import Pool


@dataclass
class Rig:
    """Runs syncs below `base`; what happened lies in `troubles` and `changes`."""

    base: Path
    troubles: list[Trouble] = field(default_factory=list)
    changes: list[Changed] = field(default_factory=list)

    def listen(self, event: Event) -> None:
        if isinstance(event, Trouble):
            self.troubles.append(event)
        if isinstance(event, Changed):
            self.changes.append(event)

    def make_pool(self) -> None:
        """Make the pool that `pfs:` names."""
        with Pool.create(str(self.base / "pool")) as pool, FileSystem(pool) as fs:
            fs.commit()

    def sync(self, source: str | Path, destination: str | Path, **options: object) -> Summary:
        """Sync two endpoints: a path, `pfs:PATH` in the pool `base/pool`, or either behind `far:`."""
        self.troubles, self.changes = [], []
        shell = (sys.executable, str(Path(__file__).with_name("shell.py")), str(self.base / "far"))
        job = Job(
            self.endpoint(str(source)),
            self.endpoint(str(destination)),
            history=str(self.base / "history"),
            shell=shell,
            **{"far_command": f"{sys.executable} -m packetfs", **options},  # type: ignore[arg-type]
        )
        return run(job, self.listen)

    def endpoint(self, text: str) -> Endpoint:
        far = text.startswith("far:")
        text = text.removeprefix("far:")
        inside = text.startswith("pfs:")
        path = os.fsencode(text.removeprefix("pfs:"))
        return Endpoint("far" if far else None, str(self.base / "pool") if inside else None, path)


def describe(root: Path) -> dict[str, tuple[object, ...]]:
    """Return everything of a tree that a sync must carry over."""
    found: dict[str, tuple[object, ...]] = {}
    groups: dict[tuple[int, int], str] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        name = str(path.relative_to(root))
        common = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if stat.S_ISLNK(status.st_mode):
            found[name] = (*common, path.readlink())
        elif stat.S_ISREG(status.st_mode):
            leader = groups.setdefault((status.st_dev, status.st_ino), name)
            attributes = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            found[name] = (*common, status.st_mtime_ns, path.read_bytes(), leader, attributes)
        else:
            found[name] = (*common, status.st_mtime_ns, status.st_rdev)
    return found
