"""Free what no name and no snapshot leads to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from packetfs.fs.directory import node_of, split_node
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.layout import HEADER, CopyFlag, Op
from packetfs.packet.tree import Store
from packetfs.pool.gc import collect

_DIGEST_END: Final = HEADER + 32


def collect_garbage(fs: FileSystem, keep: Iterable[Digest] = ()) -> int:
    """Commit, then free every extent that neither a name, a snapshot nor a root in `keep` needs; return the bytes.

    A program that cannot be read ends it with nothing freed: what it leads to could not be told from garbage.
    """
    fs.commit()
    optional = {root for root in keep if fs.pool.holds(root)}
    return collect(fs.pool, live_digests(fs.pool, [*roots_of(fs), *optional]))


def roots_of(fs: FileSystem) -> Iterator[Digest]:
    """Yield the root of every file and built directory that has a name, and the record of every snapshot."""
    for (root,) in fs.names.rows("SELECT DISTINCT root FROM inode WHERE root!=? AND NOT dirty", (NO_DIGEST,)):
        yield Digest(root)
    for (root,) in fs.names.rows("SELECT root FROM inode WHERE root!=? AND dirty", (NO_DIGEST,)):
        if fs.pool.holds(root):
            yield Digest(root)
    for snapshot in fs.snapshots():
        yield snapshot.record


def live_digests(store: Store, roots: Iterable[Digest]) -> set[Digest]:
    """Return every extent that programs lead to, themselves included."""
    live: set[Digest] = set()
    waiting = list(roots)
    while waiting:
        program = waiting.pop()
        if program in live:
            continue
        live.add(program)
        for part in split_node(store.read(program)):
            op = part[0]
            if op == Op.COPY and not part[1] & CopyFlag.PROGRAM:
                live.add(node_of(part))
            elif op in (Op.COPY, Op.TREE):
                waiting.append(node_of(part))
            elif op == Op.ENTRY and part[HEADER:_DIGEST_END] != NO_DIGEST:
                waiting.append(Digest(part[HEADER:_DIGEST_END]))
    return live
