"""Arriving content on its way into a staged file: piece by piece, or by instructions, whose copies the kernel makes."""

from __future__ import annotations

import os
from collections.abc import Callable

from packetfs.errors import DestinationFull, Unverified
from packetfs.fs.host.writer import Writer
from packetfs.limits import MIB
from packetfs.net.receiving.delivery import OldFile, Run
from packetfs.net.receiving.host_file import HostFile
from packetfs.net.wire.packed import FILL, LITERAL, Instruction
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


class Patched:
    """Makes the same from instructions: what is copied from a file of this host does not pass through this process."""

    def __init__(self, writer: Writer, open_source: Callable[[int], OldFile], *, sparse: bool) -> None:
        self._writer = writer
        self._open = open_source
        self._written = Written(writer, sparse=sparse)

    def take(self, item: Instruction, literals: bytes) -> None:
        """Append what an instruction makes."""
        if item.kind == LITERAL:
            self._writer.write(literals)
        elif item.kind == FILL:
            self._written.take(Run(item.byte, item.length))
        else:
            self._copy(self._open(item.source), item.offset, item.length)

    def _copy(self, old: OldFile, offset: int, length: int) -> None:
        if isinstance(old, HostFile):
            copied = self._writer.copy(old.descriptor, offset, length)
            offset, length = offset + copied, length - copied
        while length:
            data = old.read(offset, min(length, MIB))
            if not data:
                raise Unverified(path=self._writer.path)
            self._writer.write(data)
            offset, length = offset + len(data), length - len(data)
