"""List the programs that come with PacketFS, or tell more about one, or list those that are stored in the pool.

NAME is a program that comes with PacketFS; its arguments are given as `pfs run NAME --arg ARGUMENT=VALUE`. With
pfs:DIR, the files of the pool in and below DIR that are programs are listed by digest and path.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from packetfs.errors import PacketFSError, UnknownProgram
from packetfs.frontends.cli.names import path_fields, pool_name, printable
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.parser import suggestion
from packetfs.frontends.cli.reading import View
from packetfs.limits import PROGRAM_BYTES_MAX
from packetfs.packet.digest import Digest
from packetfs.packet.execute import read_program
from packetfs.packet.layout import PACKET
from packetfs.toolchain.arguments import shown

if TYPE_CHECKING:
    from packetfs.packet.entry import Entry
    from packetfs.packet.tree import Store
    from packetfs.toolchain.sources import Shipped

EXAMPLES: Final = (
    ("pfs programs", "what there is to run"),
    ("pfs programs csv", "one program and its arguments"),
    ("pfs programs pfs:", "every program that is stored in the pool"),
)
OPTIONS: Final = ("json", "pool")


def declare(parser: ArgumentParser) -> None:
    """Add the name."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a program, or pfs:DIR (default: all that come along)")


def run(options: Namespace, output: Output) -> int:
    """List."""
    if options.name is not None and options.name.startswith("pfs:"):
        _list_stored(options, output)
        return 0
    from packetfs.toolchain.sources import shipped  # the pool's programs need no toolchain

    known = {one.name: one for one in shipped()}
    if options.name is None:
        _list_shipped(list(known.values()), output)
    elif options.name in known:
        _describe(known[options.name], output)
    else:
        reason = f"it does not come with PacketFS{suggestion(options.name, list(known))}"
        raise UnknownProgram(name=options.name, reason=reason)
    return 0


def _list_shipped(known: list[Shipped], output: Output) -> None:
    width = max(len(one.name) for one in known)
    for one in known:
        if output.json:
            output.record("program", _fields(one))
            continue
        names = " ".join(argument.name for argument in one.arguments)
        output.line(f"{output.paint(f'{one.name:<{width}}', 'bold')}  {one.summary}{f' ({names})' if names else ''}")


def _describe(one: Shipped, output: Output) -> None:
    if output.json:
        output.record("program", _fields(one))
        return
    output.line(f"{output.paint(one.name, 'bold')}: {one.summary}")
    output.line(f"records: {one.records}; for example: {one.example}")
    words = [f"--arg {argument.name}={shown(argument)}" for argument in one.arguments]
    width = max(map(len, words), default=0)
    for word, argument in zip(words, one.arguments, strict=True):
        output.line(f"  {word:<{width}}  {argument.kind:<5}  {argument.meaning}".rstrip())


def _fields(one: Shipped) -> dict[str, Json]:
    arguments: list[Json] = [
        {"name": each.name, "kind": each.kind, "default": shown(each), "meaning": each.meaning}
        for each in one.arguments
    ]
    return {"name": one.name, "summary": one.summary, "records": one.records, "arguments": arguments}


# programs in the pool


def _list_stored(options: Namespace, output: Output) -> None:
    with open_filesystem(options) as filesystem:
        view, path = View(filesystem), pool_name(options.name)
        entry = view.entry(path)
        found = [(path, entry)] if not entry.is_dir else view.walk(path, entry)
        for at, packets in _programs(filesystem.pool, found):
            _show_stored(at, packets, output)


def _programs(store: Store, found: Iterable[tuple[bytes, Entry]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield path and packets of the files that begin like a program."""
    from packetfs.vm.program import is_program

    for path, entry in found:
        if not entry.is_file or entry.size % PACKET or not PACKET < entry.size <= PROGRAM_BYTES_MAX:
            continue
        root = Digest(entry.root)
        if is_program(read_program(store, root, 0, PACKET)):
            yield path, read_program(store, root)


def _show_stored(path: bytes, packets: bytes, output: Output) -> None:
    from packetfs.vm.program import SLOT, decode_program, program_digest

    digest = program_digest(packets).hex()
    try:
        program = decode_program(packets)
        slots, maps, reason = len(program.code) // SLOT, len(program.maps), ""
    except PacketFSError as error:
        slots, maps, reason = 0, 0, error.message
    if output.json:
        fields: dict[str, Json] = {"digest": digest, "slots": slots, "maps": maps, "reason": reason}
        output.record("stored_program", {**path_fields(path), **fields})
        return
    what = printable(reason) if reason else f"{slots:,} slots, {maps} map{'s' if maps != 1 else ''}"
    output.line(f"{digest}  pfs:{output.name(path)}  {what}")
