"""Remove files and directories from the pool. Snapshots keep what they have; `pfs gc` gives the space back."""

from __future__ import annotations

from packetfs.errors import NotFound, UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import pool_name
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.fs.filesystem import FileSystem
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs rm docs/old.txt", "a file"),
    ("pfs rm -r docs", "a directory with everything in it"),
)
OPTIONS: Final = ("pool",)


def declare(arguments: Arguments) -> None:
    """Add the paths."""
    arguments.add("paths", metavar="PATH", nargs="+", help="a name in the pool")
    arguments.add("-r", "--recursive", action="store_true", help="directories too, with everything in them")
    arguments.add("-f", "--force", action="store_true", help="pass over names that are not there")


def run(options: Options, output: Output) -> int:
    """Remove all of the paths, or none where one cannot be."""
    paths = [pool_name(argument) for argument in options.paths]
    with open_filesystem(options, writable=True) as filesystem:
        for path in paths:
            if options.force and filesystem.entry(path) is None:
                continue
            _remove(filesystem, path, recursive=options.recursive)
            output.detail(f"removed {output.name(path)}")
        filesystem.tree_root()
        filesystem.commit()
    return 0


def _remove(filesystem: FileSystem, path: bytes, *, recursive: bool) -> None:
    entry = filesystem.entry(path)
    if entry is None:
        raise NotFound(path=path)
    if entry.is_dir and not recursive:
        raise UsageError(reason=f"{path.decode('utf-8', 'backslashreplace') or 'pfs:'} is a directory; add -r")
    filesystem.remove(path)
