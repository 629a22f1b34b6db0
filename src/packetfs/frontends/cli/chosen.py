"""PROGRAM of `pfs run`: what the toolchain makes of it, or a program that is stored in the pool."""

from __future__ import annotations

from packetfs import errors
from packetfs.dataclass import dataclass, field
from packetfs.frontends.cli.arguments import Options
from packetfs.frontends.cli.names import pool_name
from packetfs.limits import PROGRAM_BYTES_MAX
from packetfs.typing import Mapping
from packetfs.vm.program import Program


@dataclass(frozen=True, slots=True)
class Chosen:
    """A program, the records that it is made for, and by map the decimal digits of its numbers.

    `source`: the Python file that it is from, where there is one.
    """

    program: Program
    records: str
    decimals: Mapping[bytes, int] = field(default_factory=dict)
    source: str = ""


def choose_program(options: Options) -> Chosen:
    """Return what PROGRAM and its arguments (NAME=VALUE) name; an error of the toolchain where they name nothing."""
    from packetfs.toolchain import sources

    if options.program.startswith("pfs:"):
        found = sources.found_in(_read_stored(options), options.program, options.arg)
    else:
        found = sources.find_program(options.program, options.arg, options.records or "")
    return Chosen(found.program, found.records, found.decimals, found.source)


def _read_stored(options: Options) -> bytes:
    """Return the packets of a program that is a file of the pool."""
    from packetfs.frontends.cli.opening import open_filesystem  # most programs are in no pool
    from packetfs.frontends.cli.reading import View
    from packetfs.packet.digest import Digest
    from packetfs.packet.execute import read_program

    with open_filesystem(options) as filesystem:
        entry = View(filesystem, options.snapshot).file(pool_name(options.program))
        if entry.size > PROGRAM_BYTES_MAX:
            reason = f"it has {entry.size} bytes; {PROGRAM_BYTES_MAX} are possible"
            raise errors.BadProgram(root=options.program, reason=reason)
        return read_program(filesystem.pool, Digest(entry.root))
