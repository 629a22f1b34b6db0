"""Arriving content on its way into a staged file."""

from __future__ import annotations

import os

from packetfs.errors import DestinationFull
from packetfs.fs.host.writer import Writer
from packetfs.limits import MIB
from packetfs.net.delivery import Run
from packetfs.packet.layout import Buffer


class Written:
    """Puts content into a staged file as it passes; runs of zeros become holes where the file had some."""

    def __init__(self, writer: Writer, *, sparse: bool) -> None:
        self._writer = writer
        self._sparse = sparse
        self.settle = writer.settle

    def take(self, piece: Buffer | Run) -> None:
        if not isinstance(piece, Run):
            self._writer.write(piece)
        elif self._sparse and not piece.byte:
            self._writer.skip(piece.length)
        else:
            self._write_run(piece)

    def _write_run(self, run: Run) -> None:
        """Write a run; one that the disk has no room for is refused before it fills that: it cost 10 bytes to send."""
        if run.length >= MIB:
            room = os.fstatvfs(self._writer.fd)
            if run.length > room.f_bavail * room.f_frsize:
                raise DestinationFull(path=self._writer.path)
        block = bytes([run.byte]) * min(run.length, 1 << 16)
        for at in range(0, run.length, len(block)):
            self._writer.write(memoryview(block)[: run.length - at])
