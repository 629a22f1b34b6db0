"""Mount a pool on an empty directory: its files can be used by every program.

-o takes words separated by commas: ro, allow_other (other users may use it, too), snapshot=NAME (as it was then;
read-only), noderive (no files that programs compute), the flags of mount(8) like noatime, noexec, suid and dev.
Permissions are always checked (default_permissions).
"""

from __future__ import annotations

import os

from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Output
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs mount ~/pool ~/mnt", "until `pfs umount ~/mnt`"),
    ("pfs mount ~/pool ~/mnt -o snapshot=monday", "look at a snapshot"),
    ("pfs mount ~/pool ~/mnt --foreground", "until Ctrl-C"),
)
OPTIONS: Final = ()


def declare(arguments: Arguments) -> None:
    """Add the places and the options."""
    arguments.add("pool_directory", metavar="POOL", help="the pool's directory")
    arguments.add("directory", metavar="DIR", help="an empty directory to mount on")
    arguments.add("-o", dest="words", metavar="WORDS", action="append", default=[], help="options, as above")
    arguments.add("--foreground", action="store_true", help="serve here, until Ctrl-C or `pfs umount`")


def run(options: Options, output: Output) -> int:
    """Mount; in the background, return once it is up."""
    from packetfs.frontends.mount.options import parse_options
    from packetfs.frontends.mount.server import mount

    output.bar = None
    pool = os.path.abspath(options.pool_directory)

    def up() -> None:
        output.note(f"{printable(pool)} is mounted on {printable(options.directory)}")

    return mount(pool, options.directory, parse_options(options.words), foreground=options.foreground, up=up)
