"""List a directory of the pool, now or in a snapshot."""

from __future__ import annotations

import stat

from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.declared import add_snapshot_option
from packetfs.frontends.cli.moments import iso_time, local_time
from packetfs.frontends.cli.names import path_fields, pool_name
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.reading import View, join, kind_of, root_of, size_of
from packetfs.packet.entry import Entry
from packetfs.typing import Final, Iterator

EXAMPLES: Final = (
    ("pfs ls", "the names at the pool's root"),
    ("pfs ls -l docs", "with modes, owners, sizes and times"),
    ("pfs ls -R --snapshot monday docs", "everything below docs, as it was in a snapshot"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add the paths."""
    add = arguments.add
    add("paths", metavar="PATH", nargs="*", default=["pfs:"], help="a directory or file (default: the pool's root)")
    add("-l", "--long", action="store_true", help="show modes, owners, sizes and times too")
    add("-R", "--recursive", action="store_true", help="show everything below, by path")
    add_snapshot_option(arguments)


def run(options: Options, output: Output) -> int:
    """Print one line, or one JSON object, an entry."""
    paths = [pool_name(argument) for argument in options.paths]
    with open_filesystem(options) as filesystem:
        view = View(filesystem, options.snapshot)
        for top in paths:
            for path, shown, entry in _entries(view, top, recursive=options.recursive):
                _show(path, shown, entry, output, long=options.long)
    return 0


def _entries(view: View, path: bytes, *, recursive: bool) -> Iterator[tuple[bytes, bytes, Entry]]:
    """Yield (path, name to show, entry)."""
    entry = view.entry(path)
    if not entry.is_dir:
        yield path, path, entry
    elif recursive:
        for below, child in view.walk(path, entry):
            yield below, below, child
    else:
        for child in view.children(path, entry):
            yield join(path, child.name), child.name, child


def _show(path: bytes, shown: bytes, entry: Entry, output: Output, *, long: bool) -> None:
    if output.json:
        output.record("entry", entry_fields(path, entry))
        return
    name = output.name(shown)
    if entry.is_dir:
        name = f"{output.paint(name, 'blue')}/"
    output.line(f"{_details(entry)}  {name}{_target(entry, output)}" if long else name)


def _details(entry: Entry) -> str:
    owner = f"{entry.uid}:{entry.gid}"
    return f"{stat.filemode(entry.mode)}  {owner:<11} {size_of(entry):>10}  {local_time(entry.mtime_ns)}"


def _target(entry: Entry, output: Output) -> str:
    return f" -> {output.name(entry.target)}" if entry.is_link else ""


def entry_fields(path: bytes, entry: Entry) -> dict[str, Json]:
    """Return the JSON fields of an entry."""
    return {
        **path_fields(path),
        "kind": kind_of(entry),
        "mode": entry.mode & 0o7777,
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": iso_time(entry.mtime_ns),
        "mtime_ns": entry.mtime_ns,
        "root": root_of(entry),
        **(path_fields(entry.target, "target") if entry.is_link else {}),
    }
