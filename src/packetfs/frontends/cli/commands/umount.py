"""Take the mount of a pool away; what was written is durable when this returns."""

from __future__ import annotations

from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.output import Output
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs umount ~/mnt", "when nothing uses it any more"),
    ("pfs umount --lazy ~/mnt", "now: files that are open stay usable until they are closed"),
)
OPTIONS: Final = ()


def declare(arguments: Arguments) -> None:
    """Add the place."""
    arguments.add("directory", metavar="DIR", help="where the pool is mounted")
    arguments.add("--lazy", action="store_true", help="also while files on it are open")


def run(options: Options, output: Output) -> int:
    """Unmount, and wait for the server to end."""
    from packetfs.frontends.mount.unmount import unmount

    output.bar = None
    unmount(options.directory, lazy=options.lazy)
    return 0
