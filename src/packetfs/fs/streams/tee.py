"""Who takes a program while it is made of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from packetfs.packet.digest import Digest
from packetfs.typing import Protocol


class Tee(Protocol):
    """Somebody who wants the program while it is made."""

    def leaf(self, leaf: bytes, data: memoryview) -> None:
        """Take one leaf; `data` is what a COPY copies, good until `settle`, and empty for other leaves."""

    def extents(self, leaves: Sequence[bytes], data: Sequence[memoryview]) -> None:
        """Take leaves one behind the other, each of which copies a whole extent, with what it copies."""

    def settle(self) -> None:
        """Be done with all data so far: its memory is about to change."""

    def end(self, root: Digest) -> None:
        """Take the root: the program is whole."""
