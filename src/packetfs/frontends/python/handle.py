"""What every `Pool` object has: its connection, its turns, and the names as it sees them, live or of a snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from packetfs.dataclass import replace
from packetfs.errors import BadPath, IsADirectory, NotADirectory, NotAFile, NotFound, PoolClosed, SnapshotReadOnly
from packetfs.frontends.python.connection import Connection
from packetfs.frontends.python.paths import Path, follow_links, join, raw, text
from packetfs.fs.derived import run_derived, waiting
from packetfs.fs.directory import entries_of
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.derived import is_derived
from packetfs.packet.digest import NO_DIGEST, Digest
from packetfs.packet.entry import Entry
from packetfs.typing import Final


class Handle:
    """One user of a connection."""

    def __init__(self, connection: Connection, snapshot: str | None, wait: float) -> None:
        self._connection: Final = connection
        self._snapshot: Final = snapshot
        self._wait: Final = wait
        self._closed = False
        self._in_transaction = False
        self._thread = threading.local()

    @property
    def path(self) -> str:
        """The pool's directory."""
        return self._connection.path

    @property
    def snapshot_name(self) -> str | None:
        """The snapshot that this object shows; None: the live names."""
        return self._snapshot

    # turns

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes inside durable at once at the end, or none of them when an exception leaves the block.

        Changes through this object by other threads belong to it, too; other objects and processes see nothing of it
        until its end. A transaction inside another joins it.
        """
        if self._has_turn():
            yield
            return
        self._begin()
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            self._connection.end(commit=False)
            raise
        self._in_transaction = False
        self._connection.end(commit=True)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do the same for what this thread alone does."""
        if self._has_turn():
            yield
            return
        self._begin()
        self._thread.has_turn = True
        try:
            yield
        except BaseException:
            self._thread.has_turn = False
            self._connection.end(commit=False)
            raise
        self._thread.has_turn = False
        self._connection.end(commit=True)

    @contextmanager
    def _changing(self) -> Iterator[FileSystem]:
        with self.together(), self._connection.changes() as fs:
            yield fs

    def _begin(self) -> None:
        self._need_writable()
        self._connection.begin(self._wait)

    def _has_turn(self) -> bool:
        self._need_open()
        return self._in_transaction or getattr(self._thread, "has_turn", False)

    def _need_open(self) -> None:
        if self._closed:
            raise PoolClosed(path=self.path)

    def _need_writable(self) -> None:
        self._need_open()
        if self._snapshot is not None:
            raise SnapshotReadOnly(name=self._snapshot)

    # names

    def _names(self) -> AbstractContextManager[FileSystem]:
        return self._connection.changes() if self._has_turn() else self._connection.reading()

    def _find(self, path: bytes) -> Entry | None:
        """Return what a path stands for; links are not followed."""
        with self._names() as fs:
            if self._snapshot is None:
                return fs.entry(path)
            try:
                return fs.resolve(raw_name(self._snapshot), path)
            except NotFound:
                return None

    def _resolve(self, path: Path) -> tuple[bytes, Entry]:
        """Return where a path leads, links followed, and what is there."""
        place = self._lead(path)
        entry = self._find(place)
        if entry is None:
            raise NotFound(path=raw(path))
        return place, entry

    def _lead(self, path: Path) -> bytes:
        """Return where a path leads; what is not there yet leads to itself."""
        place = raw(path)
        entry = self._find(place)
        if entry is not None and not entry.is_link:
            return place
        return follow_links(self._find, place)

    def _place(self, path: Path) -> bytes:
        """Return the place of a name itself: links above it are followed, and not one that it is."""
        above, _, name = raw(path).rpartition(b"/")
        return join(self._lead(above), name) if above else name

    def _file(self, path: Path) -> tuple[str, Digest, int]:
        """Return (path, root, size) of a regular file."""
        place, entry = self._resolve(path)
        if entry.is_dir:
            raise IsADirectory(path=place or b"the pool's root")
        if not entry.is_file or entry.root == NO_DIGEST:
            raise NotAFile(path=place)
        if not entry.size and is_derived(self._connection, Digest(entry.root)):
            entry = self._run(entry)
        return text(place), Digest(entry.root), entry.size

    def _run(self, entry: Entry) -> Entry:
        """Run a derived file, which changes the pool, and return its entry as it is then."""
        from packetfs.frontends.deriving import derive  # few files are derived

        with self._changing() as fs:
            done = run_derived(fs, Digest(entry.root), derive)
        return replace(entry, root=done.root, size=done.size)

    def _run_waiting(self, fs: FileSystem) -> None:
        """Run the derived files that were not run yet: a snapshot keeps content, not promises."""
        if waiting(fs):
            from packetfs.frontends.deriving import run_waiting

            run_waiting(fs)

    def _children(self, place: bytes, entry: Entry) -> list[Entry]:
        if not entry.is_dir:
            raise NotADirectory(path=place)
        if self._snapshot is not None:
            return list(entries_of(self._connection, Digest(entry.root)))
        with self._names() as fs:
            return list(fs.children(place))

    def _new_place(self, path: Path, *, follow: bool = True) -> bytes:
        """Return where a path that is to be made or changed leads."""
        self._need_writable()
        place = self._lead(path) if follow else self._place(path)
        if not place:
            raise BadPath(path=raw(path), reason="it is the pool's root, which stays")
        return place


def raw_name(name: str) -> bytes:
    """Return the name of a snapshot as bytes."""
    return name.encode("utf-8", "surrogateescape")
