"""What a pool says about its names and snapshots: plain records, and lists of them that notebooks show as tables."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta

from packetfs.dataclass import dataclass
from packetfs.frontends.cli.moments import local_time
from packetfs.frontends.cli.reading import KINDS
from packetfs.frontends.cli.sizes import format_size
from packetfs.frontends.python.table import table
from packetfs.fs.snapshot import Snapshot
from packetfs.packet.digest import NO_DIGEST
from packetfs.packet.entry import Entry
from packetfs.typing import Final

SHOWN: Final = 50
"""Rows of a list that a notebook shows."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stat:
    """What a path stands for. `root` is the digest of the program: equal roots are equal contents, on any machine.

    The root and size of a directory are those of its program; both are missing after a change in it until a snapshot
    (or a sync) has built the program anew.
    """

    path: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    root: str | None
    target: str | None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_dir(self) -> bool:
        return self.type == "directory"

    @property
    def is_file(self) -> bool:
        return self.type == "file"

    @property
    def modified(self) -> datetime:
        """When the content last changed, in UTC; microseconds are the best that datetime has."""
        return moment(self.mtime_ns)


def moment(nanoseconds: int) -> datetime:
    """Return nanoseconds since 1970 as a time in UTC."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def make_stat(path: bytes, entry: Entry) -> Stat:
    """Return the record of an entry."""
    return Stat(
        os.fsdecode(path),
        KINDS.get(stat.S_IFMT(entry.mode), "unknown"),
        entry.size,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        None if entry.root == NO_DIGEST else entry.root.hex(),
        os.fsdecode(entry.target) if entry.is_link else None,
    )


class Listing(list[Stat]):
    """What is in a directory, by name."""

    def _repr_html_(self) -> str:
        rows = [
            (each.name + "/" * each.is_dir, each.type, _size(each), local_time(each.mtime_ns), (each.root or "")[:12])
            for each in self[:SHOWN]
        ]
        caption = _count(len(self), "name") + (f", the first {SHOWN}" if len(self) > SHOWN else "")
        return table(caption, ("name", "type", "size", "modified", "root"), rows)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(each: Stat) -> str:
    return "" if each.is_dir else format_size(each.size)


@dataclass(frozen=True, slots=True)
class Taken:
    """One snapshot: the directory `path` as it was at `time_ns`."""

    name: str
    path: str
    time_ns: int
    root: str

    @property
    def time(self) -> datetime:
        """When it was taken, in UTC."""
        return moment(self.time_ns)


def make_taken(snapshot: Snapshot) -> Taken:
    """Return the record of a snapshot."""
    return Taken(os.fsdecode(snapshot.name), os.fsdecode(snapshot.path), snapshot.time_ns, snapshot.root.hex())


class Snapshots(list[Taken]):
    """The snapshots of a pool, oldest first."""

    def _repr_html_(self) -> str:
        rows = [(each.name, "/" + each.path, local_time(each.time_ns), each.root[:12]) for each in self[-SHOWN:]]
        return table(_count(len(self), "snapshot"), ("name", "of", "taken", "root"), rows)
