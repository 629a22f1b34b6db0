"""What changes below a directory of the host, as the kernel tells it: inotify, one watch for each directory.

An own reader of inotify, as what matters is IN_CLOSE_WRITE: a file is whole when its writer closes it. `watchfiles`
(notify) reports modifications alone, gathers them for 50 ms and more, and wakes a thread of its own for each.

Events are hints. A directory that comes is watched first and then looked through, so nothing in it is missed; where
the queue overflowed, everything is to be looked at again. Stores through a mapping make no event until it is unmapped.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

from packetfs.enum import Enum
from packetfs.errors import TooManyWatches
from packetfs.fs.host.staging import STAGING
from packetfs.fs.host.syscalls import inotify_forget, inotify_open, inotify_watch
from packetfs.typing import Final, NamedTuple

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
Q_OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ISDIR: Final = 0x40000000
_ONLY_DIRECTORIES: Final = 0x01000000
_NO_SYMLINKS: Final = 0x02000000
_WATCHED: Final = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
_MASK: Final = _WATCHED | _ONLY_DIRECTORIES | _NO_SYMLINKS

_HEADER: Final = struct.Struct("<iIII")
_BUFFER: Final = 64 * 1024


class Kind(Enum):
    """What an event says of a path."""

    DONE = 1
    """It is as it shall be: closed, moved, removed, made, or other metadata."""
    WRITING = 2
    """It was written to and is still open."""
    TREE = 3
    """A directory came, with whatever is in it."""
    ALL = 4
    """Nothing is known: look at everything."""


class Note(NamedTuple):
    """A path below the directory and what happened there."""

    path: bytes
    kind: Kind


class RawEvent(NamedTuple):
    """One record of the kernel."""

    watch: int
    mask: int
    name: bytes


def decode_events(data: bytes) -> Iterator[RawEvent]:
    """Yield the records that a read brought; the kernel gives only whole ones."""
    at = 0
    while at + _HEADER.size <= len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        yield RawEvent(watch, mask, data[at : at + length].rstrip(b"\0"))
        at += length


class Watches:
    """The watches of one tree. `read`: gives records instead of the kernel, for tests."""

    def __init__(self, root: bytes, read: Callable[[int], bytes] | None = None) -> None:
        self._root = root
        self._read = read or _read_all
        self.fd: Final = inotify_open()
        self._paths: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._add_tree(b"")

    def close(self) -> None:
        os.close(self.fd)

    def notes(self) -> Iterator[Note]:
        """Yield what has happened since the last call, without waiting."""
        for event in decode_events(self._read(self.fd)):
            yield from self._notes_of(event)

    def _notes_of(self, event: RawEvent) -> Iterator[Note]:
        if event.mask & Q_OVERFLOW:
            self._add_tree(b"")
            yield Note(b"", Kind.ALL)
            return
        directory = self._paths.get(event.watch)
        if directory is None:
            return
        if event.mask & IGNORED:
            self._drop(event.watch)
            yield from () if directory else [Note(b"", Kind.ALL)]
            return
        path = directory + b"/" + event.name if directory and event.name else directory or event.name
        if path.partition(b"/")[0] == STAGING:
            return
        yield from self._note_directory(path, event) if event.mask & ISDIR else self._note_file(path, event.mask)

    def _note_file(self, path: bytes, mask: int) -> Iterator[Note]:
        """A file that is created is open for writing, mostly: what closes it says more."""
        yield Note(path, Kind.WRITING if mask & (MODIFY | CREATE) else Kind.DONE)

    def _note_directory(self, path: bytes, event: RawEvent) -> Iterator[Note]:
        if event.mask & (MOVED_FROM | DELETE):
            self._remove_tree(path)
        came = event.mask & (MOVED_TO | CREATE)
        if came:
            self._add_tree(path)
        yield Note(path, Kind.TREE if came else Kind.DONE)

    def _add_tree(self, top: bytes) -> None:
        """Watch a directory and all below it. Each is watched before it is looked through."""
        directories = [top]
        while directories:
            path = directories.pop()
            if not self._add(path):
                continue
            with suppress(OSError), os.scandir(self._absolute(path)) as entries:
                for entry in entries:
                    below = path + b"/" + entry.name if path else entry.name
                    if below != STAGING and entry.is_dir(follow_symlinks=False):
                        directories.append(below)

    def _add(self, path: bytes) -> bool:
        try:
            number = inotify_watch(self.fd, self._absolute(path), _MASK)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise TooManyWatches(path=self._root) from None
            return False  # it is gone, or was never ours to read: the import names it
        self._numbers.pop(self._paths.get(number, b""), None)
        self._paths[number] = path
        self._numbers[path] = number
        return True

    def _absolute(self, path: bytes) -> bytes:
        return self._root + b"/" + path if path else self._root

    def _remove_tree(self, top: bytes) -> None:
        """Forget a directory and all below it: what moved away has another path, or none of our business."""
        for path in [path for path in self._numbers if path == top or path.startswith(top + b"/")]:
            number = self._numbers[path]
            with suppress(OSError):
                inotify_forget(self.fd, number)
            self._drop(number)

    def _drop(self, number: int) -> None:
        path = self._paths.pop(number, None)
        if path is not None and self._numbers.get(path) == number:
            del self._numbers[path]


def _read_all(fd: int) -> bytes:
    """Return all records that wait."""
    parts = []
    with suppress(BlockingIOError):
        while data := os.read(fd, _BUFFER):
            parts.append(data)
    return b"".join(parts)
