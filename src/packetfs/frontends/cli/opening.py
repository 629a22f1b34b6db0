"""Open what a command works on: the chosen pool and the filesystem in it."""

from __future__ import annotations

from packetfs.contextlib import contextmanager
from packetfs.frontends import settings
from packetfs.frontends.cli.arguments import Options
from packetfs.fs.filesystem import FileSystem, open_names
from packetfs.pool.pool import Pool
from packetfs.typing import Iterator


def open_pool(options: Options, *, writable: bool = False) -> Pool:
    """Open the pool that `--pool` or the environment chooses."""
    return Pool.open(settings.pool_path(options.pool), writable=writable)


@contextmanager
def open_filesystem(options: Options, *, writable: bool = False) -> Iterator[FileSystem]:
    """Open the names and files of the chosen pool; what was not committed is forgotten at the end."""
    with open_pool(options, writable=writable) as pool, open_names(pool) as filesystem:
        yield filesystem
