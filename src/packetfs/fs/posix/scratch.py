"""A file in the pool's directory that has no name from its birth: whatever happens, nothing of it stays behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

from packetfs.errors import PoolFailed
from packetfs.pool.pool import Pool
from packetfs.pool.storage import Storage, path_of
from packetfs.typing import Final

_SLOT: Final = 1 << 22
_numbers: Final = count()


class Scratch:
    """Bytes by offset, sparse: gone with the object.

    They lie in slots, in the order in which they came: a file may be longer than any that the disk can have.
    """

    __slots__ = ("_fd", "_slots", "_storage", "_used")

    def __init__(self, pool: Pool) -> None:
        self._storage: Storage = pool.storage
        self._slots: dict[int, int] = {}
        self._used = 0
        self._fd = _open_nameless(pool)

    def _places(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield (place in the file, start, stop) for the parts of a range, which have slots from now on."""
        start = 0
        while start < length:
            block, skip = divmod(offset + start, _SLOT)
            slot = self._slots.get(block)
            if slot is None:
                slot = self._slots[block] = self._used
                self._used += 1
            stop = min(length, start + _SLOT - skip)
            yield slot * _SLOT + skip, start, stop
            start = stop

    def write(self, data: memoryview, offset: int) -> None:
        for place, start, stop in self._places(offset, len(data)):
            self._storage.write(self._fd, [data[start:stop]], place)

    def read(self, offset: int, length: int) -> list[bytes]:
        """Return bytes that were written."""
        return [self._storage.read(self._fd, stop - start, at) for at, start, stop in self._places(offset, length)]

    def read_into(self, offset: int, out: memoryview) -> None:
        for place, start, stop in self._places(offset, len(out)):
            if self._storage.read_into(self._fd, [out[start:stop]], place) < stop - start:
                raise PoolFailed(path=path_of(self._fd), reason="it lost its end")

    def punch(self, offset: int, end: int) -> None:
        """Give back the blocks of a range."""
        for block in [b for b in self._slots if b * _SLOT < end and (b + 1) * _SLOT > offset]:
            start, stop = max(offset - block * _SLOT, 0), min(end - block * _SLOT, _SLOT)
            self._storage.punch(self._fd, self._slots[block] * _SLOT + start, stop - start)

    def __del__(self) -> None:
        if (fd := getattr(self, "_fd", -1)) >= 0:
            self._storage.close(fd)


def _open_nameless(pool: Pool) -> int:
    path = f"{pool.path}/scratch-{os.getpid()}-{next(_numbers)}"
    fd = pool.storage.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    pool.storage.unlink(path)
    return fd
