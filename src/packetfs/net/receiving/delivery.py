"""The content of one file as it arrives: its delta is run, instruction by instruction, and the bytes come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from packetfs.dataclass import dataclass
from packetfs.errors import Abandoned, BadMessage, PacketFSError, TooLong, Unverified
from packetfs.limits import COPIED_MAX, EXTENT_MAX, RUNS_MAX
from packetfs.net.receiving.spans import Spans
from packetfs.net.wire.batch import WHOLE, Content
from packetfs.net.wire.items import AbandonItem, BlockItem, EndItem
from packetfs.net.wire.packed import FILL, LITERAL, Expected, Instruction, Packer, read_instructions
from packetfs.net.wire.varint import Cursor
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, Protocol

_PIECE: Final = 1 << 20
"""Bytes that are copied from an old file at a time; of content that is sent whole, an extent."""
_ANYWHERE: Final = 1 << 128
"""An offset that no number of relative steps back in one frame leads below zero."""


@dataclass(frozen=True, slots=True)
class Run:
    """`length` times one byte."""

    byte: int
    length: int


class OldFile(Protocol):
    """A file that a delta copies from."""

    def read(self, offset: int, length: int) -> Buffer:
        """Return bytes; fewer, or an error, where they are not there: the caller checks."""


def _nothing() -> None:
    """Nobody keeps what was yielded."""


class Delivery:
    """Runs the blocks that follow an ENTRY. Whatever happens to the bytes, `drain` leaves the stream behind END."""

    def __init__(
        self,
        path: bytes,
        size: int,
        content: Content,
        blocks: Iterator[BlockItem | EndItem | AbandonItem],
        source: Callable[[int], OldFile],
    ) -> None:
        """`source` opens what a COPY names: 0 is the base, STALE the stale content, others as they were declared."""
        self.whole = content in WHOLE
        self.early = content is Content.EARLY
        self.kind = content
        self.path = path
        self.size = size
        self._blocks = blocks
        self._source = source
        self._opened: dict[int, OldFile] = {}
        self._block: BlockItem | None = None
        self._ended = False
        self._broken: PacketFSError | None = None
        self._runs = 0

    def pieces(self, settle: Callable[[], None] = _nothing) -> Iterator[Buffer | Run]:
        """Yield the new content in order; Unverified when it is longer or shorter than announced.

        `settle` is called whenever the memory of what was yielded is about to change.
        """
        left, expected = self.size, Expected()
        while (block := self._next()) is not None:
            for item in self._instructions(block, expected):
                left -= item.length
                if left < 0:
                    raise Unverified(path=self.path)
                self._check(item)
                if item.kind == LITERAL:
                    yield self._take(block, item.length)
                elif item.kind == FILL:
                    yield Run(item.byte, item.length)
                else:
                    yield from self._copy(item)
            settle()
        if left:
            raise Unverified(path=self.path)

    def spans(self, take: Callable[[Instruction, bytes], None] | None = None) -> Spans:
        """Return the same content as instructions, to be read where it must be, instead of its pieces."""
        return Spans(self.path, self.size, self._steps(), self._read, take)

    def _steps(self) -> Iterator[tuple[Instruction, bytes]]:
        """Yield the instructions, each with its literals."""
        expected = Expected()
        while (block := self._next()) is not None:
            for item in self._instructions(block, expected):
                self._check(item)
                yield item, bytes(self._take(block, item.length)) if item.kind == LITERAL else b""

    def open(self, source: int) -> OldFile:
        """Return what copies from a source copy from."""
        old = self._opened.get(source)
        if old is None:
            old = self._opened[source] = self._source(source)
        return old

    def _read(self, item: Instruction, offset: int, length: int) -> Buffer:
        return self.open(item.source).read(offset, length)

    def drain(self) -> None:
        """Pass over what was not taken. A stream that broke while it was read breaks here again: nothing follows it."""
        if self._broken is not None:
            raise self._broken
        while not self._ended:
            if self._block is not None:
                self._block.literals.at = _literals_end(self._block)
            with suppress(Abandoned):
                self._next()

    def _next(self) -> BlockItem | None:
        """Return the next block, None behind the last."""
        self._block = None
        try:
            block = next(self._blocks)
        except StopIteration:  # the stream was closed, by Ctrl-C say
            self._ended = True
            return None
        except PacketFSError as error:
            self._broken = error  # not this file's fault: whoever goes on with the next file must see it
            raise
        if isinstance(block, AbandonItem):
            self._ended = True
            raise Abandoned(path=self.path)
        if isinstance(block, EndItem):
            self._ended = True
        else:
            self._block = block
        return self._block

    def _instructions(self, block: BlockItem, expected: Expected) -> Iterator[Instruction]:
        try:
            yield from read_instructions(block.instructions, expected)
        except BadMessage as error:
            self._broken = error
            raise

    def _check(self, item: Instruction) -> None:
        """Refuse what no sender of a file as it was announced can ask for."""
        if item.kind == FILL:
            self._runs += item.length
            if self._runs > RUNS_MAX:
                raise TooLong(path=self.path, size=self._runs, limit=RUNS_MAX)
        elif item.offset + item.length > COPIED_MAX:
            raise Unverified(path=self.path)

    def _copy(self, item: Instruction) -> Iterator[Buffer]:
        old = self.open(item.source)
        at, end = item.offset, item.offset + item.length
        while at < end:
            data = old.read(at, min(EXTENT_MAX if self.whole else _PIECE, end - at))
            if not data:
                raise Unverified(path=self.path)
            at += len(data)
            yield data

    def _take(self, block: BlockItem, length: int) -> Buffer:
        """Return the next literals without copying them."""
        cursor = block.literals
        start, end = cursor.at, cursor.at + length
        if end > cursor.end:
            raise self._break("a block takes more literals than there are")
        cursor.at = end
        return memoryview(cursor.data)[start:end]

    def _break(self, reason: str) -> BadMessage:
        self._broken = error = BadMessage(reason=reason)
        return error


def copied(path: bytes, size: int, source: Callable[[], OldFile]) -> Delivery:
    """Return the delivery of a file that has all of another one and nothing else."""
    packer = Packer()
    if size:
        packer.copy(0, size)
    block = BlockItem(packer.take()[0], Cursor(b""), 0)
    return Delivery(path, size, Content.DELTA, iter([block, EndItem()]), lambda _: source())


def _literals_end(block: BlockItem) -> int:
    """Return where the literals of a block end, taken or not.

    Where its copies come from is of no interest any more, and relative to blocks that were passed over.
    """
    items = read_instructions(block.instructions, Expected(_ANYWHERE, _ANYWHERE))
    return min(block.start + sum(item.length for item in items if item.kind == LITERAL), block.literals.end)
