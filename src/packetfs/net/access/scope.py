"""What a peer may learn of a pool's content. A pool stores everything once, so it knows more than its peers may.

A claim is no possession: an id or a root that a limited peer names opens only what its own path held when the sync
began. How long an answer takes tells nothing either: content that is held is written all the same, to a file that goes.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Sequence

from packetfs.errors import CorruptExtent, PacketFSError
from packetfs.fs.diff import diff
from packetfs.net.wire.listing import ID
from packetfs.packet.digest import Digest
from packetfs.packet.head import Kind
from packetfs.packet.layout import Buffer, Encoding, Mark, Op
from packetfs.packet.tree import leaves, read_head
from packetfs.pool.lookup import Like
from packetfs.pool.pool import Pool
from packetfs.typing import Protocol


class Scope(Protocol):
    """The content that a peer may know to be here."""

    def find(self, key: bytes) -> Digest | None:
        """Return the extent with this id."""

    def has_file(self, root: Digest, size: int) -> bool:
        """Tell whether there is the program of a file of this size; content that looks like one does not count."""


class WholePool:
    """All that the pool has."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def find(self, key: bytes) -> Digest | None:
        return self._pool.find(key)

    def has_file(self, root: Digest, size: int) -> bool:
        pool = self._pool
        if not pool.holds(root) or pool.lookup.require(root).mark != Mark.PROGRAM:
            return False
        try:
            head = read_head(pool, root)
        except CorruptExtent:
            return False
        return head.kind is Kind.FILE and head.length == size


class OneTree:
    """What one directory held. Its programs are walked when it is asked for the first time: 8 bytes an extent."""

    def __init__(self, pool: Pool, root: Digest | None) -> None:
        self._pool = pool
        self._whole = WholePool(pool)
        self._root = root
        self._files: set[bytes] | None = None
        self._ids = array("Q")

    def find(self, key: bytes) -> Digest | None:
        self._walk()
        number = int.from_bytes(key, "little")
        at = bisect_left(self._ids, number)
        return self._whole.find(key) if at < len(self._ids) and self._ids[at] == number else None

    def has_file(self, root: Digest, size: int) -> bool:
        return root in self._walk() and self._whole.has_file(root, size)

    def _walk(self) -> set[bytes]:
        if self._files is None:
            self._files = set()
            ids = array("Q")
            for change in diff(self._pool, None, self._root) if self._root is not None else ():
                if change.new is not None and change.new.is_file and change.new.root not in self._files:
                    self._files.add(change.new.root)
                    ids.extend(self._ids_of(Digest(change.new.root)))
            self._ids = array("Q", sorted(ids))
        return self._files

    def _ids_of(self, root: Digest) -> list[int]:
        try:
            copies = (leaf for _, leaf in leaves(self._pool, root) if leaf[0] == Op.COPY)
            return [int.from_bytes(leaf[16 : 16 + ID], "little") for leaf in copies]
        except PacketFSError:
            return []  # damage is found when it is read


class DiscreetPool(Pool):
    """A pool whose answers take the same time whether it holds a content or not."""

    _scratch = -1
    _scratched = 0

    def put(
        self,
        payload: Buffer,
        digest: Digest | None = None,
        *,
        mark: int = Mark.DATA,
        encoding: int = Encoding.RAW,
        like: Sequence[Like] = (),  # noqa: ARG002 - how alike two contents are would show in the time it takes
    ) -> Digest:
        before = self.arena.end
        digest = super().put(payload, digest, mark=mark, encoding=encoding)
        if self.arena.end == before:
            self._scratched += os.pwrite(self._scratch_file(), payload, self._scratched)
        return digest

    def find_held(self, digest: Digest, data: Buffer) -> None:
        """Tell nobody: who knew what comes next would be faster."""
        del digest, data

    def flush(self) -> None:
        if self._scratched:
            os.fdatasync(self._scratch)
            self._scratched = 0
        super().flush()

    def _scratch_file(self) -> int:
        if self._scratch < 0:
            self._scratch = os.open(self.path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        return self._scratch

    def _release(self) -> None:
        if self._scratch >= 0:
            os.close(self._scratch)
            self._scratch = -1
        super()._release()
