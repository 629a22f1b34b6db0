"""Literal bytes on their way into a batch."""

from __future__ import annotations

from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_SMALL: Final = 16 * 1024
"""Parts up to this size are copied together."""
_BLOCK: Final = 64 * 1024
"""Bytes of memory that they go into, which has its size from the start: to move about what grows took ten times what
copying the parts does (by hand)."""


class Literals:
    """Collects parts, large ones as they came. As objects of their own, small ones would leave holes in the heap."""

    __slots__ = ("_block", "_parts", "_used", "size")

    def __init__(self) -> None:
        self._parts: list[Buffer] = []
        self._block = memoryview(b"")
        self._used = 0
        self.size = 0

    def add(self, part: Buffer) -> None:
        """Append a part; a large one must stay as it is until all are taken."""
        length = len(part)
        self.size += length
        if length > _SMALL:
            self._end_block()
            self._parts.append(part)
            return
        if self._used + length > len(self._block):
            self._end_block()
            self._block = memoryview(bytearray(_BLOCK))
        self._block[self._used : self._used + length] = part
        self._used += length

    def take(self) -> list[Buffer]:
        """Return the parts so far, and begin again."""
        self._end_block()
        parts, self._parts, self.size = self._parts, [], 0
        return parts

    def _end_block(self) -> None:
        if self._used:
            self._parts.append(self._block[: self._used])
            self._block, self._used = self._block[self._used :], 0
