"""Create a pool in a new or empty directory."""

from __future__ import annotations

import os

from packetfs.errors import UsageError
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import parse_size
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import KIB, MEAN, MEAN_MAX, MEAN_MIN
from packetfs.pool.pool import Pool
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs init", "the default pool, in your data directory"),
    ("pfs init /mnt/big/pool", "a pool elsewhere; name it with --pool or $PACKETFS_POOL"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add the place and the settings that never change."""
    add = arguments.add
    add("place", metavar="POOL", nargs="?", help="the directory (default: as --pool says)")
    add("--mean", metavar="SIZE", help="mean size of a chunk, a power of two from 4K to 4M (default: 64K)")
    add("--not-durable", action="store_true", help="do not wait for the disk: faster, for trials only")


def run(options: Options, output: Output) -> int:
    """Create the pool with its directory and its empty namespace."""
    path = os.path.abspath(options.place or settings.pool_path(options.pool))
    mean = MEAN if options.mean is None else _mean(options.mean)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with Pool.create(path, mean=mean, durable=not options.not_durable) as pool, FileSystem(pool) as filesystem:
        filesystem.commit()
        identity = pool.identity.hex()
    if output.json:
        output.record("pool", {"path": path, "identity": identity, "mean": mean})
    else:
        output.note(f"created a pool at {printable(path)} (chunks of {mean // KIB} KiB on average)")
    return 0


def _mean(text: str) -> int:
    mean = parse_size(text)
    if mean & (mean - 1) or not MEAN_MIN <= mean <= MEAN_MAX:
        raise UsageError(reason=f"--mean {text}: it must be a power of two from 4K to 4M")
    return mean
