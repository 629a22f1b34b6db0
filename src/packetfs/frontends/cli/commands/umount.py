"""Take the mount of a pool away; what was written is durable when this returns."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from packetfs.frontends.cli.output import Output
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs umount ~/mnt", "when nothing uses it any more"),
    ("pfs umount --lazy ~/mnt", "now: files that are open stay usable until they are closed"),
)
OPTIONS: Final = ()


def declare(parser: ArgumentParser) -> None:
    """Add the place."""
    parser.add_argument("directory", metavar="DIR", help="where the pool is mounted")
    parser.add_argument("--lazy", action="store_true", help="also while files on it are open")


def run(options: Namespace, output: Output) -> int:
    """Unmount, and wait for the server to end."""
    from packetfs.frontends.mount.unmount import unmount

    output.bar = None
    unmount(options.directory, lazy=options.lazy)
    return 0
