"""List the snapshots, oldest first; take or drop one. A snapshot keeps a directory as it is, and never changes."""

from __future__ import annotations

from packetfs.errors import UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
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


def declare(arguments: Arguments) -> None:
    """Add taking and dropping."""
    add = arguments.add
    add("--take", metavar="NAME", help="take a snapshot of PATH under this name")
    add("--drop", metavar="NAME", help="forget the snapshot of this name, unless it is mounted")
    add("path", metavar="PATH", nargs="?", help="the directory to take (default: the pool's root)")


def run(options: Options, output: Output) -> int:
    """List, take or drop."""
    if options.take is not None and options.drop is not None:
        raise UsageError(reason="--take and --drop are for a snapshot each")
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
