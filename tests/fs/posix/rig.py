"""A pool with a filesystem that can be closed, killed and opened again, and the roots that its files should have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from packetfs.fs.filesystem import FileSystem
from packetfs.fs.posix.attributes import Caller
from packetfs.fs.posix.operations import Operations
from packetfs.fs.posix.programs import Later
from packetfs.fs.streams.ingest import ingest
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool

MEAN = 4096
ME = Caller(1000, 1000)


class Clock:
    """A clock that goes on by a nanosecond each time somebody looks."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


def joined(found: list[Buffer] | Later) -> bytes:
    """Return what a read gives, now or when it is called."""
    return b"".join(found() if callable(found) else found)


class Rig:
    """One pool, open."""

    def __init__(self, path: str, *, mean: int = MEAN) -> None:
        self.path = path
        self.clock = Clock()
        self.pool = Pool.create(path, mean=mean, durable=False)
        self._open()

    def _open(self) -> None:
        self.fs = FileSystem(self.pool)
        self.ops = Operations(self.fs, clock=self.clock)

    def reopen(self) -> None:
        self.ops.close()
        self._again()

    def kill(self) -> None:
        """Let everything that was not committed be lost, as if the process had been killed."""
        self.fs.rollback()
        self.ops._programs.forget()  # tracebacks of refusals may keep what is left of it until the next collection
        self._again()

    def _again(self) -> None:
        self.fs.close()
        self.pool.close()
        self.pool = Pool.open(self.path, writable=True)
        self._open()

    def close(self) -> None:
        self.ops.close()
        self.fs.close()
        self.pool.close()

    # in the words of a user

    def make(self, name: bytes, data: bytes = b"", parent: int = 1) -> int:
        """Make a file with content and return its inode number."""
        attributes, handle = self.ops.create(parent, name, 0o644, os.O_RDWR, ME)
        if data:
            self.ops.write(handle, 0, data)
        self.ops.release(handle)
        return attributes.ino

    @contextmanager
    def opened(self, ino: int, flags: int = os.O_RDWR) -> Iterator[int]:
        handle = self.ops.open(ino, flags)
        try:
            yield handle
        finally:
            self.ops.release(handle)

    def content(self, ino: int) -> bytes:
        with self.opened(ino, os.O_RDONLY) as handle:
            return self.read(handle)

    def read(self, handle: int, offset: int = 0, size: int = 1 << 30) -> bytes:
        return joined(self.ops.read(handle, offset, size))

    def root_of(self, ino: int) -> Digest:
        self.ops.syncfs()
        return Digest(self.fs.names.inode(ino).entry.root)

    def names(self, ino: int = 1) -> list[bytes]:
        handle = self.ops.opendir(ino)
        try:
            return [name for _, name, _ in self.ops.readdir(handle, 0)]
        finally:
            self.ops.releasedir(handle)


def whole_root(pool: Pool, data: bytes) -> Digest:
    """Return the root of content by cutting all of it."""

    def read(offset: int, memory: memoryview) -> int:
        part = data[offset : offset + len(memory)]
        memory[: len(part)] = part
        return len(part)

    return ingest(pool, read, keep=False).root
