"""Which extents were compared with their digest since the machine started: one bit for 64 bytes of arena, shared.

The file is no truth: it is emptied when the boot id or its own inode differs from what it says, so neither a reboot
nor a copy of the pool inherits it. Bits are read and set by system calls: a mapping would keep 64 KiB around each bit
that is touched, and writing a hole through one kills the process where the disk is full. A bit lost between two
processes costs one more check, nothing else.
"""

from __future__ import annotations

import fcntl
import os

from packetfs.errors import PacketFSError
from packetfs.limits import SEGMENT
from packetfs.packet.layout import PACKET
from packetfs.pool.storage import Storage
from packetfs.typing import Final

_HEADER: Final = 4096
_BLOCK: Final = 4096
"""Bytes of bits that are looked at together, those of 2 MiB: a call to the kernel for each extent was a twentieth of
following a changed file (by hand)."""
_STEP: Final = SEGMENT // PACKET // 8
"""Bytes of bits of a segment; the file grows by as much."""


class Verified:
    """The bitmap; without permission to write it, what this process alone has checked."""

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage = storage
        self._own: set[int] = set()
        self._size = 0
        self._fd = -1
        self._seen = -1, bytearray()
        """A block of the file as it was seen last: a bit that was set since is found missing, and costs a check."""
        try:
            self._fd = storage.open(path, os.O_RDWR | os.O_CREAT)
            self._adopt()
        except (PacketFSError, FileNotFoundError):
            self.close()

    def __contains__(self, position: int) -> bool:
        if self._fd < 0:
            return position in self._own
        number, bit = divmod(position // PACKET, _BLOCK * 8)
        seen, bits = self._seen
        if seen != number:
            bits = bytearray(os.pread(self._fd, _BLOCK, _HEADER + number * _BLOCK).ljust(_BLOCK, b"\0"))
            self._seen = number, bits
        elif bits[bit >> 3] >> (bit & 7) & 1:  # somebody may have cleared it
            byte = os.pread(self._fd, 1, _HEADER + number * _BLOCK + (bit >> 3))
            return bool(byte and byte[0] >> (bit & 7) & 1)
        return bool(bits[bit >> 3] >> (bit & 7) & 1)

    def add(self, position: int) -> None:
        """Remember that the extent at `position` was found intact."""
        if self._fd < 0:
            self._own.add(position)
        else:
            self._set(position, 1)

    def discard(self, position: int) -> None:
        """Forget it, so that it is checked at the next touch."""
        self._own.discard(position)
        self._seen = -1, bytearray()  # somebody may have set it
        if position in self:
            self._set(position, 0)

    def close(self) -> None:
        if self._fd >= 0:
            self._storage.close(self._fd)
            self._fd = -1

    def _set(self, position: int, value: int) -> None:
        bit = position // PACKET
        index = _HEADER + (bit >> 3)
        try:
            if index >= self._size:
                self._grow(index)
            old = os.pread(self._fd, 1, index)[0]
            new = old | 1 << (bit & 7) if value else old & ~(1 << (bit & 7))
            self._storage.write(self._fd, [bytes([new])], index)
            number, at = divmod(index - _HEADER, _BLOCK)
            if self._seen[0] == number:
                self._seen[1][at] = new
        except PacketFSError:  # a full disk: the extent is checked again at its next touch
            return

    def _adopt(self) -> None:
        """Empty the bitmap unless it was begun since this boot, in this very file."""
        stamp = boot_id() + os.fstat(self._fd).st_ino.to_bytes(8, "little")
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            if self._storage.read(self._fd, len(stamp), 0) != stamp:
                self._storage.truncate(self._fd, 0)
                self._storage.write(self._fd, [stamp], 0)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._grow(_HEADER)

    def _grow(self, index: int) -> None:
        """Make the file reach `index`, in steps of a segment; sparse, so this takes no space."""
        wanted = _HEADER + ((index - _HEADER) // _STEP + 1) * _STEP
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            if self._storage.size(self._fd) < wanted:
                self._storage.truncate(self._fd, wanted)
            self._size = self._storage.size(self._fd)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)


def boot_id() -> bytes:
    """Return 16 bytes that differ after every start of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return bytes.fromhex(file.read().decode().replace("-", ""))
    except (OSError, ValueError):
        return os.urandom(16)  # unknown: nothing is trusted beyond this process
