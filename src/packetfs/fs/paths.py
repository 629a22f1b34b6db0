"""Paths to inodes. Paths are bytes without a leading slash; b"" is the root directory."""

from __future__ import annotations

from packetfs.errors import BadPath, NotADirectory, NotFound, PathTooLong
from packetfs.fs.namespace import Inode, Namespace
from packetfs.fs.schema import ROOT_INO
from packetfs.limits import KNOWN_DIRECTORIES, PATH_MAX


class Paths:
    """Where paths lead, with the directories seen last remembered: a walk asks for the same one again and again."""

    def __init__(self, names: Namespace) -> None:
        self._names = names
        self._known: dict[bytes, int] = {b"": ROOT_INO}

    def forget(self) -> None:
        """Drop what is remembered, after a directory went away or moved."""
        self._known = {b"": ROOT_INO}

    def find(self, path: bytes) -> Inode | None:
        """Return the inode of a path."""
        if not path:
            return self._names.inode(ROOT_INO)
        above, _, name = path.rpartition(b"/")
        parent = self._walk(above)
        return None if parent is None else self._names.child(parent, name)

    def need(self, path: bytes) -> Inode:
        """Return the inode of a path that must exist."""
        found = self.find(path)
        if found is None:
            raise NotFound(path=path)
        return found

    def directory(self, path: bytes) -> int:
        """Return the inode number of a directory that must exist."""
        ino = self._known.get(path)
        if ino is None:
            found = self.need(path)
            if not found.entry.is_dir:
                raise NotADirectory(path=path)
            ino = found.ino
            if len(self._known) >= KNOWN_DIRECTORIES:
                self.forget()
            self._known[path] = ino
        return ino

    def place(self, path: bytes) -> tuple[int, bytes]:
        """Return directory and name of a path that is to be changed; the directory must exist."""
        if len(path) > PATH_MAX:
            raise PathTooLong(path=path[:64] + b"...", count=f"{len(path):,}", most=f"{PATH_MAX:,}")
        above, _, name = path.rpartition(b"/")
        if not name or name in (b".", b"..") or b"\0" in name or len(name) > 255:
            raise BadPath(path=path, reason="a part of it cannot be a name")
        return self.directory(above), name

    def _walk(self, path: bytes) -> int | None:
        """Return the inode number of a path, going down from the nearest directory that is remembered."""
        rest: list[bytes] = []
        while (ino := self._known.get(path)) is None:
            path, _, name = path.rpartition(b"/")
            rest.append(name)
        while rest and ino is not None:
            ino = self._names.lookup(ino, rest.pop())
        return ino
