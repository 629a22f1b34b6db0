"""An old file of a plain directory, open: what a delta copies from, and perhaps a program that tells what it has."""

from __future__ import annotations

import os

from packetfs.fs.host.metadata import pack_signature
from packetfs.packet.digest import Digest


class HostFile:
    """`root` is that of its content where its stat proves that; None where only reading could tell."""

    def __init__(self, descriptor: int, root: Digest | None = None) -> None:
        self.descriptor = descriptor
        self.root = root
        self._signature = pack_signature(os.fstat(descriptor))

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, offset)

    def is_as_opened(self) -> bool:
        """Tell whether nobody wrote to it since."""
        return pack_signature(os.fstat(self.descriptor)) == self._signature

    def __del__(self) -> None:
        os.close(self.descriptor)
