"""Items of batches: written in order by the sender, read in order by the receiver, paths against the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from packetfs.dataclass import dataclass
from packetfs.errors import BadMessage
from packetfs.limits import BATCH_CONTROL, BATCH_LITERALS, FRAME_MAX, LEVELS_MAX, PATH_MAX
from packetfs.net.wire.batch import Batch, Content, Item, Origin
from packetfs.net.wire.literals import Literals
from packetfs.net.wire.packed import Packer, pack_entry, read_entry
from packetfs.net.wire.varint import Cursor, write_bytes, write_varint
from packetfs.packet.entry import Entry, check_name
from packetfs.typing import Final, NamedTuple


class PathWriter:
    """Writes each path as what it shares with the one before, and the rest."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b""

    def write(self, out: bytearray, path: bytes) -> None:
        shared = shared_prefix(self._last, path)
        write_varint(out, shared)
        write_bytes(out, path[shared:])
        self._last = path


class PathReader:
    """Reads what PathWriter wrote, and refuses what is no path inside a tree."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b""

    def read(self, cursor: Cursor) -> bytes:
        shared = cursor.varint(len(self._last) + 1)
        path = self._last[:shared] + cursor.bytes(PATH_MAX)
        check_path(path, self._last.rfind(b"/", 0, shared) + 1)
        self._last = path
        return path


def shared_prefix(a: bytes, b: bytes) -> int:
    """Return how many bytes two paths begin with in common."""
    size = min(len(a), len(b))
    if a[:size] == b[:size]:
        return size
    low, high = 0, size
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


def check_path(path: bytes, start: int = 0) -> None:
    """Refuse a path that could leave the tree; the root itself is the empty path. Names before `start` are known."""
    if len(path) > PATH_MAX or path.count(b"/") >= LEVELS_MAX:
        raise BadMessage(reason="a path is too long")
    for name in path[start:].split(b"/") if path else ():
        check_name(name)


def base_name(path: bytes) -> bytes:
    """Return the last name of a path; the root has the name `.`, which no entry can have."""
    return path.rpartition(b"/")[2] or b"."


_CONTENTS: Final = tuple(Content)


class ItemWriter:
    """Collects items into batches and hands each over when it is large enough."""

    def __init__(self, send: Callable[[Batch], None]) -> None:
        self._send = send
        self._paths = PathWriter()
        self._sources: dict[bytes, int] = {}
        self._control = bytearray()
        self._literals = Literals()
        self._origin: Origin | None = None
        self.total_literals = 0
        self.total_control = 0

    def entry(self, path: bytes, entry: Entry, content: Content, base: int = 0) -> None:
        """Announce an entry; `base` is the number of the source that its blocks copy from, 0 = its old version."""
        self._begin(Item.ENTRY, path)
        self._control.append(content)
        if content is Content.DELTA:
            write_varint(self._control, base)
        pack_entry(self._control, entry)

    def source(self, path: bytes) -> int:
        """Declare what later content may copy from, once, and return its number; nothing is sent by it."""
        number = self._sources.get(path)
        if number is None:
            self._control.append(Item.SOURCE)
            self._paths.write(self._control, path)
            number = self._sources[path] = len(self._sources) + 1
        return number

    def remove(self, path: bytes) -> None:
        self._begin(Item.REMOVE, path)

    def link(self, path: bytes, entry: Entry, leader: bytes) -> None:
        self._begin(Item.LINK, path)
        pack_entry(self._control, entry)
        write_bytes(self._control, leader)

    def offer(self, descriptor: int) -> None:
        """Hand over an open file, of which the content that follows may be copied; it may be closed afterwards."""
        self.flush()
        self._send(Batch(bytes([Item.OFFER]), (), descriptor=descriptor))

    def block(self, packer: Packer, origin: Origin | None = None) -> None:
        """Append what the packer has; literals and the instructions that take them stay in one batch.

        `origin`: where its literals lie in an open file, until the batch is flushed.
        """
        instructions, literals = packer.take()
        if not instructions:
            return
        size = sum(map(len, literals))
        if self._literals.size and self._literals.size + size > BATCH_LITERALS:
            self.flush()
        self._control.append(Item.BLOCK)
        write_bytes(self._control, instructions)
        self._origin = origin if not self._literals.size else self._origin if not literals else None
        for part in literals:
            self._literals.add(part)
        self._flush_if_full()

    def end(self) -> None:
        """Close the content of the last entry."""
        self._control.append(Item.END)
        self._flush_if_full()

    def abandon(self) -> None:
        """Take back the content of the last entry."""
        self._control.append(Item.ABANDON)
        self._flush_if_full()

    def flush(self) -> None:
        """Send what there is."""
        if self._control:
            self.total_literals += self._literals.size
            self.total_control += len(self._control)
            self._send(Batch(self._control, self._literals.take(), self._origin))
            self._control, self._origin = bytearray(), None

    def _begin(self, item: Item, path: bytes) -> None:
        self._flush_if_full()
        self._control.append(item)
        self._paths.write(self._control, path)

    def _flush_if_full(self) -> None:
        if self._literals.size >= BATCH_LITERALS or len(self._control) >= BATCH_CONTROL:
            self.flush()


class EntryItem(NamedTuple):
    """An entry, and which content follows."""

    path: bytes
    entry: Entry
    content: Content
    base: int


class BlockItem(NamedTuple):
    """Instructions for the last entry, with their literals."""

    instructions: bytes
    literals: Cursor
    start: int


@dataclass(frozen=True, slots=True)
class EndItem:
    """The last entry's content is whole."""


@dataclass(frozen=True, slots=True)
class AbandonItem:
    """What came of the last entry's content is to be forgotten."""


@dataclass(frozen=True, slots=True)
class RemoveItem:
    """A name that the source no longer has."""

    path: bytes


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A file that later items may copy from: as it was before this sync, or if it was not, as this sync brought it."""

    path: bytes


@dataclass(frozen=True, slots=True)
class LinkItem:
    """One more name of the file that `leader` names."""

    path: bytes
    entry: Entry
    leader: bytes


@dataclass(frozen=True, slots=True)
class OfferItem:
    """A file of this machine came along, to copy from."""


AnyItem = OfferItem | EntryItem | BlockItem | EndItem | AbandonItem | RemoveItem | SourceItem | LinkItem


class ItemReader:
    """Turns batches back into items."""

    def __init__(self) -> None:
        self._paths = PathReader()

    def read(self, batch: Batch) -> Iterator[AnyItem]:
        """Yield a batch's items; a block's literals must be taken before the next item is asked for."""
        cursor = Cursor(batch.control)
        literals = Cursor(batch.literals[0])
        while not cursor.done:
            yield self._item(cursor, literals)
        literals.finish()

    def _item(self, cursor: Cursor, literals: Cursor) -> AnyItem:
        kind = cursor.byte()
        if kind == Item.BLOCK:
            return BlockItem(cursor.bytes(FRAME_MAX), literals, literals.at)
        if kind == Item.END:
            return EndItem()
        if kind == Item.ABANDON:
            return AbandonItem()
        if kind == Item.OFFER:
            return OfferItem()
        path = self._paths.read(cursor)
        if kind == Item.ENTRY:
            return self._entry(cursor, path)
        if kind == Item.REMOVE:
            return RemoveItem(path)
        if kind == Item.SOURCE:
            return SourceItem(path)
        if kind == Item.LINK:
            entry = read_entry(cursor, base_name(path))
            leader = cursor.bytes(PATH_MAX)
            check_path(leader)
            return LinkItem(path, entry, leader)
        raise BadMessage(reason=f"item kind {kind} is unknown")

    def _entry(self, cursor: Cursor, path: bytes) -> EntryItem:
        content = cursor.byte()
        if content >= len(_CONTENTS):
            raise BadMessage(reason=f"content kind {content} is unknown")
        base = cursor.varint(1 << 32) if content == Content.DELTA else 0
        entry = read_entry(cursor, base_name(path))
        if content and not entry.is_file:
            raise BadMessage(reason="content of something that is no file")
        return EntryItem(path, entry, _CONTENTS[content], base)
