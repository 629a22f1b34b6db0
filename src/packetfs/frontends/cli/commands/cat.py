"""Write files of the pool to standard output, one after the other. What is read is verified."""

from __future__ import annotations

from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.declared import add_snapshot_option
from packetfs.frontends.cli.names import pool_name
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.reading import View
from packetfs.packet.digest import Digest
from packetfs.packet.execute import execute
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs cat docs/notes.txt", "a file"),
    ("pfs cat --snapshot monday docs/notes.txt | head", "as it was in a snapshot"),
)
OPTIONS: Final = ("pool",)


def declare(arguments: Arguments) -> None:
    """Add the files."""
    arguments.add("paths", metavar="PATH", nargs="+", help="a file in the pool")
    add_snapshot_option(arguments)


def run(options: Options, output: Output) -> int:
    """Run each file's program into stdout."""
    paths = [pool_name(argument) for argument in options.paths]
    with open_filesystem(options) as filesystem:
        view = View(filesystem, options.snapshot)
        for path in paths:
            for piece in execute(filesystem.pool, Digest(view.file(path).root)):
                output.write(piece)
    return 0
