"""Copy files and directories into the pool. What the pool has already is not stored again.

A directory goes into DST under its own name; with a slash at its end its contents become DST, as in `pfs sync`. A file
goes into DST where that is a directory or ends in a slash; else DST is its new name. `-` is standard input.
A directory that is there already is touched with --replace only.
"""

from __future__ import annotations

import os
import stat
import time

from packetfs.errors import AlreadyThere, NotAFile, Partial, UsageError
from packetfs.events import Progress
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.hostfile import STDIN, open_source
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.names import pool_name, printable, raw
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.programs import sequential
from packetfs.frontends.cli.reading import join
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.mirroring.mirror import mirror
from packetfs.packet.entry import Entry
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs put notes.txt docs/", "into the directory docs of the pool"),
    ("pfs put --replace ~/photos pfs:", "a directory; run again, only what changed is stored"),
    ("pg_dump shop | pfs put - backup/shop.sql", "what a command writes"),
)
OPTIONS: Final = ("json", "pool")

_DESCRIPTORS: Final = b"/proc/"
"""Where a pipe without a name lies, as /dev/fd leads to it."""
_NEW_FILE: Final = stat.S_IFREG | 0o666


def declare(arguments: Arguments) -> None:
    """Add sources and destination."""
    add = arguments.add
    add("sources", metavar="SRC", nargs="+", help="a file or directory, or - for standard input")
    add("destination", metavar="DST", help="a path in the pool")
    add("--replace", action="store_true", help="make directories that are there equal to SRC, removing what it lacks")
    add("--snapshot", metavar="NAME", help="then take a snapshot of the pool's root under this name")


def run(options: Options, output: Output) -> int:
    """Import each source, then commit all of them at once."""
    reporter = Reporter(output)
    top = pool_name(options.destination)
    with open_filesystem(options, writable=True) as filesystem:
        if options.snapshot is not None:
            filesystem.need_free(raw(options.snapshot))
        places = [(raw(source), _place(filesystem, raw(source), top, options)) for source in options.sources]
        for source, place in places:
            output.detail(f"{printable(source)} -> pfs:{printable(place)}")
            if _is_stream(source):
                _put_stream(filesystem, source, place, reporter)
            else:
                mirror(filesystem, os.path.realpath(source), place, listener=reporter)
        filesystem.tree_root()
        filesystem.commit()
        if options.snapshot is not None:
            filesystem.snapshot(raw(options.snapshot))
    if reporter.troubles:
        output.flush()
        raise Partial(count=reporter.troubles)
    return 0


def _place(filesystem: FileSystem, source: bytes, top: bytes, options: Options) -> bytes:
    """Return the path that a source gets in the pool, after looking that it is there."""
    mode = stat.S_IFREG if source == STDIN else os.stat(source).st_mode
    if stat.S_ISDIR(mode):
        contents = os.path.basename(source) in (b"", b".", b"..")
        place = top if contents else join(top, os.path.basename(source))
        if not options.replace and next(iter(_children(filesystem, place)), None) is not None:
            raise AlreadyThere(path=b"pfs:" + place)
        return place
    if not stat.S_ISREG(mode) and not _is_stream(source):
        raise NotAFile(path=source)
    existing = filesystem.entry(top)
    into = len(options.sources) > 1 or options.destination.endswith("/") or (existing is not None and existing.is_dir)
    if into and source == STDIN:
        raise UsageError(reason="standard input has no name of its own; end DST in the name that it gets")
    return join(top, os.path.basename(source)) if into else top


def _children(filesystem: FileSystem, place: bytes) -> list[Entry]:
    entry = filesystem.entry(place)
    return [] if entry is None else [entry] if not entry.is_dir else list(filesystem.children(place))


def _is_stream(source: bytes) -> bool:
    """Tell whether a source can only be read from front to back: standard input, or what `<(command)` of a shell gives.

    A pipe that has a name in a directory is none: to open it waits until somebody writes there.
    """
    if source == STDIN:
        return True
    return stat.S_ISFIFO(os.stat(source).st_mode) and os.path.realpath(source).startswith(_DESCRIPTORS)


def _put_stream(filesystem: FileSystem, source: bytes, place: bytes, reporter: Reporter) -> None:
    filesystem.make_parents(place)
    entry = Entry(place.rpartition(b"/")[2], _NEW_FILE & ~_umask(), os.getuid(), os.getgid(), time.time_ns())
    with open_source(source) as file:
        done = filesystem.put_file(place, sequential(file), entry)
    reporter(Progress(1, done.size, done.size))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
