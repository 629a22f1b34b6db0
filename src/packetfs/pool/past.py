"""Files past the page cache: what is written and not read soon, or read and not wanted again, takes no pages there.

A virtual machine whose host must give it each new page pays for it several times what copying takes: a gigabyte through
the page cache then cost 0.8 to 1.5 CPU seconds instead of 0.2 to 0.3, and 2,250 extents of 64 KiB that had left memory
0.25 instead of 0.1; past it 0.2 and 0.07, always (measured by hand).
"""

from __future__ import annotations

import os

from packetfs.accel import native
from packetfs.limits import MIB
from packetfs.typing import Final

BLOCK: Final = 4096
"""What offsets, lengths and memory are multiples of: no disk in use has larger logical blocks."""
_TRIAL: Final = 64 * MIB
_SECONDS_PER_MIB: Final = 0.004
"""A disk that takes longer, once so much was written, is left to the page cache: waiting for it would be felt."""


def open_past(fd: int, flags: int) -> int:
    """Return another descriptor of an open file, past the page cache; -1 where there is none."""
    try:
        return os.open(f"/proc/self/fd/{fd}", flags | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return -1


def room_for(length: int) -> int:
    """Return how many bytes of memory reading so many bytes past the page cache takes."""
    return length // BLOCK * BLOCK + 2 * BLOCK


def read_pieces_python(pieces: list[tuple[int, int, int, int, memoryview]], /) -> list[bool]:
    """Read pieces of files that are not wanted again soon, and say of each whether it was all there.

    A piece: the descriptor of a file, the same past the page cache (-1 where there is none), offset, length, and memory
    that begins where a page does, as long as `room_for` says. The bytes come to its offset from a block's beginning.
    What the page cache lacks does not enter it, as far as the native one can tell and do, and is waited for together.
    """
    return [_read(fd, at, room[at % BLOCK :][:length]) == length for fd, _, at, length, room in pieces]


def _read(fd: int, offset: int, memory: memoryview) -> int:
    try:
        return os.preadv(fd, [memory], offset)
    except OSError:  # who reads it again learns why
        return -1


class Pace:
    """Whether the disk is quick enough to be waited for: one that is not is better left to the page cache."""

    def __init__(self) -> None:
        self._written = 0
        self._seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        """Know that to write so many bytes past the page cache took so long."""
        self._written += size
        self._seconds += seconds

    @property
    def is_slow(self) -> bool:
        return self._written >= _TRIAL and self._seconds * MIB > self._written * _SECONDS_PER_MIB


read_pieces = read_pieces_python if native is None else native.read_pieces
