"""Content on its way while the sender still reads: a first copy needs nothing of the receiver, so it need not wait.

Files that are new to the sender's history are packed leaf by leaf as they are cut and hashed, and the receiver writes
them at the same time.

- A large file travels while it is read. Its entry follows in the ordinary pass, and what the two compare is the roots.
- A small one waits until it has been read, and then travels with its final entry, as the ordinary pass would send it.
  That pass goes over the same names in the same order, so a mark of 4 bytes is enough to know what has gone: 100,000
  files of 1 KB take half the time, as both sides work at once and the sender need not read back what it stored.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from packetfs.errors import PacketFSError
from packetfs.limits import EARLY_MIN
from packetfs.net.handing import Handing
from packetfs.net.sending.brought import Brought, BroughtFile
from packetfs.net.wire.batch import Content, Origin
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.packed import Packer
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import produces
from packetfs.typing import Final

_MARKS_MAX: Final = 1 << 20
"""Small files that go early at the most: 4 MB of marks. The rest goes the ordinary way."""
_MARKS_AHEAD: Final = 64
"""Marks that are looked at for one file: some may belong to files that are no longer what was sent."""


class Early:
    """Sends files while they are imported, and knows afterwards which arrived."""

    def __init__(self, items: ItemWriter, handing: Handing | None = None) -> None:
        """`handing`: large files need not travel, the receiver reads them where they lie."""
        self._items = items
        self.brought = Brought(items)
        self.handing = handing
        self._marks = array("I")
        self._passed = 0
        self.roots: dict[bytes, Digest] = {}
        """Content that was sent without its entry, by path."""
        self.copied = 0
        """Bytes that were copied from what had been sent before."""
        self.error: PacketFSError | None = None

    def offer(self, path: bytes, fd: int, size: int, make: Callable[[], Entry]) -> LargeFile | SmallFile | None:
        """Return what takes the leaves of an open file, or None where it cannot go early; `make` gives its entry so
        far."""
        if self.error is not None:
            return None
        if size >= EARLY_MIN:
            return LargeFile(self, self._items, path, fd, make())
        return SmallFile(self, self._items, path) if len(self._marks) < _MARKS_MAX else None

    def end(self, file: BroughtFile) -> None:
        """Take a file that was sent whole for a source."""
        file.end()
        self.copied += file.copied

    def mark(self, path: bytes, entry: Entry) -> None:
        """Remember a file that was sent whole."""
        self._marks.append(_mark(path, entry))

    def has_sent(self, path: bytes, entry: Entry) -> bool:
        """Tell whether a file was sent whole, with this entry. Files must be asked for in the order of the import."""
        try:
            found = self._marks.index(_mark(path, entry), self._passed, self._passed + _MARKS_AHEAD)
        except ValueError:
            return False
        self._passed = found + 1
        return True


def _mark(path: bytes, entry: Entry) -> int:
    """Return 32 bits that another process cannot foresee; should they mislead, the receiver's root tells."""
    return hash((path, entry)) & 0xFFFFFFFF


def _data(leaf: bytes, data: memoryview) -> memoryview | bytes:
    """Return the bytes of a leaf that is no run; short ones stand in it."""
    return data if leaf[0] == Op.COPY else leaf[16 : 16 + produces(leaf)]


class SmallFile:
    """One file that is sent once it is known to be whole."""

    def __init__(self, early: Early, items: ItemWriter, path: bytes) -> None:
        self._early = early
        self._items = items
        self._path = path
        self._file = early.brought.start(path)
        self._packer = Packer(merging=False)

    def leaf(self, leaf: bytes, data: memoryview) -> None:
        self._file.pack(self._packer, leaf, lambda: bytes(_data(leaf, data)))

    def extents(self, leaves: Sequence[bytes], data: Sequence[memoryview]) -> None:
        for leaf, content in zip(leaves, data, strict=True):
            self.leaf(leaf, content)

    def settle(self) -> None:
        """Nothing refers to the memory of the import."""

    def end(self, root: Digest) -> None:
        """The entry that is accepted has the root."""

    def refuse(self) -> None:
        """Nothing was sent."""

    def accept(self, entry: Entry, links: int) -> None:
        if self._early.error is not None or links > 1:
            return  # a file of several names goes with them, in the ordinary pass
        try:
            self._items.entry(self._path, entry, Content.LITERAL)
            self._items.block(self._packer)
            self._items.end()
        except PacketFSError as error:
            self._early.error = error
        else:
            self._early.end(self._file)
            self._early.mark(self._path, entry)


class LargeFile:
    """One file under way. A lost connection is kept for the sender to raise: the import itself is not at fault."""

    def __init__(self, early: Early, items: ItemWriter, path: bytes, fd: int, entry: Entry) -> None:
        self._early = early
        self._items = items
        self._path = path
        self._fd = fd
        self._at = self._first = self._last = 0  # in the file: here, and the first and last literal that waits
        self._file = early.brought.start(path)
        self._packer = Packer(merging=False)
        self._root = NO_DIGEST
        if (handing := early.handing) is not None:
            self._send(lambda: handing.offer(self, fd))
        self._send(lambda: self._items.entry(path, entry, Content.EARLY))

    def leaf(self, leaf: bytes, data: memoryview) -> None:
        if self._early.error is not None:
            return
        if self._early.handing is not None and leaf[0] == Op.COPY:
            self._packer.copy(self._at, produces(leaf))
            self._at += produces(leaf)
            return
        start, waiting = self._at, self._packer.literal_bytes
        self._at += produces(leaf)
        if self._file.pack(self._packer, leaf, lambda: _data(leaf, data)):
            self._first = self._first if waiting else start
            self._last = self._at

    def extents(self, leaves: Sequence[bytes], data: Sequence[memoryview]) -> None:
        taken, waiting = 0, self._packer.literal_bytes
        if self._early.error is None and self._early.handing is None:
            taken = self._file.pack_new(self._packer, leaves, data)
        if taken:
            self._first = self._first if waiting else self._at
            self._at += self._packer.literal_bytes - waiting
            self._last = self._at
        for leaf, content in zip(leaves[taken:], data[taken:], strict=True):
            self.leaf(leaf, content)

    def settle(self) -> None:
        """Send what there is: it is not copied, and its memory changes next."""
        if self._packer.literal_bytes or self._packer.size:
            self._block()

    def end(self, root: Digest) -> None:
        self._block()  # before the memory of the import changes
        self._root = root

    def refuse(self) -> None:
        self._send(self._items.abandon)

    def accept(self, entry: Entry, links: int) -> None:  # noqa: ARG002 (small files look at them)
        """Let the content stand; the entry follows in the ordinary pass."""
        self._send(self._items.end)
        if self._early.error is None:
            self._early.end(self._file)
            self._early.roots[self._path] = self._root

    def _block(self) -> None:
        is_one_piece = self._last - self._first == self._packer.literal_bytes  # no run lies between
        origin = Origin(self._fd, self._first) if is_one_piece else None
        self._send(lambda: self._items.block(self._packer, origin))
        self._send(self._items.flush)

    def _send(self, action: Callable[[], None]) -> None:
        if self._early.error is not None:
            return
        try:
            action()
        except PacketFSError as error:
            self._early.error = error
