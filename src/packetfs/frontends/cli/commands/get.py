"""Copy files and directories out of the pool, now or as a snapshot has them. What is read is verified.

A directory goes into DST under its own name; with a slash at its end its contents go into DST, as in `pfs sync`. A file
goes into DST where that is a directory or ends in a slash; else DST is its new name. Files that are there are replaced,
each whole or not at all; other files in a directory stay.
"""

from __future__ import annotations

import os

from packetfs.dataclass import replace
from packetfs.errors import HostMissing, Partial
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.declared import add_snapshot_option
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.names import pool_name, raw
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.reading import View
from packetfs.frontends.cli.sizes import counted, format_size
from packetfs.frontends.deriving import run_waiting
from packetfs.fs.derived import waiting
from packetfs.fs.export import export
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.transient import Transient
from packetfs.packet.digest import NO_DIGEST
from packetfs.packet.entry import Entry
from packetfs.packet.tree import Store
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs get docs/notes.txt .", "a file, into this directory"),
    ("pfs get docs restored", "a directory, as restored/docs"),
    ("pfs get --snapshot monday docs/ restored", "what was in it, into restored"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add source and destination."""
    arguments.add("source", metavar="PATH", help="a path in the pool")
    arguments.add("destination", metavar="DST", help="a file or directory of this machine")
    add_snapshot_option(arguments)


def run(options: Options, output: Output) -> int:
    """Write out what the path stands for."""
    reporter = Reporter(output)
    path = pool_name(options.source)
    with open_filesystem(options, writable=_must_run(options)) as filesystem:
        store, entry = _built(filesystem, path, options.snapshot)
        contents = not path or options.source.endswith("/")
        root, name = _target(entry, path.rpartition(b"/")[2], raw(options.destination), contents=contents)
        done = export(store, entry, root, name, reporter)
    output.detail(f"{counted(done.files, 'file')}, {format_size(done.size)}")
    if reporter.troubles:
        output.flush()
        raise Partial(count=reporter.troubles)
    return 0


def _must_run(options: Options) -> bool:
    """Tell whether derived files wait to be run; then the pool is written."""
    with open_filesystem(options) as filesystem:
        return bool(waiting(filesystem))


def _built(filesystem: FileSystem, path: bytes, snapshot: str | None) -> tuple[Store, Entry]:
    """Return what a path stands for, and the store that has it: of a directory whose program nobody built since it
    changed that is memory, so a mount may hold the pool."""
    if filesystem.pool.writable and waiting(filesystem):
        run_waiting(filesystem)
        filesystem.commit()
    entry = View(filesystem, snapshot).entry(path)
    if not entry.is_dir or entry.root != NO_DIGEST:
        return filesystem.pool, entry
    store = Transient(filesystem)
    return store, replace(entry, root=store.tree_root(path))


def _target(entry: Entry, name: bytes, destination: bytes, *, contents: bool) -> tuple[bytes, bytes]:
    """Return the directory below which everything is written, and the path in it (empty: the directory itself)."""
    exists = os.path.isdir(destination)
    if entry.is_dir and contents:
        return (os.path.realpath(destination), b"") if exists else _split(destination.rstrip(b"/"))
    if entry.is_dir and not exists:
        os.mkdir(destination)
        exists = True
    if exists:
        return os.path.realpath(destination), name
    if destination.endswith(b"/"):
        raise HostMissing(file=destination)
    return _split(destination)


def _split(destination: bytes) -> tuple[bytes, bytes]:
    above, name = os.path.split(destination)
    if not os.path.isdir(above or b"."):
        raise HostMissing(file=above)
    return os.path.realpath(above or b"."), name
