"""Free what no name and no snapshot leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from packetfs.fs.directory import node_of, split_node
from packetfs.fs.filesystem import FileSystem
from packetfs.limits import NAMES_PAGE
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.layout import HEADER, CopyFlag, Op
from packetfs.packet.tree import Store
from packetfs.pool.gc import LiveSet, collect
from packetfs.typing import Final, TypeAlias

_DIGEST_END: Final = HEADER + 32
_COPY, _TREE, _ENTRY, _CALL = int(Op.COPY), int(Op.TREE), int(Op.ENTRY), int(Op.CALL)
_PROGRAM: Final = int(CopyFlag.PROGRAM)
"""Plain numbers: each operation on an enumeration costs 1 us here."""
_ROOTS: Final = "SELECT ino, root, dirty FROM inode WHERE ino>? AND root!=? ORDER BY ino LIMIT ?"

Take: TypeAlias = Callable[[bytes], object]
"""Is given every COPY leaf of content, and keeps what it copies, or does not."""


def collect_garbage(fs: FileSystem, keep: Iterable[Digest] = ()) -> int:
    """Commit, then free every extent that neither a name, a snapshot nor a root in `keep` needs; return the bytes.

    A program that cannot be read ends it with nothing freed: what it leads to could not be told from garbage.
    """
    fs.commit()
    live = LiveSet(fs.pool)

    def take(leaf: bytes) -> None:
        live.add(node_of(leaf), program=False)

    mark(fs.pool, live, roots_of(fs), take)
    mark(fs.pool, live, filter(fs.pool.holds, keep), take)
    return collect(fs.pool, live)


def roots_of(fs: FileSystem) -> Iterator[Digest]:
    """Yield the root of every file and built directory that has a name, and the record of every snapshot."""
    after = 0
    while rows := fs.names.rows(_ROOTS, (after, NO_DIGEST, NAMES_PAGE)):
        for _, root, dirty in rows:
            if not dirty or fs.pool.holds(root):
                yield Digest(root)
        after = rows[-1][0]
    for snapshot in fs.snapshots():
        yield snapshot.record


def mark(store: Store, live: LiveSet, roots: Iterable[Digest], take: Take) -> None:
    """Keep every program that the roots lead to; for the content that they copy, ask `take`.

    Roots are followed to their end one by one, so no more waits than the nodes on one path.
    """
    for root in roots:
        waiting = [root]
        while waiting:
            program = waiting.pop()
            if live.add(program, program=True):
                waiting.extend(inner(store.read(program), take))


def inner(node: bytes, take: Take) -> Iterator[Digest]:
    """Yield the programs that a node refers to, and give every COPY leaf of content to `take`."""
    for part in split_node(node):
        op = part[0]
        if op == _COPY and not part[1] & _PROGRAM:
            take(part)
        elif op in (_COPY, _TREE, _CALL):
            yield node_of(part)
        elif op == _ENTRY and part[HEADER:_DIGEST_END] != NO_DIGEST:
            yield Digest(part[HEADER:_DIGEST_END])
