"""Copy files and directories into the pool. What the pool has already is not stored again.

As with cp: where DST is a directory of the pool, or ends in a slash, or several SRC are given, each SRC goes into it
under its own name; else DST becomes SRC. `-` is standard input. A directory that is there already becomes equal to SRC.
"""

from __future__ import annotations

import os
import stat
import time
from argparse import ArgumentParser, Namespace
from typing import Final

from packetfs.errors import Partial, UsageError
from packetfs.events import Progress
from packetfs.frontends.cli.hostfile import STDIN, open_source
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.names import pool_name, printable, raw
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.programs import sequential
from packetfs.frontends.cli.reading import join
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.ingest import ingest
from packetfs.fs.mirror import mirror
from packetfs.packet.entry import Entry

EXAMPLES: Final = (
    ("pfs put notes.txt docs/", "into the directory docs of the pool"),
    ("pfs put ~/photos photos", "a whole directory; run again, only what changed is stored"),
    ("pg_dump shop | pfs put - backup/shop.sql", "what a command writes"),
)
OPTIONS: Final = ("json", "pool")

_NEW_FILE: Final = stat.S_IFREG | 0o644


def declare(parser: ArgumentParser) -> None:
    """Add sources and destination."""
    add = parser.add_argument
    add("sources", metavar="SRC", nargs="+", help="a file or directory, or - for standard input")
    add("destination", metavar="DST", help="a path in the pool")
    add("--snapshot", metavar="NAME", help="then take a snapshot of the pool's root under this name")


def run(options: Namespace, output: Output) -> int:
    """Import each source, then commit all of them at once."""
    reporter = Reporter(output)
    with open_filesystem(options, writable=True) as filesystem:
        for source, place in _places(filesystem, options):
            output.detail(f"{printable(source)} -> pfs:{printable(place)}")
            if _is_stream(source):
                _put_stream(filesystem, source, place, reporter)
            else:
                mirror(filesystem, source, place, listener=reporter)
        filesystem.commit()
        if options.snapshot is not None:
            filesystem.snapshot(raw(options.snapshot))
    if reporter.troubles:
        output.flush()
        raise Partial(count=reporter.troubles)
    return 0


def _places(filesystem: FileSystem, options: Namespace) -> list[tuple[bytes, bytes]]:
    """Return (source, path in the pool) of each source, after looking that all of them are there."""
    top = pool_name(options.destination)
    entry = filesystem.entry(top)
    into = entry is not None and entry.is_dir
    if not into and len(options.sources) > 1 and entry is not None:
        raise UsageError(reason=f"{options.destination} is not a directory, and there are several sources")
    into = into or len(options.sources) > 1 or options.destination.endswith("/")
    return [(raw(source), _place(raw(source), top, into=into)) for source in options.sources]


def _place(source: bytes, top: bytes, *, into: bool) -> bytes:
    if source != STDIN:
        os.stat(source)
    if not into:
        return top
    name = b"" if source == STDIN else os.path.basename(os.path.realpath(source))
    if not name:
        raise UsageError(reason=f"{printable(source)} has no name of its own; end DST in the name that it gets")
    return join(top, name)


def _is_stream(source: bytes) -> bool:
    """Tell whether a source can only be read from front to back; `<(command)` of a shell is one too."""
    return source == STDIN or stat.S_ISFIFO(os.stat(source).st_mode)


def _put_stream(filesystem: FileSystem, source: bytes, place: bytes, reporter: Reporter) -> None:
    with open_source(source) as file:
        done = ingest(filesystem.pool, sequential(file), 0)
    filesystem.make_parents(place)
    mode = _NEW_FILE & ~_umask()
    entry = Entry(place.rpartition(b"/")[2], mode, os.getuid(), os.getgid(), time.time_ns(), done.size, done.root)
    filesystem.set(place, entry)
    reporter(Progress(1, done.size, done.size))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
