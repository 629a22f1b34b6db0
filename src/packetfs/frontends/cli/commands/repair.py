"""Rebuild what follows from the arena: the index always, the names where they are damaged or missing.

Names that are rebuilt are those of the last snapshot of each path; what changed after it is lost. So names that are
whole are left alone, unless --names asks for it. Damaged content cannot be rebuilt: `pfs check` names the files, and
`pfs sync --checksum` from where they are whole brings it back.
"""

from __future__ import annotations

import os

from packetfs.errors import PacketFSError, Partial
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Output
from packetfs.fs.filesystem import NAMES, FileSystem
from packetfs.fs.rebuild import Rebuilt, forget_names, rebuild
from packetfs.pool.database import check_database, connect
from packetfs.pool.pool import Pool
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs repair", "after damage, or when all but the arena was deleted"),
    ("pfs repair --names", "go back to the names of the last snapshot"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Let the user insist."""
    arguments.add("--names", action="store_true", help="rebuild the names even where they are whole")


def run(options: Options, output: Output) -> int:
    """Rebuild and say what was found."""
    reporter = Reporter(output)
    path = settings.pool_path(options.pool)
    with Pool.open(path, writable=True):
        pass  # it is a pool, and nobody else writes to it
    if os.path.exists(f"{path}/index"):
        os.unlink(f"{path}/index")
    with Pool.open(path, writable=True) as pool:
        if options.names or not names_are_whole(pool):
            forget_names(pool)
        with FileSystem(pool) as filesystem:
            rebuilt = rebuild(filesystem, reporter) if is_empty(filesystem) else None
    _report(rebuilt, output)
    if reporter.troubles:
        output.flush()
        raise Partial(count=reporter.troubles)
    return 0


def names_are_whole(pool: Pool) -> bool:
    """Verify every page of the names."""
    path = f"{pool.path}/{NAMES}.db"
    if not os.path.exists(path):
        return False
    try:
        connection = connect(path, writable=True, durable=pool.durable)
    except PacketFSError:
        return False
    try:
        return next(iter(check_database(connection, path)), None) is None
    except PacketFSError:
        return False
    finally:
        connection.close()


def is_empty(filesystem: FileSystem) -> bool:
    """Tell whether there are no names at all: nothing can be lost then, and the arena may know more."""
    return next(filesystem.children(b""), None) is None and not filesystem.snapshots()


def _report(rebuilt: Rebuilt | None, output: Output) -> None:
    if output.json:
        found = rebuilt.snapshots if rebuilt else 0
        restored = [snapshot.name.decode("utf-8", "replace") for snapshot in rebuilt.restored] if rebuilt else []
        output.record("repaired", {"snapshots": found, "restored": list(restored), "names": rebuilt is not None})
    elif rebuilt is None:
        output.note("rebuilt the index; the names are whole")
    else:
        output.note(f"rebuilt the index and the names; {rebuilt.snapshots} snapshots found")
        for snapshot in rebuilt.restored:
            output.note(f"pfs:{printable(snapshot.path)} is as in snapshot {printable(snapshot.name)}")
