"""The content of one file as it arrives: its delta is run, instruction by instruction, and the bytes come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from packetfs.errors import BadMessage, Unverified
from packetfs.net.items import BlockItem, EndItem
from packetfs.net.packed import COPY, FILL, LITERAL, Instruction, read_instructions
from packetfs.packet.layout import Buffer

_PIECE: Final = 1 << 20
"""Bytes that are copied from an old file at a time."""


@dataclass(frozen=True, slots=True)
class Run:
    """`length` times one byte."""

    byte: int
    length: int


class OldFile(Protocol):
    """A file that a delta copies from."""

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; fewer, or an error, where they are not there: the caller checks."""


class Delivery:
    """Runs the blocks that follow an ENTRY. Whatever happens to the bytes, `drain` leaves the stream behind END."""

    def __init__(
        self, path: bytes, size: int, blocks: Iterator[BlockItem | EndItem], source: Callable[[int], OldFile]
    ) -> None:
        """`source` opens what a COPY names: 0 is the base, others as they were declared."""
        self._path = path
        self.size = size
        self._blocks = blocks
        self._source = source
        self._opened: dict[int, OldFile] = {}
        self._ended = False

    def pieces(self) -> Iterator[Buffer | Run]:
        """Yield the new content in order; Unverified when it is longer or shorter than announced."""
        left, expected = self.size, 0
        for block in self._blocks:
            if isinstance(block, EndItem):
                self._ended = True
                break
            for item in read_instructions(block.instructions, expected):
                left -= item.length
                if left < 0:
                    raise Unverified(path=self._path)
                yield from self._run(item, block)
                expected = item.offset + item.length if item.kind == COPY else expected + item.length
        if left:
            raise Unverified(path=self._path)

    def drain(self) -> None:
        """Pass over what was not taken."""
        while not self._ended:
            block = next(self._blocks)
            if isinstance(block, EndItem):
                self._ended = True
            else:
                block.literals.at = _literals_end(block)

    def _run(self, item: Instruction, block: BlockItem) -> Iterator[Buffer | Run]:
        if item.kind == LITERAL:
            yield _take(block, item.length)
        elif item.kind == FILL:
            yield Run(item.byte, item.length)
        else:
            yield from self._copy(item)

    def _copy(self, item: Instruction) -> Iterator[bytes]:
        old = self._opened.get(item.source)
        if old is None:
            old = self._opened[item.source] = self._source(item.source)
        at, end = item.offset, item.offset + item.length
        while at < end:
            data = old.read(at, min(_PIECE, end - at))
            if not data:
                raise Unverified(path=self._path)
            at += len(data)
            yield data


def _take(block: BlockItem, length: int) -> Buffer:
    """Return the next literals without copying them."""
    cursor = block.literals
    start, end = cursor.at, cursor.at + length
    if end > cursor.end:
        raise BadMessage(reason="a block takes more literals than there are")
    cursor.at = end
    return memoryview(cursor.data)[start:end]


def _literals_end(block: BlockItem) -> int:
    """Return where the literals of a block end, as far as they were not taken."""
    wanted = sum(item.length for item in read_instructions(block.instructions) if item.kind == LITERAL)
    return min(block.start + wanted, block.literals.end)
