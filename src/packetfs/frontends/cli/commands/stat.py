"""Show everything known about a name in the pool: what it is, whose, how large, and the program behind it."""

from __future__ import annotations

import stat
from collections import Counter

from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.commands.ls import entry_fields
from packetfs.frontends.cli.declared import add_snapshot_option
from packetfs.frontends.cli.moments import local_time
from packetfs.frontends.cli.names import path_fields, pool_name, printable
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.reading import View, kind_of, root_of, size_of
from packetfs.fs.derived import waits
from packetfs.packet.derived import parse_derived
from packetfs.packet.digest import Digest, short
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import Store, leaves
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs stat docs/notes.txt", "a file"),
    ("pfs stat --json docs/notes.txt", "the same for a script"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add the paths."""
    arguments.add("paths", metavar="PATH", nargs="+", help="a name in the pool")
    add_snapshot_option(arguments)


def run(options: Options, output: Output) -> int:
    """Print each path's block of lines, or JSON object."""
    paths = [pool_name(argument) for argument in options.paths]
    with open_filesystem(options) as filesystem:
        view = View(filesystem, options.snapshot)
        for path in paths:
            entry = view.entry(path)
            packets = count_packets(filesystem.pool, entry)
            if output.json:
                output.record("stat", _fields(path, entry, packets))
            else:
                _print(path, entry, packets, output)
    return 0


def count_packets(store: Store, entry: Entry) -> dict[str, int]:
    """Return how many packets of each kind a file's program has, its nodes left out."""
    if not entry.is_file:
        return {}
    if waits(store, entry):
        root = Digest(entry.root)
        return {Op.CALL.name: len(parse_derived(short(root), store.read(root)).calls)}
    return dict(Counter(Op(leaf[0]).name for _, leaf in leaves(store, Digest(entry.root))))


def _fields(path: bytes, entry: Entry, packets: dict[str, int]) -> dict[str, Json]:
    return {
        **entry_fields(path, entry),
        "packets": packets,
        "group": f"{entry.group:016x}" if entry.group else None,
        "sparse": entry.sparse,
        "xattrs": [{**path_fields(name, "name"), "value_hex": value.hex()} for name, value in entry.xattrs],
    }


def _promise(packets: dict[str, int]) -> str:
    return ", derived, not run yet" if Op.CALL.name in packets else ""


def _print(path: bytes, entry: Entry, packets: dict[str, int], output: Output) -> None:
    rows = [
        ("path", output.name(path) or "pfs:"),
        ("kind", kind_of(entry) + (", sparse" if entry.sparse else "") + _promise(packets)),
        ("mode", f"{stat.filemode(entry.mode)} ({entry.mode & 0o7777:04o})"),
        ("owner", f"{entry.uid}:{entry.gid}"),
        ("size", size_of(entry) + (f" ({entry.size:,} bytes)" if entry.is_file else "")),
        ("modified", local_time(entry.mtime_ns)),
        ("root", root_of(entry) or ("not built since its last change" if entry.is_dir else "none")),
        ("packets", ", ".join(f"{count:,} {name}" for name, count in packets.items())),
        ("target", output.name(entry.target)),
        ("link group", f"{entry.group:016x}" if entry.group else ""),
        *((f"xattr {printable(name)}", printable(value)) for name, value in entry.xattrs),
    ]
    for name, value in rows:
        if value:
            output.line(f"{output.paint(f'{name:<10}', 'dim')}  {value}")
