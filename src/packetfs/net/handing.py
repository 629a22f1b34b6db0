"""Content by offset between two processes of one machine: the sender hands over open files, and says where in them it
lies. What is large never passes the socket.

A file is offered once, and copied from until the next one is: a segment of the pool's arena, or a file of the host. The
receiver reads it for itself and trusts none of it: what it computes is the root, as with any content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from packetfs.errors import BadMessage
from packetfs.limits import BATCH_CONTROL, BATCH_LITERALS
from packetfs.net.wire.items import ItemWriter
from packetfs.net.wire.packed import Packer
from packetfs.packet.layout import Buffer, Op
from packetfs.packet.tree import produces
from packetfs.typing import NamedTuple, Protocol


class Place(NamedTuple):
    """Where content lies: a file, by what tells it from others, and open; and the offset in it."""

    key: object
    descriptor: int
    offset: int


class Located(Protocol):
    """A source that knows where its content lies."""

    def place(self, path: bytes, offset: int, leaf: bytes) -> Place | None:
        """Return where the bytes of a leaf lie as they are, None where they do not (they may be compressed)."""

    def read(self, path: bytes, offset: int, leaf: bytes) -> Buffer:
        """Return the bytes themselves."""


class Handing:
    """Offers files, each once for all content that follows from it."""

    def __init__(self, items: ItemWriter) -> None:
        self._items = items
        self._offered: object = None

    def has_offered(self, key: object) -> bool:
        return self._offered == key

    def offer(self, key: object, descriptor: int) -> None:
        """Hand a file over, behind all that was written of the one before."""
        self._items.offer(descriptor)
        self._offered = key


class HandedContent:
    """Writes one file's content to a packer, each leaf as one instruction: a copy where it lies in an open file."""

    def __init__(self, handing: Handing, source: Located, path: bytes, packer: Packer) -> None:
        self._handing = handing
        self._source = source
        self._path = path
        self._packer = packer
        self.copied = 0

    def run(self, leaves: Iterable[tuple[int, bytes]]) -> Iterator[None]:
        """Pack leaf by leaf; yields whenever the block so far should be taken."""
        for offset, leaf in leaves:
            place = self._source.place(self._path, offset, leaf) if leaf[0] == Op.COPY else None
            if place is None:
                self._pack(offset, leaf)
            else:
                if not self._handing.has_offered(place.key):
                    yield
                    self._handing.offer(place.key, place.descriptor)
                self._packer.copy(place.offset, produces(leaf))
                self.copied += produces(leaf)
            if self._packer.size >= BATCH_CONTROL or self._packer.literal_bytes >= BATCH_LITERALS:
                yield

    def _pack(self, offset: int, leaf: bytes) -> None:
        if leaf[0] == Op.FILL and int.from_bytes(leaf[4:8], "little") == 1:
            self._packer.fill(leaf[16], produces(leaf))
        else:
            self._packer.literal(self._source.read(self._path, offset, leaf))


class HandedFiles:
    """What the other side hands over, one file after another: copies are from the last."""

    def __init__(self) -> None:
        self._descriptor = -1

    def take(self, descriptor: int) -> None:
        """Take over a descriptor; BadMessage where reading from it could wait for somebody."""
        self.close()
        self._descriptor = descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadMessage(reason="what is offered is no file")

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; fewer at the end of the file."""
        if self._descriptor < 0:
            raise BadMessage(reason="a copy in a file that has no base")
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
