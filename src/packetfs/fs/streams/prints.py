"""Fingerprints of a program's extents: a stream is followed along its old program by them, several times faster than by
digests. They depend on what was read alone, so it is all one where old content lies, or whether it is there still."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress

from packetfs.fs.streams.oldprogram import Stretch
from packetfs.limits import MIB
from packetfs.packet.fingerprint import fingerprint, same_fingerprints
from packetfs.packet.layout import Buffer
from packetfs.typing import Final, TypeAlias

Look: TypeAlias = Callable[[int, int], Buffer]
"""Shows bytes of a stream, from an offset on: fewer at its end. Such a stream can be read again from any place."""

_WINDOW: Final = 64 * MIB
"""Bytes of a file that are mapped at a time."""
_WINDOW_EVEN: Final = 2 * MIB
"""What they begin at a multiple of: then the largest pages are mapped as such."""


class Prints:
    """Those of the old program and those of the one that is made, extent by extent, in order."""

    def __init__(self, key: bytes, known: bytes = b"", look: Look | None = None) -> None:
        """`known`: what `made` was when the old program was made; empty where that is not known."""
        self._key = key
        self._look = look
        self.known = known
        self.made = bytearray()

    @property
    def leads(self) -> bool:
        """Whether a stream can be followed by them."""
        return self._look is not None and bool(self.known)

    def of(self, extent: Buffer) -> bytes:
        """Return the fingerprint of an extent."""
        return fingerprint(extent, self._key)

    def add(self, known: bytes) -> None:
        """Take that of the next extent of the program that is made."""
        self.made += known

    def same(self, at: int, old: Stretch) -> bytes:
        """Return 1 for each of these old extents that the stream has, one behind the other from `at` on, else 0: fewer
        where it ends, or is another for a while."""
        if self._look is None:
            return b""
        return same_fingerprints(old.leaves, old.prints, self._key, self._look(at, old.starts[-1] - old.starts[0]))


class Mapped:
    """Shows an open file where the page cache has it: a `Look`.

    To copy it out of there takes twice as long as to look at it: 0.1 instead of 0.045 CPU seconds a gigabyte (by hand).
    A page that is gone when it is looked at is for who looks to survive.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._start = 0
        self._shown = memoryview(b"")

    def __call__(self, at: int, count: int) -> Buffer:
        end = min(at + count, self._size)
        if not self._start <= at <= end <= self._start + len(self._shown):
            self._show(at // _WINDOW_EVEN * _WINDOW_EVEN, end)
        return self._shown[max(at - self._start, 0) : max(end - self._start, 0)]

    def _show(self, start: int, end: int) -> None:
        stop = min(max(start + _WINDOW, end), self._size)
        self._start, self._shown = start, memoryview(b"")
        if start < stop:
            with suppress(OSError, ValueError):  # it cannot be mapped, or was cut short
                window = mmap.mmap(self._fd, stop - start, prot=mmap.PROT_READ, offset=start)
                window.madvise(mmap.MADV_SEQUENTIAL)  # what memory lacks is read ahead
                self._shown = memoryview(window)
