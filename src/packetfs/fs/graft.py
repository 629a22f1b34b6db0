"""Put a stored directory into the live namespace: what restores a snapshot, or all names from the arena."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.dataclass import dataclass, replace
from packetfs.errors import PacketFSError
from packetfs.events import Listener, Trouble, ignore
from packetfs.fs.directory import entries_of
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import Digest
from packetfs.packet.entry import APART, Entry


@dataclass(slots=True)
class _Open:
    """A directory whose entries are being added; `tree` is the one around it that hard links belong to."""

    path: bytes
    ino: int
    tree: int
    root: Digest
    entries: Iterator[Entry]
    count: int = 0
    whole: bool = True


def graft(fs: FileSystem, path: bytes, directory: Entry, listener: Listener = ignore) -> int:
    """Make `path` the stored directory, in place of what is there; return how many directories were not whole.

    What cannot be read of a program is told as Trouble, and the rest is put in place.
    """
    name = path.rpartition(b"/")[2]
    fs.make_parents(path)
    if fs.entry(path) is not None:
        fs.remove(path)
    fs.set(path, replace(directory, name=name, target=b"", group=APART if path else 0))
    top = fs.paths.directory(path)
    stack = [_Open(path, top, top, Digest(directory.root), entries_of(fs.pool, Digest(directory.root)))]
    broken = 0
    while stack:
        below = _fill(fs, stack[-1], listener)
        if below is not None:
            stack.append(below)
            continue
        done = stack.pop()
        broken += not done.whole
        if done.whole and not broken:
            fs.names.built(done.ino, done.root, done.count)
    return broken


def _fill(fs: FileSystem, at: _Open, listener: Listener) -> _Open | None:
    """Add entries up to the next directory, which is returned open."""
    try:
        for entry in at.entries:
            at.count += 1
            is_link = entry.group and not entry.is_dir
            linked = fs.names.find_group(entry.group, at.tree) if is_link else None
            if linked is not None:
                fs.names.link(at.ino, entry.name, linked)
                continue
            ino = fs.names.add(at.ino, entry)
            if entry.is_dir:
                path = at.path + b"/" + entry.name if at.path else entry.name
                tree = ino if entry.group else at.tree
                return _Open(path, ino, tree, Digest(entry.root), entries_of(fs.pool, Digest(entry.root)))
    except PacketFSError as error:
        at.whole = False
        listener(Trouble(at.path, error.message))
    return None
