"""List the snapshots, oldest first; take or drop one. A snapshot keeps a directory as it is, and never changes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from packetfs.errors import UsageError
from packetfs.frontends.cli.moments import iso_time, local_time
from packetfs.frontends.cli.names import path_fields, pool_name, raw
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.deriving import run_waiting
from packetfs.fs.snapshot import Snapshot
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs snapshots", "list them"),
    ("pfs snapshots --take monday docs", "keep docs as it is now"),
    ("pfs snapshots --drop monday && pfs gc", "let go of it, and give the space back"),
)
OPTIONS: Final = ("json", "pool")


def declare(parser: ArgumentParser) -> None:
    """Add taking and dropping."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--take", metavar="NAME", help="take a snapshot of PATH under this name")
    what.add_argument("--drop", metavar="NAME", help="forget the snapshot of this name, unless it is mounted")
    parser.add_argument("path", metavar="PATH", nargs="?", help="the directory to take (default: the pool's root)")


def run(options: Namespace, output: Output) -> int:
    """List, take or drop."""
    if options.path is not None and options.take is None:
        raise UsageError(reason="a PATH goes with --take only")
    with open_filesystem(options, writable=bool(options.take or options.drop)) as filesystem:
        if options.take is not None:
            path = b"" if options.path is None else pool_name(options.path)
            run_waiting(filesystem)
            _show(filesystem.snapshot(raw(options.take), path), output)
        elif options.drop is not None:
            filesystem.drop_snapshot(raw(options.drop))
        else:
            for snapshot in filesystem.snapshots():
                _show(snapshot, output)
    return 0


def _show(snapshot: Snapshot, output: Output) -> None:
    if output.json:
        names = {**path_fields(snapshot.name, "name"), **path_fields(snapshot.path)}
        moment = iso_time(snapshot.time_ns)
        root = snapshot.root.hex()
        output.record("snapshot", {**names, "time": moment, "time_ns": snapshot.time_ns, "root": root})
        return
    name, path = output.name(snapshot.name), output.name(snapshot.path)
    output.line(f"{local_time(snapshot.time_ns)}  {snapshot.root.hex()[:12]}  {name}  pfs:{path}")
