"""Questions about a whole tree that one query answers: how much it holds, what a path was, where a file's names are."""

from __future__ import annotations

import stat

from packetfs.fs.directory import find_entry
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.namespace import Namespace
from packetfs.fs.paths import Paths
from packetfs.packet.digest import Digest
from packetfs.packet.entry import Entry
from packetfs.packet.tree import Store
from packetfs.typing import Final

_BELOW: Final = """
WITH RECURSIVE below(ino) AS (
    SELECT ino FROM entry WHERE parent=?
    UNION ALL
    SELECT entry.ino FROM entry JOIN below ON entry.parent=below.ino
)
SELECT count(*), coalesce(sum(size), 0) FROM below JOIN inode USING(ino) WHERE mode>>12=?
"""


def totals(fs: FileSystem, path: bytes = b"") -> tuple[int, int]:
    """Return the number of files below a directory and the sum of their bytes; each name counts."""
    files, size = fs.names.row(_BELOW, (Paths(fs.names).directory(path), stat.S_IFREG >> 12))
    return int(files), int(size)


def entry_in(store: Store, root: Digest, path: bytes) -> Entry | None:
    """Return what a path stands for in the directory whose program is `root`."""
    entry = None
    for name in path.split(b"/"):
        if entry is not None and not entry.is_dir:
            return None
        entry = find_entry(store, root, name)
        if entry is None:
            return None
        root = Digest(entry.root)
    return entry


def first_path(fs: FileSystem, ino: int, within: bytes = b"") -> bytes:
    """Return the first path, in walk order, that an inode has in a directory, relative to it."""
    top = Paths(fs.names).directory(within)
    paths = [_path(fs.names, parent, name, top) for parent, name in fs.names.names(ino)]
    return min((path for path in paths if path is not None), key=lambda path: path.split(b"/"))


def _path(names: Namespace, parent: int, name: bytes, top: int) -> bytes | None:
    parts = [name]
    while parent != top:
        above = names.names(parent)
        if not above:
            return None
        parent, name = above[0]
        parts.append(name)
    return b"/".join(reversed(parts))
