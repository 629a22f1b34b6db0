"""The directory that is watched and what this side remembers of it: imported once for all destinations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from packetfs.errors import PacketFSError
from packetfs.events import Listener
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror, renew
from packetfs.fs.streams.comparison import OldContents
from packetfs.limits import COMPARED_MIN
from packetfs.net.ends import top_entry
from packetfs.net.history import commit_history, settle_source
from packetfs.net.sending.source import HostSource
from packetfs.net.watch.pending import Due
from packetfs.packet.digest import NO_DIGEST, Digest


class WatchedTree:
    """One thread at a time works with it, and holds `lock` for so long."""

    def __init__(self, fs: FileSystem, path: bytes, keep: int, listener: Listener) -> None:
        self.lock = threading.Lock()
        self._fs = fs
        self._path = path
        self._keep = keep
        self._listener = listener
        self._old = OldContents(fs.pool)
        self._options = MirrorOptions(budget=keep, compare=self._old.compare)
        self._newer: list[tuple[Digest | None, Digest]] = []
        self.root = NO_DIGEST

    @property
    def mean(self) -> int:
        """Bytes of a chunk on average: a far side must cut in the same way."""
        return self._fs.pool.mean

    def look(self, *, checksum: bool = False) -> None:
        """Import whatever changed, by looking at everything."""
        self.root = mirror(
            self._fs, self._path, b"", MirrorOptions(budget=self._keep, checksum=checksum), self._listener
        )
        commit_history(self._fs)

    def renew(self, due: Due) -> tuple[bytes, ...]:
        """Import what is due; return the files that changed meanwhile."""
        if due.all:
            self.look()
            return ()
        before = {path: self._large_root(path) for path in due.paths}
        renewed = renew(self._fs, self._path, due.paths, self._options, self._listener)
        commit_history(self._fs)
        self.root = renewed.root
        for path, old in before.items():
            new = self._large_root(path)
            if new is not None and new != old:
                self._newer.append((old, new))
        return renewed.unsettled

    def _large_root(self, path: bytes) -> Digest | None:
        entry = self._fs.entry(path)
        return Digest(entry.root) if entry is not None and entry.is_file and entry.size >= COMPARED_MIN else None

    def prepare(self) -> None:
        """Get ready for what changes next, which is what changed last."""
        newer, self._newer = self._newer, []
        for before, root in newer:
            with suppress(PacketFSError):  # then it is hashed
                self._old.load(root, before)

    @contextmanager
    def source(self) -> Iterator[HostSource]:
        """Yield the tree as it is now, to be sent."""
        with Beneath(self._path) as host:
            source = HostSource(self._fs, host, top_entry(self._path))
            try:
                yield source
            finally:
                source.close()

    def settle(self, held: list[Digest]) -> None:
        """Bring the history within its budget while nothing is on its way; `held`: what the far sides have."""
        recent = self._old.roots()
        self._old.forget()
        for root in held:
            if root != NO_DIGEST:
                settle_source(self._fs, root, self._keep)
        self._newer += [(None, root) for root in recent if self._fs.pool.holds(root)]
