"""A program that is written takes whole nodes of an older one where nothing in them changed."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.packet.digest import Digest
from packetfs.packet.layout import HEADER, PACKET, Op
from packetfs.packet.tree import Store, TreeWriter, produces, split
from packetfs.typing import Final

_DIGEST_END: Final = HEADER + 32


class NodeWriter(TreeWriter):
    """A TreeWriter that also takes whole nodes."""

    __slots__ = ()

    @property
    def between_nodes(self) -> bool:
        """Whether the next leaf begins a node."""
        return not self._levels[0].leaves

    def add_node(self, packet: bytes) -> None:
        """Append a whole node, by its TREE packet of level 1, where no node is open."""
        if len(self._levels) == 1:
            self._levels.append(type(self._levels[0])())
        size = produces(packet)
        self._length += size
        self._add(1, packet, size, packet[HEADER:_DIGEST_END])


def lowest_nodes(store: Store, root: Digest) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, TREE packet) of the nodes that hold leaves, in order; none where the root itself holds them."""
    stack = list(_placed(store.read(root)[PACKET:]))[::-1]
    while stack:
        at, packet = stack.pop()
        if packet[0] != Op.TREE:
            return
        if packet[_DIGEST_END] == 1:
            yield at, packet
        else:
            inner = list(_placed(store.read(Digest(packet[HEADER:_DIGEST_END]))))
            stack += [(at + offset, below) for offset, below in reversed(inner)]


def _placed(node: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for packet in split(node):
        yield at, packet
        at += produces(packet)
