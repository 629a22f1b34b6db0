"""The temporary file that becomes a file of the destination: written from front to back, with holes where told."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from packetfs.errors import DestinationFull
from packetfs.fs.host.beneath import Beneath
from packetfs.packet.layout import Buffer

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_named(path: bytes) -> Iterator[None]:
    """Turn "no space" of whatever call into the error that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DestinationFull(path=path) from error
        raise


class Writer:
    """New content for `path`, so far at `staged`. As a context manager it is discarded unless it was committed."""

    __slots__ = ("_beneath", "committed", "fd", "path", "size", "staged")

    def __init__(self, beneath: Beneath, path: bytes, staged: bytes) -> None:
        self._beneath = beneath
        self.path = path
        self.staged = staged
        self.size = 0
        self.committed = False
        with full_disk_named(path):
            self.fd = beneath.create(staged)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, data: Buffer) -> None:
        """Append bytes."""
        rest = memoryview(data)
        with full_disk_named(self.path):
            while rest:
                count = os.pwrite(self.fd, rest, self.size)
                self.size += count
                rest = rest[count:]

    def skip(self, count: int) -> None:
        """Append `count` zero bytes as a hole, which takes no space."""
        self.size += count

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes written before; short at the end."""
        return os.pread(self.fd, length, offset)

    def finish(self) -> None:
        """Give the file its length, as a hole at the end has not."""
        with full_disk_named(self.path):
            if os.fstat(self.fd).st_size != self.size:
                os.ftruncate(self.fd, self.size)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with full_disk_named(self.path):
                os.close(fd)

    def discard(self) -> None:
        """Remove the temporary file; nothing happens after a commit, or a second time."""
        if self.committed:
            return
        with suppress(DestinationFull):
            self.close()
        with suppress(FileNotFoundError):
            self._beneath.unlink(self.staged)
