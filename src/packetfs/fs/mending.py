"""Whether what names lead to is held as it should be, byte by byte; damage makes room for what is stored again."""

from __future__ import annotations

from packetfs.fs.directory import node_of, split_node
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.gc import inner
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.layout import Op
from packetfs.pool.pool import Pool
from packetfs.pool.recovery import is_whole


def is_sound(pool: Pool, root: Digest, *, forget: bool) -> bool:
    """Read a file's program and all that it copies; tell whether everything is there and has its digest. `forget` lets
    the index lead to nothing that has not: it is lacking then, and who brings it again is not told that it is here."""
    sound, waiting, seen = True, [root], set[Digest]()
    while waiting:
        program = waiting.pop()
        if program in seen:
            continue
        seen.add(program)
        if not _is_held(pool, program, forget=forget):
            sound = False
            continue
        content: list[bytes] = []
        waiting.extend(inner(pool.read(program), content.append))
        for leaf in content:
            sound = _is_held(pool, node_of(leaf), forget=forget) and sound
    return sound


def mend_directories(fs: FileSystem, path: bytes) -> None:
    """Let the programs that are damaged, of a directory and all below it, be built again: the names are elsewhere."""
    waiting = [fs.paths.directory(path)]
    while waiting:
        ino = waiting.pop()
        base = fs.names.inode(ino).base
        if base != NO_DIGEST and not _is_built(fs.pool, base):
            fs.names.unbuild(ino)
        waiting += [inode.ino for inode in fs.names.inodes(ino) if inode.entry.is_dir]


def _is_built(pool: Pool, root: Digest) -> bool:
    """Tell whether all nodes of a directory's program are there; those that are not leave the index."""
    sound, waiting = True, [root]
    while waiting:
        node = waiting.pop()
        if _is_held(pool, node, forget=True):
            waiting += [node_of(part) for part in split_node(pool.read(node)) if part[0] == Op.TREE]
        else:
            sound = False
    return sound


def _is_held(pool: Pool, digest: Digest, *, forget: bool) -> bool:
    """Tell whether a copy of an extent is whole as it lies there now, whatever was verified before."""
    held = False
    with pool.lock:
        for extent in list(pool.lookup.extents(digest)):
            if pool.arena.is_gathered(extent.position) or is_whole(pool.arena, extent, pool.lookup.index.get):
                held = True
                continue
            pool.doubt(extent)
            if forget:
                pool.begin_writing()
                pool.forget(extent)
    return held
