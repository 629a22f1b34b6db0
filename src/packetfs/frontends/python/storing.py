"""Entries of what is made from Python, and the streams behind it."""

from __future__ import annotations

import os
import stat
import time

from packetfs.dataclass import replace
from packetfs.fs.streams.window import ReadInto
from packetfs.packet.entry import Entry
from packetfs.packet.layout import Buffer
from packetfs.typing import BinaryIO, Final

_STATUS: Final = "/proc/self/status"


def new_file(place: bytes, old: Entry | None) -> Entry:
    """Return the entry of a file that is written: as it was, or with the owner and mode of this process."""
    now = time.time_ns()
    if old is not None and old.is_file:
        return replace(old, mtime_ns=now, sparse=False)
    mode = stat.S_IFREG | 0o666 & ~_umask()
    return Entry(_name(place), mode, os.getuid(), os.getgid(), now)


def new_directory(place: bytes) -> Entry:
    """Return the entry of a new directory."""
    mode = stat.S_IFDIR | 0o777 & ~_umask()
    return Entry(_name(place), mode, os.getuid(), os.getgid(), time.time_ns())


def copied(place: bytes, entry: Entry) -> Entry:
    """Return the entry of a copy: the same root, so the same content, but a file of its own."""
    return replace(entry, name=_name(place), group=0, mtime_ns=time.time_ns())


def source_of(data: Buffer) -> ReadInto:
    """Return a buffer (a numpy array is one, too) as a stream for the pool."""
    content = memoryview(data).cast("B")

    def read_into(offset: int, out: memoryview) -> int:
        part = content[offset : offset + len(out)]
        out[: len(part)] = part
        return len(part)

    return read_into


def stream_of(file: BinaryIO) -> ReadInto:
    """Return what a file object still has as a stream for the pool."""
    fill = getattr(file, "readinto", None)

    def read_into(_: int, out: memoryview) -> int:
        if fill is not None:
            return int(fill(out))
        part = file.read(len(out))
        out[: len(part)] = part
        return len(part)

    return read_into


def _name(place: bytes) -> bytes:
    return place.rpartition(b"/")[2]


def _umask() -> int:
    """Return the umask without setting it, which other threads would notice."""
    with open(_STATUS, encoding="ascii", errors="replace") as file:
        found = next((line for line in file if line.startswith("Umask:")), "Umask: 0022")
    return int(found.split()[1], 8)
