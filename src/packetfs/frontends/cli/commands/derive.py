"""Make a file of the pool that is what a program emits over another one. It is run when it is first read, not before.

OUT and IN are paths in the pool, PROGRAM is what `pfs run` takes. Until the first read, OUT has size 0, as files in
/proc have; then what the program emits, in the order of the records, becomes its content, and OUT is a file like any
other. It stays derived of what IN is now: a later change of IN does not change OUT. IN may be a derived file itself.
"""

from __future__ import annotations

import os
import time

from packetfs.errors import IsADirectory, UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import path_fields, pool_name
from packetfs.frontends.cli.output import Output
from packetfs.limits import FUEL, FUEL_MAX
from packetfs.typing import Final

EXAMPLES: Final = (
    ("pfs derive errors grep app.log --arg pattern=ERROR", "a file of the lines that contain a string"),
    ("pfs cat errors", "the first read runs it"),
)
OPTIONS: Final = ("json", "pool")
_MODE: Final = 0o100644


def declare(arguments: Arguments) -> None:
    """Add the two files and the program."""
    add = arguments.add
    add("out", metavar="OUT", help="the path that it gets in the pool")
    add("program", metavar="PROGRAM", help="what to run, as for `pfs run`")
    add("source", metavar="IN", help="the file in the pool to run it over")
    add("-a", "--arg", metavar="NAME=VALUE", action="append", default=[], help="an argument of the program")
    add("-r", "--records", metavar="KIND", help="as for `pfs run` (default: what PROGRAM says)")
    add("--fuel", metavar="N", type=int, default=FUEL, help=f"instructions that a record may execute ({FUEL:,})")


def run(options: Options, output: Output) -> int:
    """Store the program and let OUT stand for it."""
    if not 1 <= options.fuel <= FUEL_MAX:
        raise UsageError(reason=f"--fuel {options.fuel}: it must be from 1 to {FUEL_MAX:,}")
    from packetfs.engines.derive import call_of
    from packetfs.engines.input.records import parse_records
    from packetfs.frontends.cli.chosen import choose_program
    from packetfs.frontends.cli.emitted import writes_output
    from packetfs.frontends.cli.opening import open_filesystem
    from packetfs.fs.derived import add_derived
    from packetfs.packet.entry import Entry
    from packetfs.vm.program import encode_program, program_digest

    options.snapshot = None
    chosen = choose_program(options)
    if not writes_output(chosen.program):
        raise UsageError(reason=f"{options.program} emits nothing, and a derived file is what a program emits")
    packets = encode_program(chosen.program)
    call = call_of(program_digest(packets), parse_records(options.records or chosen.records), options.fuel)
    path = pool_name(options.out)
    with open_filesystem(options, writable=True) as filesystem:
        source = filesystem.paths.need(pool_name(options.source)).entry
        there = filesystem.entry(path)
        if there is not None and there.is_dir:
            raise IsADirectory(path=path)
        entry = Entry(path.rpartition(b"/")[2], _MODE, os.getuid(), os.getgid(), time.time_ns())
        filesystem.make_parents(path)
        made = add_derived(filesystem, path, source, packets, call, entry)
        filesystem.commit()
    if output.json:
        output.record("derived", {**path_fields(path), "root": made.root.hex()})
    return 0
