"""Show what a pool holds and what it costs on the disk.

logical is the size of the files as they are now. content is what is stored for them, for snapshots and for what
`pfs gc` would give back: every extent once, and one that changed a little as what changed. on disk is all
that the pool occupies.
"""

from __future__ import annotations

import os

from packetfs.dataclass import asdict, dataclass
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.moments import local_time
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.sizes import counted, format_size
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.survey import totals
from packetfs.limits import KIB
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs info", "the default pool"),
    ("pfs info --json --pool /mnt/big/pool", "another one, for a script"),
)
OPTIONS: Final = ("json", "pool")


@dataclass(frozen=True, slots=True)
class Info:
    """The figures of a pool. logical: bytes of its files; content: what is stored, once each; disk: all it occupies."""

    path: str
    identity: str
    created_ns: int
    mean: int
    durable: bool
    files: int
    logical: int
    content: int
    disk: int
    free: int
    snapshots: int


def declare(arguments: Arguments) -> None:
    """Take no arguments of its own."""
    del arguments


def run(options: Options, output: Output) -> int:
    """Print one block of lines, or one JSON object."""
    with open_filesystem(options) as filesystem:
        info = measure(filesystem)
    if output.json:
        output.record("info", asdict(info))
        return 0
    for name, value in _rows(info):
        output.line(f"{output.paint(f'{name:<10}', 'dim')}  {value}")
    return 0


def measure(filesystem: FileSystem) -> Info:
    """Return the figures of a pool."""
    pool = filesystem.pool
    files, logical = totals(filesystem)
    state = os.statvfs(pool.path)
    return Info(
        path=pool.path,
        identity=pool.identity.hex(),
        created_ns=pool.created,
        mean=pool.mean,
        durable=pool.durable,
        files=files,
        logical=logical,
        content=pool.content_bytes,
        disk=disk_usage(pool.path),
        free=state.f_bavail * state.f_frsize,
        snapshots=len(filesystem.snapshots()),
    )


def disk_usage(path: str) -> int:
    """Return the bytes that a pool's files occupy; holes cost nothing."""
    return sum(
        os.lstat(os.path.join(directory, name)).st_blocks * 512
        for directory, _, names in os.walk(path)
        for name in names
    )


def _rows(info: Info) -> list[tuple[str, str]]:
    durable = "" if info.durable else ", NOT durable"
    return [
        ("path", printable(info.path)),
        ("identity", info.identity),
        ("created", local_time(info.created_ns)),
        ("settings", f"chunks of {info.mean // KIB} KiB on average{durable}"),
        ("holds", f"{counted(info.files, 'file')}, {counted(info.snapshots, 'snapshot')}"),
        ("logical", f"{format_size(info.logical)} in files"),
        ("content", f"{format_size(info.content)} stored, once each"),
        ("on disk", f"{format_size(info.disk)}, {format_size(info.free)} free"),
    ]
