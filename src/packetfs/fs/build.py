"""Build the programs of dirty directories from the live namespace.

One that was built before takes over every node of its old program in which no name changed: of 100,000 names with one
changed, about 128 are encoded again. The result is that of building it whole, as nodes are cut by their leaves alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from packetfs.dataclass import dataclass, replace
from packetfs.errors import PacketFSError
from packetfs.fs.directory import DirectoryWriter, first_name, name_of, node_of, nodes_of, top_of
from packetfs.fs.namespace import Inode, Namespace
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.packet.head import Kind
from packetfs.packet.tree import Store, split


@dataclass(slots=True)
class _Open:
    """A directory whose program is being written, while those below it are. `child` is the one that it waits for."""

    ino: int
    parts: Iterator[Inode | bytes]
    writer: DirectoryWriter
    child: Entry | None = None


def build_directory(store: Store, names: Namespace, ino: int, mean: int, *, keep: bool = True) -> Digest:
    """Return the root of a directory, after giving each dirty one from it downwards a program. Depth costs no stack.

    The names then refer to these programs, and are dirty no more, if `keep`.
    """
    top = names.inode(ino)
    if not top.dirty:
        return top.base
    stack = [_open(store, names, top, mean)]
    while True:
        dirty = _advance(stack[-1])
        if dirty is not None:
            stack.append(_open(store, names, dirty, mean))
            continue
        done = stack.pop()
        root = done.writer.close()
        if keep:
            names.built(done.ino, root, done.writer.length)
        if not stack:
            return root
        _resume(stack[-1], root, done.writer.length)


def _open(store: Store, names: Namespace, inode: Inode, mean: int) -> _Open:
    writer = DirectoryWriter(store, Kind.DIRECTORY, mean)
    old = None if inode.base == NO_DIGEST else _OldProgram.load(store, inode.base)
    if old is None:
        return _Open(inode.ino, names.inodes(inode.ino), writer)
    return _Open(inode.ino, _revise(names, inode.ino, old, writer), writer)


def _advance(at: _Open) -> Inode | None:
    """Write a directory up to its next dirty directory, which is returned."""
    for part in at.parts:
        if isinstance(part, bytes):
            at.writer.add_leaf(part)
        elif part.dirty:
            at.child = part.entry
            return part
        else:
            at.writer.add_entry(part.entry)
    return None


def _resume(at: _Open, root: Digest, size: int) -> None:
    if at.child is not None:
        at.writer.add_entry(replace(at.child, root=root, size=size))
    at.child = None


class _OldProgram:
    """The nodes of a program with leaves in them, and the first name of each, read when asked for."""

    def __init__(self, store: Store, nodes: list[bytes], leaves: bytes) -> None:
        self._store = store
        self.nodes = nodes
        self._leaves = leaves
        self._first: dict[int, bytes] = {}

    @classmethod
    def load(cls, store: Store, root: Digest) -> _OldProgram | None:
        """Read the top of a program; None where the pool has lost a part, so that the directory is built whole."""
        try:
            nodes = nodes_of(store, root)
            return cls(store, nodes or [b""], b"" if nodes else top_of(store, root))
        except PacketFSError:
            return None

    def leaves(self, index: int) -> Iterator[bytes]:
        packet = self.nodes[index]
        return split(self._store.read(node_of(packet)) if packet else self._leaves)

    def holder(self, name: bytes) -> int:
        """Return the index of the node that has, or would have, a name."""
        return max(bisect_right(range(len(self.nodes)), name, key=self.first) - 1, 0)

    def first(self, index: int) -> bytes:
        """Return the first name of a node."""
        found = self._first.get(index)
        if found is None:
            found = self._first[index] = first_name(self._store, self.nodes[index]) if self.nodes[index] else b""
        return found


def _revise(names: Namespace, ino: int, old: _OldProgram, writer: DirectoryWriter) -> Iterator[Inode | bytes]:
    """Yield what belongs into a directory, but hand whole old nodes to the writer where nothing changed."""
    touched = names.touched(ino)
    upcoming = old.holder(touched[0]) if touched else len(old.nodes)
    for index, packet in enumerate(old.nodes):
        if index < upcoming and writer.between_nodes:
            writer.add_node(packet)
            continue
        last = index + 1 == len(old.nodes)
        count = len(touched) if last else bisect_left(touched, old.first(index + 1))
        yield from _merge(names, ino, old.leaves(index), touched[:count])
        del touched[:count]
        upcoming = old.holder(touched[0]) if touched else len(old.nodes)


def _merge(names: Namespace, ino: int, leaves: Iterator[bytes], touched: list[bytes]) -> Iterator[Inode | bytes]:
    """Yield old leaves and, in their places, what the touched names stand for now, if anything."""
    at = 0
    for leaf in leaves:
        name = name_of(leaf)
        reached = bisect_right(touched, name, at)
        yield from _present(names, ino, touched[at:reached])
        if reached == at or touched[reached - 1] != name:
            yield leaf
        at = reached
    yield from _present(names, ino, touched[at:])


def _present(names: Namespace, ino: int, wanted: list[bytes]) -> Iterator[Inode]:
    for name in wanted:
        found = names.child(ino, name)
        if found is not None:
            yield found
