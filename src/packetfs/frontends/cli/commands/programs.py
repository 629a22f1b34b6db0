"""List the programs that come with PacketFS, or tell more about one, or list those that are stored in the pool.

NAME is a program that comes with PacketFS, or any PROGRAM of `pfs run`: a program file, FILE.py, FILE.c ...; arguments
are given as `pfs run NAME --arg ARGUMENT=VALUE`, and are refused where they are not what is said here. With
pfs:DIR, the files of the pool in and below DIR that are programs are listed by digest and path.
"""

from __future__ import annotations

import os

from packetfs.errors import PacketFSError, UnknownProgram
from packetfs.errors.suggest import suggestion
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import path_fields, pool_name, printable, raw
from packetfs.frontends.cli.opening import open_filesystem
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.reading import View
from packetfs.limits import PROGRAM_BYTES_MAX
from packetfs.packet.digest import Digest
from packetfs.packet.execute import read_program
from packetfs.packet.layout import PACKET
from packetfs.toolchain.arguments import shown
from packetfs.typing import TYPE_CHECKING, Final, Iterable, Iterator

if TYPE_CHECKING:
    from packetfs.packet.entry import Entry
    from packetfs.packet.tree import Store
    from packetfs.toolchain.shipped.catalogue import Shipped

EXAMPLES: Final = (
    ("pfs programs", "what there is to run"),
    ("pfs programs csv", "one program, its arguments, and what they take"),
    ("pfs programs ./count.py", "the same of a program of your own"),
    ("pfs programs pfs:", "every program that is stored in the pool"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Add the name."""
    arguments.add("name", metavar="NAME", nargs="?", help="a program, or pfs:DIR (default: all that come along)")


def run(options: Options, output: Output) -> int:
    """List."""
    if options.name is not None and options.name.startswith("pfs:"):
        _list_stored(options, output)
        return 0
    from packetfs.toolchain.shipped import catalogue  # the pool's programs need no toolchain

    known = {one.name: one for one in catalogue.programs()}
    if options.name is None:
        _list_shipped(list(known.values()), output)
    elif options.name in known:
        _describe(known[options.name], output)
    else:
        _describe(_file(options.name, list(known)), output)
    return 0


def _file(name: str, known: list[str]) -> Shipped:
    """Return what a program that is a file says of itself."""
    from packetfs.toolchain.shipped.catalogue import Shipped
    from packetfs.toolchain.sources import find_program

    if not os.path.exists(raw(name.partition(":")[0])):
        raise UnknownProgram(name=name, reason=f"it is no file and does not come along{suggestion(name, known)}")
    found = find_program(name)
    words = " ".join(f"--arg {each.name}={shown(each)}" for each in found.arguments[:1])
    example = " ".join(part for part in ("pfs run", printable(name), words, "FILE") if part)
    return Shipped(found.name, found.description, found.records, example, found.arguments)


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
    takes = [f"{argument.kind} {argument.takes}".rstrip() for argument in one.arguments]
    widths = [max(map(len, column), default=0) for column in (words, takes)]
    for word, taken, argument in zip(words, takes, one.arguments, strict=True):
        output.line(f"  {word:<{widths[0]}}  {taken:<{widths[1]}}  {argument.meaning}".rstrip())


def _fields(one: Shipped) -> dict[str, Json]:
    arguments: list[Json] = [
        {"name": each.name, "kind": each.kind, "default": shown(each), "takes": each.takes, "meaning": each.meaning}
        for each in one.arguments
    ]
    return {"name": one.name, "summary": one.summary, "records": one.records, "arguments": arguments}


# programs in the pool


def _list_stored(options: Options, output: Output) -> None:
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
