"""Fingerprints of a program's extents: a stream is followed along its old program by them, several times faster than by
digests. They depend on what was read alone, so it is all one where old content lies, or whether it is there still."""

from __future__ import annotations

from packetfs.packet.fingerprint import fingerprint, same_fingerprints
from packetfs.packet.layout import Buffer


class Prints:
    """Those of the old program and those of the one that is made, extent by extent, in order."""

    def __init__(self, key: bytes, known: bytes = b"") -> None:
        """`known`: what `made` was when the old program was made; empty where that is not known."""
        self._key = key
        self.known = known
        self.made = bytearray()

    def add(self, extent: Buffer) -> None:
        """Take the next extent of the program that is made."""
        self.made += fingerprint(extent, self._key)

    def take_over(self, known: bytes) -> None:
        """Take the fingerprint of one that is an old one."""
        self.made += known

    def count_same(self, leaves: bytes, known: bytes, stream: memoryview) -> int:
        """Return how many of the extents that `leaves` are copies of the stream goes on with."""
        return same_fingerprints(leaves, known, self._key, stream)
