"""A directory as it is now for who only looks: the programs of what changed are made in memory.

So nobody needs the writer lease to compare live names with a snapshot, and a mount may hold it meanwhile.
"""

from __future__ import annotations

from packetfs.fs.build import build_directory
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import Digest, digest_of


class Transient:
    """A store over that of a pool: what is put into it is gone with it."""

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._made: dict[Digest, bytes] = {}

    def tree_root(self, path: bytes = b"") -> Digest:
        """Return the root of a live directory, whose program this store has."""
        fs = self._fs
        return build_directory(self, fs.names, fs.paths.directory(path), fs.pool.mean, keep=False)

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:
        """Keep a payload in memory."""
        del mark
        digest = digest_of(payload) if digest is None else digest
        self._made[digest] = bytes(payload)
        return digest

    def read(self, digest: Digest) -> bytes:
        """Return a payload, from memory or the pool."""
        made = self._made.get(digest)
        return self._fs.pool.read(digest) if made is None else made

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        """Return part of one."""
        made = self._made.get(digest)
        return self._fs.pool.read_range(digest, offset, length) if made is None else made[offset : offset + length]
