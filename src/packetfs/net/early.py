"""Content on its way while the sender still reads it: a first copy needs nothing of the receiver, so it need not wait.

Files that are new to the sender's history are packed leaf by leaf as they are cut and hashed, and the receiver writes
them at the same time. What the two then compare is only the roots. Small files are left to the ordinary pass: there is
little to gain, and each would name its root twice.
"""

from __future__ import annotations

from packetfs.errors import PacketFSError
from packetfs.limits import EARLY_MIN
from packetfs.net.batch import Content
from packetfs.net.items import ItemWriter
from packetfs.net.packed import Packer
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Op
from packetfs.packet.tree import produces


class Early:
    """Sends files while they are imported; `roots` has what arrived, by path."""

    def __init__(self, items: ItemWriter) -> None:
        self._items = items
        self.roots: dict[bytes, Digest] = {}
        self.error: PacketFSError | None = None

    def offer(self, path: bytes, entry: Entry) -> EarlyFile | None:
        """Return what takes the leaves of a file, or None where that does not pay."""
        if entry.size < EARLY_MIN or self.error is not None:
            return None
        return EarlyFile(self, self._items, path, entry)


class EarlyFile:
    """One file under way. A lost connection is kept for the sender to raise: the import itself is not at fault."""

    def __init__(self, early: Early, items: ItemWriter, path: bytes, entry: Entry) -> None:
        self._early = early
        self._items = items
        self._path = path
        self._packer = Packer(merging=False)
        self._items.entry(path, entry, Content.EARLY)

    def leaf(self, leaf: bytes, data: memoryview) -> None:
        if self._early.error is not None:
            return
        packer = self._packer
        if leaf[0] == Op.FILL:
            packer.fill(leaf[16], produces(leaf))
        else:
            packer.literal(data if leaf[0] == Op.COPY else leaf[16 : 16 + produces(leaf)])

    def settle(self) -> None:
        """Send what there is: it is not copied, and its memory changes next."""
        if self._packer.literal_bytes:
            self._block()

    def end(self, root: Digest) -> None:
        self._block()
        if self._early.error is None:
            self._items.end()
            self._early.roots[self._path] = root

    def _block(self) -> None:
        try:
            self._items.block(self._packer)
            self._items.flush()
        except PacketFSError as error:
            self._early.error = error
