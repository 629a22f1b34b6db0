"""Where the output of a program goes: standard output, a file that appears whole, or JSON objects."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from packetfs.frontends.cli.hostfile import replacing
from packetfs.frontends.cli.names import raw
from packetfs.frontends.cli.output import Output
from packetfs.packet.layout import Buffer

PIECE: Final = 64 * 1024
"""Bytes of output in one JSON object."""


class Emitted:
    """Takes output in the order of the records. `shown`: something was written to standard output."""

    def __init__(self, output: Output, file: BinaryIO | None = None) -> None:
        self.shown = False
        self._output = output
        self._file = file

    def write(self, data: Buffer) -> None:
        """Write it to the file, else to standard output, as it is or inside JSON objects.

        It is handed to the system at once: what a job counts as delivered must not be lost when its process is killed.
        """
        if self._file is not None:
            self._file.write(data)
            return
        self.shown = True
        view = memoryview(data)
        if not self._output.json:
            self._output.write(view)
        for at in range(0, len(view) if self._output.json else 0, PIECE):
            self._output.record("output", {"data_hex": view[at : at + PIECE].hex()})
        self._output.flush()


@contextmanager
def open_emitted(options: Namespace, output: Output) -> Iterator[Emitted]:
    """Open what `-o` names, if it is to hold output; else standard output takes it."""
    if options.output is None or options.format == "arrow":
        yield Emitted(output)
        return
    with replacing(raw(options.output)) as file:
        yield Emitted(output, file)
