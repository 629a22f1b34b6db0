"""Content that this sync has brought already: what comes a second time is copied there from where it went first.

A file that is sent whole becomes a source once all of it is on its way: its larger extents are remembered by 8 bytes of
their digests, and the receiver is told its path when the first copy is made. Should it lack the file by then, or should
eight bytes mislead, the roots differ and the file is sent again as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from packetfs.limits import BATCH_CONTROL, BATCH_LITERALS, PLACES_MAX, SOURCES_MAX
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.packed import Packer
from packetfs.packet.growing import GrowingIndex
from packetfs.packet.layout import Buffer, Op
from packetfs.packet.tree import produces
from packetfs.typing import Final

_WORTH: Final = 4096
"""Bytes of an extent that is looked up: shorter ones cost more work than their bytes."""
_OPEN_MAX: Final = 64
"""Sources that one file is copied from: the receiver keeps each open meanwhile."""
_OFFSET_BITS: Final = 40
_OFFSETS: Final = (1 << _OFFSET_BITS) - 1


class Brought:
    """The files that were sent whole, by extent."""

    def __init__(self, items: ItemWriter) -> None:
        self._items = items
        self._places = GrowingIndex()
        self._paths: list[bytes] = []
        self._last: Iterable[tuple[bytes, int]] = ()
        """Those of the last file, until somebody asks: nobody does behind the last of a sync."""
        self.room = SOURCES_MAX
        """Files that may become sources."""

    def start(self, path: bytes) -> BroughtFile:
        """Begin a file that is sent whole."""
        return BroughtFile(self, path)

    def find(self, digest: bytes) -> tuple[bytes, int] | None:
        """Return the path and the offset at which the receiver has an extent."""
        if self._last:
            self._index()
        for value in self._places.get(digest):
            return self._paths[value >> _OFFSET_BITS], value & _OFFSETS
        return None

    def declare(self, path: bytes) -> int:
        """Tell the receiver of a source, once, and return its number."""
        return self._items.source(path)

    def add(self, path: bytes, places: Iterable[tuple[bytes, int]]) -> None:
        """Take the extents of a file, with their offsets, now that it was sent."""
        if len(self._paths) >= self.room or len(self._places) >= PLACES_MAX:
            return
        self._index()
        self._paths.append(path)
        self._last = places

    def _index(self) -> None:
        number, places = len(self._paths) - 1, self._last
        self._last = ()
        for digest, offset in places:
            self._places.put(digest, number << _OFFSET_BITS | offset)


class BroughtFile:
    """One file on its way: packs each leaf as a copy of what was brought, or as its bytes."""

    def __init__(self, brought: Brought, path: bytes) -> None:
        self._brought = brought
        self._path = path
        self._new: list[tuple[bytes, int]] = []
        self._sources: set[int] = set()
        self._at = 0
        self.copied = 0

    def pack(self, packer: Packer, leaf: bytes, data: Callable[[], Buffer]) -> bool:
        """Pack the next leaf; `data` is asked for its bytes if they must travel, and True returned then."""
        size = produces(leaf)
        if leaf[0] == Op.FILL and int.from_bytes(leaf[4:8], "little") == 1:
            packer.fill(leaf[16], size)
            self._at += size
            return False
        copies = leaf[0] == Op.COPY and size >= _WORTH and self._copy(packer, leaf[16:48], size)
        if not copies:
            packer.literal(data())
        self._at += size
        return not copies

    def pack_new(self, packer: Packer, leaves: Sequence[bytes], data: Sequence[Buffer]) -> int:
        """Pack the first of some leaves that copy whole extents as their bytes, up to one that may have been brought or
        that none can be copied from later; return how many."""
        count, end = 0, self._at
        for leaf, content in zip(leaves, data, strict=True):
            size = len(content)
            if size < _WORTH or end > _OFFSETS or self._brought.find(leaf[16:48]) is not None:
                break
            self._new.append((leaf[16:48], end))
            end += size
            count += 1
        packer.literals_each(data[:count])
        self._at = end
        return count

    def _copy(self, packer: Packer, digest: bytes, size: int) -> bool:
        found = self._brought.find(digest)
        if found is None:
            if self._at <= _OFFSETS:
                self._new.append((digest, self._at))
            return False
        number = self._brought.declare(found[0])
        self._sources.add(number)
        if len(self._sources) > _OPEN_MAX:
            self._sources.discard(number)
            return False
        packer.copy_from(number, found[1], size)
        self.copied += size
        return True

    def end(self) -> None:
        """Know that all of it was sent."""
        if self._new:
            self._brought.add(self._path, self._new)


class WholeContent:
    """Writes one file's content to a packer, each leaf as one instruction."""

    def __init__(self, file: BroughtFile, read: Callable[[int, bytes], Buffer], packer: Packer) -> None:
        self._file = file
        self._read = read
        self._packer = packer

    @property
    def copied(self) -> int:
        return self._file.copied

    def run(self, leaves: Iterable[tuple[int, bytes]]) -> Iterator[None]:
        """Pack leaf by leaf; yields whenever the block so far should be taken."""
        for offset, leaf in leaves:
            self._file.pack(self._packer, leaf, partial(self._read, offset, leaf))
            if self._packer.literal_bytes >= BATCH_LITERALS or self._packer.size >= BATCH_CONTROL:
                yield
        self._file.end()
