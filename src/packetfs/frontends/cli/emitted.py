"""Where the output of a program goes: standard output, a file that appears whole, or JSON objects."""

from __future__ import annotations

from packetfs.contextlib import contextmanager
from packetfs.frontends.cli.arguments import Options
from packetfs.frontends.cli.names import raw
from packetfs.frontends.cli.output import Output
from packetfs.packet.layout import Buffer
from packetfs.typing import BinaryIO, Final, Iterator
from packetfs.vm.layout import HELPERS
from packetfs.vm.program import Program
from packetfs.vm.slots import FIELDS, SLOT, starts

PIECE: Final = 64 * 1024
"""Bytes of output in one JSON object."""
_CALL: Final = 0x85
_CALLX: Final = 0x8D
_WRITES: Final = ("emit", "ringbuf_output", "ringbuf_submit")
_WRITERS: Final = frozenset(each.number for each in HELPERS if each.name in _WRITES)


def writes_output(program: Program) -> bool:
    """Tell whether a program can write output at all: its maps then stay out of it, also where it wrote none this time.

    A call through a register may be a call of anything.
    """
    for slot, begins in enumerate(starts(program.code)):
        opcode, registers, _, number = FIELDS.unpack_from(program.code, slot * SLOT)
        if begins and (opcode == _CALLX or (opcode == _CALL and registers < 16 and number in _WRITERS)):
            return True
    return False


class Emitted:
    """Takes output in the order of the records."""

    def __init__(self, output: Output, file: BinaryIO | None = None) -> None:
        self._output = output
        self._file = file

    def write(self, data: Buffer) -> None:
        """Write it to the file, else to standard output, as it is or inside JSON objects.

        It is handed to the system at once: what a job counts as delivered must not be lost when its process is killed.
        """
        if self._file is not None:
            self._file.write(data)
            return
        view = memoryview(data)
        if not self._output.json:
            self._output.write(view)
        for at in range(0, len(view) if self._output.json else 0, PIECE):
            self._output.record("output", {"data_hex": view[at : at + PIECE].hex()})
        self._output.flush()


def to_file(options: Options) -> bool:
    """Tell whether a file takes the output: `-o` names one, and it is not for the maps."""
    return options.output is not None and options.format != "arrow"


@contextmanager
def open_emitted(options: Options, output: Output) -> Iterator[Emitted]:
    """Open what `-o` names, if it is to hold output; else standard output takes it."""
    if not to_file(options):
        yield Emitted(output)
        return
    from packetfs.frontends.cli.hostfile import replacing  # most output goes to standard output

    with replacing(raw(options.output)) as file:
        yield Emitted(output, file)
