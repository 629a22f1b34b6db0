"""What a path in the pool stands for, now or in a snapshot: what cat, ls, stat, get and disasm share."""

from __future__ import annotations

import stat

from packetfs.dataclass import replace
from packetfs.errors import NoSnapshot, NotADirectory, NotAFile, NotFound
from packetfs.frontends.cli.names import raw
from packetfs.frontends.cli.sizes import format_size
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.typing import Final, Iterator

KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "block device",
}


class View:
    """The pool's names as they are now, or as a snapshot has them."""

    def __init__(self, filesystem: FileSystem, snapshot: str | None = None) -> None:
        self._filesystem = filesystem
        self._snapshot = None if snapshot is None else raw(snapshot)
        self.base: Final = b"" if self._snapshot is None else self._find_base(self._snapshot)
        """The directory of the pool that it shows."""

    @property
    def is_live(self) -> bool:
        """Whether it shows the names as they are now."""
        return self._snapshot is None

    def _find_base(self, name: bytes) -> bytes:
        for snapshot in self._filesystem.snapshots():
            if snapshot.name == name:
                return snapshot.path
        raise NoSnapshot(name=name)

    def entry(self, path: bytes) -> Entry:
        """Return what a path stands for; NotFound where it stands for nothing."""
        if self._snapshot is not None:
            return self._filesystem.resolve(self._snapshot, self._inside(path))
        entry = self._filesystem.entry(path)
        if entry is None:
            raise NotFound(path=path)
        return entry

    def _inside(self, path: bytes) -> bytes:
        """Return a path of the pool relative to the snapshot's directory; others are relative to it already."""
        if path == self.base:
            return b""
        return path.removeprefix(self.base + b"/") if self.base else path

    def file(self, path: bytes) -> Entry:
        """Return the entry of a regular file."""
        entry = self.entry(path)
        if not entry.is_file:
            raise NotAFile(path=path)
        return self._run(entry) if self._waits(entry) else entry

    def _waits(self, entry: Entry) -> bool:
        """Tell whether an entry is a derived file that was not run yet."""
        if entry.size:
            return False
        from packetfs.fs.derived import waits  # few files are empty

        return waits(self._filesystem.pool, entry)

    def _run(self, entry: Entry) -> Entry:
        """Return the entry of a derived file as it is once its program has run."""
        from packetfs.frontends.deriving import run_now  # few files are derived

        done = run_now(self._filesystem.pool.path, Digest(entry.root))
        return replace(entry, root=done.root, size=done.size)

    def children(self, path: bytes, entry: Entry) -> Iterator[Entry]:
        """Yield the entries of a directory, by name."""
        if not entry.is_dir:
            raise NotADirectory(path=path)
        if self._snapshot is None:
            return self._filesystem.children(path)
        from packetfs.fs.directory import entries_of  # most directories are live ones

        return entries_of(self._filesystem.pool, Digest(entry.root))

    def walk(self, path: bytes, entry: Entry) -> Iterator[tuple[bytes, Entry]]:
        """Yield (path, entry) of everything below a directory, each directory before what is in it."""
        waiting = [(path, self.children(path, entry))]
        while waiting:
            above, entries = waiting[-1]
            child = next(entries, None)
            if child is None:
                waiting.pop()
                continue
            below = join(above, child.name)
            yield below, child
            if child.is_dir:
                waiting.append((below, self.children(below, child)))


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of a name in a directory of the pool."""
    return directory + b"/" + name if directory else name


def kind_of(entry: Entry) -> str:
    """Return what an entry is, in a word."""
    return KINDS.get(stat.S_IFMT(entry.mode), "unknown")


def size_of(entry: Entry) -> str:
    """Return a size for people: bytes of a file, names in a directory (not known after a change, until it is built)."""
    if not entry.is_dir:
        return format_size(entry.size)
    return f"{entry.size:,} name{'s' if entry.size > 1 else ''}" if entry.size else ""


def root_of(entry: Entry) -> str | None:
    """Return the root in hexadecimal; None where there is none, or a directory changed after it was built."""
    return None if entry.root == NO_DIGEST else entry.root.hex()
