"""What programs emitted, as a pool remembers it, and what else is long: files in its directory `memo`, each written
once and removed whole.

A reader maps the files that it uses, so it has what it found to the end, also where a file is removed meanwhile. A file
is compared with its digest before it is used, unless its stamp says that it was written or compared since this boot and
not changed since: so most output is handed over without being looked at.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import islice
from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.limits import MEMO_MAPPED
from packetfs.packet.digest import digest_of
from packetfs.packet.layout import Buffer
from packetfs.pool.storage import Storage, fail
from packetfs.pool.verified import boot_id
from packetfs.typing import Final

_STAMP: Final = Struct("<16sQQQ")
"""Boot, inode, bytes, time of change."""
_NAME: Final = "{:016x}"
_TOGETHER: Final = 512
"""Buffers of one call to the system, which takes 1024."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where output lies: in file number `file`."""

    file: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of a file: its digest, and the stamp with which it was that."""

    size: int
    digest: bytes
    stamp: bytes


class Outputs:
    """The files, and what waits to be written to the next one. Its user takes care that one thread at a time calls."""

    def __init__(self, storage: Storage, path: str, known: Callable[[int], Written | None]) -> None:
        """`known`: tells of a file by its number, None where there is none."""
        self._storage = storage
        self._path = path
        self._known = known
        self._boot = boot_id()
        self._mapped: dict[int, memoryview] = {}
        self.used: dict[int, bytes] = {}
        """Stamps of the files that were used, by number."""
        self._begin()

    def _begin(self) -> None:
        self._file = int.from_bytes(os.urandom(7), "little")
        self._waiting: dict[int, Buffer] = {}
        self.waiting = 0
        """Bytes that are not written yet."""

    def add(self, output: Buffer) -> Place:
        """Keep output, which must not change any more, and return where it will be."""
        place = Place(self._file, self.waiting, len(output))
        self._waiting[place.start] = output
        self.waiting += len(output)
        return place

    def find(self, place: Place) -> memoryview | None:
        """Return what lies there; None where it is not."""
        if place.file == self._file:
            found = memoryview(self._waiting.get(place.start, b""))
        else:
            found = self._all(place.file)[place.start : place.start + place.length]
        return found if len(found) == place.length else None

    def _all(self, file: int) -> memoryview:
        """Return all of a file, nothing where it is not as it was written."""
        if file not in self._mapped:
            known = self._known(file)
            found = None if known is None else self._open(file, known)
            if found is None:
                return memoryview(b"")
            if len(self._mapped) >= MEMO_MAPPED:
                del self._mapped[next(iter(self._mapped))]
            self._mapped[file] = found
        return self._mapped[file]

    def _open(self, file: int, known: Written) -> memoryview | None:
        try:
            fd = self._storage.open(self._name(file), os.O_RDONLY)
        except (OSError, PacketFSError):
            return None
        try:
            stamp, found = self._stamp(fd), memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # an empty file has no mapping
            return None
        finally:
            self._storage.close(fd)
        if stamp != known.stamp and digest_of(found) != known.digest:
            return None
        self.used[file] = stamp
        return found

    def _stamp(self, fd: int) -> bytes:
        status = os.fstat(fd)
        return _STAMP.pack(self._boot, status.st_ino, status.st_size, status.st_ctime_ns)

    def write(self) -> tuple[int, Written]:
        """Write what waits; return the number of its file, and what is to be known of it. What cannot be written is
        forgotten."""
        file, size, waiting = self._file, self.waiting, self._waiting
        self._begin()
        self._storage.make_directory(self._path)
        fd = self._storage.open(self._name(file), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            rest, at = iter(waiting.values()), 0
            while part := list(islice(rest, _TOGETHER)):
                self._storage.write(fd, part, at)
                at += sum(map(len, part))
            data = memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
            return file, Written(size, digest_of(data), self._stamp(fd))
        except OSError as error:
            fail(error, fd)
        finally:
            self._storage.close(fd)

    def forget(self) -> None:
        """Let what waits go."""
        self._begin()

    def _name(self, file: int) -> str:
        return f"{self._path}/{_NAME.format(file)}"


def remove_outputs(storage: Storage, path: str, but: Collection[int] = ()) -> None:
    """Remove all files in the directory but these, also those that a killed process left."""
    stay = set(map(_NAME.format, but))
    with suppress(OSError):
        for name in os.listdir(path):
            if name not in stay:
                storage.unlink(f"{path}/{name}")
