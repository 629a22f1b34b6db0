"""The directory that is watched and what this side remembers of it: imported once for all destinations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.events import Listener
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.beneath import Beneath
from packetfs.fs.mirroring.edited import Edited
from packetfs.fs.mirroring.mirror import MirrorOptions, mirror, renew
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
        self._edited = Edited()
        self.root = NO_DIGEST

    @property
    def mean(self) -> int:
        """Bytes of a chunk on average: a far side must cut in the same way."""
        return self._fs.pool.mean

    def look(self, *, checksum: bool = False) -> None:
        """Import whatever changed, by looking at everything."""
        self.root = mirror(self._fs, self._path, b"", self._options(checksum=checksum), self._listener)
        commit_history(self._fs)

    def _options(self, *, checksum: bool = False) -> MirrorOptions:
        """What an import finds out of changes is kept for the next round: who lags behind needs more than that."""
        self._edited = Edited()
        return MirrorOptions(budget=self._keep, checksum=checksum, edited=self._edited)

    def renew(self, due: Due) -> tuple[bytes, ...]:
        """Import what is due; return the files that changed meanwhile."""
        if due.all:
            self.look()
            return ()
        renewed = renew(self._fs, self._path, due.paths, self._options(), self._listener)
        commit_history(self._fs)
        self.root = renewed.root
        return renewed.unsettled

    @contextmanager
    def source(self) -> Iterator[HostSource]:
        """Yield the tree as it is now, to be sent."""
        with Beneath(self._path) as host:
            source = HostSource(self._fs, host, top_entry(self._path), self._edited)
            try:
                yield source
            finally:
                source.close()

    def settle(self, held: list[Digest]) -> None:
        """Bring the history within its budget while nothing is on its way; `held`: what the far sides have."""
        for root in held:
            if root != NO_DIGEST:
                settle_source(self._fs, root, self._keep)
