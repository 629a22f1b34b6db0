"""Show a file as the program that it is, one packet a line. `pfs asm` turns the text back into the same packets.

FILE is a file of this machine (nothing of it is stored), `-` for standard input, or pfs:PATH, which may be a directory
too. A large file's program is a tree: TREE packets name its nodes, and --flat follows them.
What holds a program for microVMs (as `pfs asm` writes it) is shown as that: its maps, then its instructions with packet
and slot. --packets shows its packets. So is what has the name of a shipped program, where no file has it; with
--program, FILE is whatever `pfs run` takes as PROGRAM: FILE.py (which is executed), FILE.c, FILE.o, FILE.s.
"""

from __future__ import annotations

import os
from io import BufferedReader

from packetfs.errors import NotFound, UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.declared import add_snapshot_option
from packetfs.frontends.cli.hostfile import open_source
from packetfs.frontends.cli.listing import colored, colored_code, list_flat, list_program
from packetfs.frontends.cli.names import pool_name, printable, raw
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.programs import program_of_file
from packetfs.limits import PROGRAM_BYTES_MAX
from packetfs.packet.digest import Digest
from packetfs.packet.execute import read_program
from packetfs.packet.layout import PACKET
from packetfs.packet.tree import NODE_MAX, Store
from packetfs.typing import Final, Iterable
from packetfs.vm.program import decode_program, encode_program, is_program, program_digest

EXAMPLES: Final = (
    ("pfs disasm notes.txt", "a file here"),
    ("pfs disasm pfs:docs/notes.txt | less -R", "a file in the pool"),
    ("pfs disasm --flat disk.img | grep FILL", "the runs in a large file"),
    ("pfs disasm pass.bin", "the instructions of a program for microVMs"),
    ("pfs disasm --program count.py", "those of a program in Python"),
)
OPTIONS: Final = ("pool",)


def declare(arguments: Arguments) -> None:
    """Add the file."""
    add = arguments.add
    add("file", metavar="FILE", help="a file, - for standard input, pfs:PATH, or a program")
    add("--flat", action="store_true", help="follow TREE packets and show every leaf")
    add("--packets", action="store_true", help="FILE holds packets already, as `pfs asm` writes them: show those")
    add("--program", action="store_true", help="FILE is a PROGRAM of `pfs run`: show its code")
    add_snapshot_option(arguments)


def run(options: Options, output: Output) -> int:
    """Find the program and print its lines."""
    if options.program and (options.flat or options.packets):
        raise UsageError(reason="--program shows code, neither --flat nor --packets")
    if options.file.startswith("pfs:"):
        _show_stored(options, output)
    elif options.snapshot is not None:
        raise UsageError(reason="--snapshot goes with pfs:PATH only")
    elif options.program or _is_shipped(options.file):
        _show_program(options, output)
    else:
        _show_host_file(options, output)
    return 0


def _is_shipped(name: str) -> bool:
    """Tell whether a name is that of a shipped program, and of no file."""
    if os.path.lexists(raw(name)):
        return False
    from packetfs.toolchain.shipped.catalogue import examples

    return name in examples()


def _show_program(options: Options, output: Output) -> None:
    from packetfs.toolchain.sources import find_program

    _show_code(encode_program(find_program(options.file).program), options, output)


def _show_stored(options: Options, output: Output) -> None:
    from packetfs.frontends.cli.opening import open_filesystem  # a host file needs no pool
    from packetfs.frontends.cli.reading import View
    from packetfs.fs.derived import waits

    with open_filesystem(options) as filesystem:
        entry = View(filesystem, options.snapshot).entry(pool_name(options.file))
        if not any(entry.root):
            raise NotFound(path=f"program behind {options.file} (only files and snapshots of directories have one)")
        if entry.is_file and not options.packets and entry.size <= PROGRAM_BYTES_MAX:
            promise = waits(filesystem.pool, entry)
            content = b"" if promise else read_program(filesystem.pool, Digest(entry.root), 0, PACKET)
            if is_program(content):
                _show_code(read_program(filesystem.pool, Digest(entry.root)), options, output)
                return
        _show(options, output, filesystem.pool, Digest(entry.root))


def _show_host_file(options: Options, output: Output) -> None:
    with open_source(raw(options.file)) as file:
        if options.packets:
            _print(list_program(_whole_packets(file.read(NODE_MAX + 1), options.file)), output)
        elif isinstance(file, BufferedReader) and is_program(file.peek(PACKET)):
            _show_code(file.read(PROGRAM_BYTES_MAX + 1), options, output)
        else:
            store, root = program_of_file(file)
            _show(options, output, store, root)


def _show_code(packets: bytes, options: Options, output: Output) -> None:
    from packetfs.toolchain.text import write_program  # most files hold no code

    program = decode_program(packets)
    output.line(colored(f"; {printable(options.file)}  program {program_digest(packets).hex()}", output))
    for line in write_program(program):
        output.line(colored_code(line, output))


def _whole_packets(data: bytes, name: str) -> bytes:
    if len(data) % PACKET or not 0 < len(data) <= NODE_MAX:
        raise UsageError(reason=f"{name} is not whole packets of {PACKET} bytes")
    return data


def _show(options: Options, output: Output, store: Store, root: Digest) -> None:
    output.line(colored(f"; {printable(options.file)}  root {root.hex()}", output))
    _print(list_flat(store, root) if options.flat else list_program(store.read(root)), output)


def _print(lines: Iterable[str], output: Output) -> None:
    for line in lines:
        output.line(colored(line, output))
