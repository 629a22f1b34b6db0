"""Give back the space of what no name and no snapshot needs. Nothing else is touched; it may be stopped any time.

A version that is stored as what changed needs the content that it changed, which stays as long as that version does.
"""

from __future__ import annotations

from packetfs.errors import NoRoomToCollect, PoolFull
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import format_size
from packetfs.fs.gc import collect_garbage
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs rm -r old && pfs gc", "remove, and give the space back"),
    ("pfs snapshots --drop monday && pfs gc", "the same for a snapshot"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Take no arguments of its own."""
    del arguments


def run(options: Options, output: Output) -> int:
    """Collect and say how much was freed."""
    try:
        freed = _collect(options)
    except PoolFull as error:
        raise NoRoomToCollect(**error.fields) from None  # its own hint is to collect
    if output.json:
        output.record("collected", {"freed": freed})
    else:
        output.note(f"{format_size(freed)} freed")
    return 0


def _collect(options: Options) -> int:
    with open_filesystem(options, writable=True) as filesystem:
        filesystem.names.erase_orphans()  # files without a name, of a mount that was killed
        filesystem.tree_root()  # or programs of directories as they were before their last change keep files alive
        return collect_garbage(filesystem)
