"""Digest -> position: a hash of 16-byte slots in the memory-mapped file `index`. Derived data, never the truth.

It is trusted after a clean stop and while the writer that keeps it is alive; otherwise it is built from the arena.
Fingerprints are 64 bits, so every hit is confirmed by the full digest in the extent's header before it counts.

    bytes 0..4095      header: Summary, and a checksum of it
    from 4096 on       slots (packet/slots.py); values are positions / 64
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator

from packetfs.dataclass import dataclass, replace
from packetfs.enum import IntEnum
from packetfs.limits import INDEX_LOAD, INDEX_SLOTS, LOOKUPS_REST
from packetfs.packet.digest import digest_of
from packetfs.packet.layout import PACKET, Buffer
from packetfs.packet.slots import SlotIndex
from packetfs.pool.storage import Storage
from packetfs.typing import Final

_HEADER: Final = 4096
_SLOT: Final = 16
_FIELDS: Final = struct.Struct("<8sIxxxxQQQQ16sQ16s")
_CHECKSUM: Final = 16
_MAGIC: Final = b"PKFSIDX1"
_REMOVED: Final = bytes(8)
_REHASH: Final = 64 * 1024
_LOOKUPS_REST: Final = LOOKUPS_REST // 16
"""The kernel maps 16 pages around each that is touched (64 KiB): 256 look-ups brought in all 8 MB of an index."""
_SMALL: Final = 1 << 20
"""An index up to this size stays mapped: at 1 GB it has 0.5 MB, and resting cost 17,000 page faults."""
_COPY_REST: Final = 8192
"""Slots copied between two rests: 128 KiB of the one index, 256 of the other."""


class State(IntEnum):
    """CLEAN: as the last writer left it. LIVE: good only together with the writer of the same epoch."""

    CLEAN = 1
    LIVE = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """What the header says. Everything before `synced` was durable when it was written, under the boot `boot`."""

    state: State
    slots: int
    end: int
    synced: int
    content: int
    identity: bytes
    epoch: int
    boot: bytes


class Index:
    """The slots of one index, in a file that is mapped, or in private memory for a reader without a usable file."""

    def __init__(self, buffer: mmap.mmap, storage: Storage | None = None, fd: int = -1) -> None:
        self._map = buffer
        self._storage = storage
        self._fd = fd
        self._view = memoryview(buffer)[_HEADER:]
        self._slots = SlotIndex(self._view)
        self._limit = int(self._slots.capacity * INDEX_LOAD)
        self._asked = 0
        self.get: Callable[..., list[int]] = self._find if len(buffer) > _SMALL else self._slots.get
        self.lacking: Callable[..., int] = self._find_lacking if len(buffer) > _SMALL else self._slots.lacking
        self.put = self._slots.put
        self.remove = self._slots.remove

    def _find(self, key: Buffer, start: int = 0) -> list[int]:
        """Return the values of a digest, or of its first 8 bytes, from the `start`th candidate on."""
        self._count(1)
        return self._slots.get(key, start)

    def _find_lacking(self, leaves: Buffer, start: int = 0) -> int:
        """Return the number of the first leaf, from `start` on, that copies an extent to which nothing leads."""
        self._count(len(memoryview(leaves)) // PACKET)
        return self._slots.lacking(leaves, start)

    def _count(self, looks: int) -> None:
        """Know of so many look-ups, and rest after enough of them."""
        self._asked += looks
        if self._asked >= _LOOKUPS_REST:
            self._asked = 0
            self.rest()

    @property
    def count(self) -> int:
        return self._slots.count

    @property
    def capacity(self) -> int:
        return self._slots.capacity

    @property
    def is_full(self) -> bool:
        return self._slots.count >= self._limit

    @property
    def inode(self) -> int:
        """Return which file this is, to see that a writer has put another in its place; 0 in private memory."""
        return os.fstat(self._fd).st_ino if self._fd >= 0 else 0

    def summary(self) -> Summary | None:
        return decode_summary(self._map[:_HEADER])

    def write_summary(self, summary: Summary) -> None:
        """Write the header by pwrite: it is what orders the slots against a crash."""
        if self._storage is not None:
            self._storage.write(self._fd, [encode_summary(replace(summary, slots=self._slots.capacity))], 0)

    def rest(self) -> None:
        """Let go of the pages touched so far, which stay in the page cache: puts go everywhere and would keep all."""
        if self._fd >= 0 and len(self._map) > _SMALL:
            self._map.madvise(mmap.MADV_DONTNEED)

    def sync(self) -> None:
        """Make slots and header durable."""
        if self._storage is not None:
            self._storage.sync_map(self._fd, self._map)
            self._storage.sync(self._fd)

    def sync_summary(self) -> None:
        if self._storage is not None:
            self._storage.sync(self._fd)

    def copy_into(self, other: Index) -> None:
        """Put every slot into a larger index: a slot's fingerprint is all the key that an index needs.

        Both are walked in the order of their slots, so pages behind are let go of: all of them were 6 MB at 100,000
        small files.
        """
        for number, (key, value) in enumerate(self.entries(), 1):
            other.put(key, value)
            if number % _COPY_REST == 0:
                self.rest()
                other.rest()

    def entries(self) -> Iterator[tuple[bytes, int]]:
        """Yield (first 8 bytes of the digest, value) of every used slot."""
        for start in range(0, len(self._view), _REHASH):
            for key, value in struct.iter_unpack("<8sQ", self._view[start : start + _REHASH]):
                if value and key != _REMOVED:
                    yield key, value - 1

    def close(self) -> None:
        """Unmap; the object is of no use afterwards."""
        self._slots.close()
        self._view.release()
        self._map.close()
        if self._storage is not None:
            self._storage.close(self._fd)


def create_index(storage: Storage, path: str, slots: int) -> Index:
    """Make an empty index in a new file; its blocks exist, so that a full disk shows here and not as a signal."""
    slots = max(INDEX_SLOTS, 1 << (slots - 1).bit_length())
    storage.unlink(path)
    fd = storage.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        storage.reserve(fd, _HEADER + slots * _SLOT)
        return Index(storage.map(fd, _HEADER + slots * _SLOT), storage, fd)
    except BaseException:
        storage.close(fd)
        storage.unlink(path)
        raise


def create_private_index(slots: int) -> Index:
    """Make an empty index in memory of this process."""
    slots = max(INDEX_SLOTS, 1 << (slots - 1).bit_length())
    return Index(mmap.mmap(-1, _HEADER + slots * _SLOT))


def load_index(storage: Storage, path: str, writable: bool) -> Index | None:
    """Map the index file; None when there is none or its header is not whole. The caller judges its state."""
    try:
        fd = storage.open(path, os.O_RDWR if writable else os.O_RDONLY)
    except FileNotFoundError:
        return None
    summary = decode_summary(storage.read(fd, _HEADER, 0))
    size = storage.size(fd)
    if summary is None or size != _HEADER + summary.slots * _SLOT:
        storage.close(fd)
        return None
    mapping = storage.map(fd, size) if writable else mmap.mmap(fd, size, access=mmap.ACCESS_COPY)  # follows the file
    return Index(mapping, storage, fd)


def fingerprint(digest: bytes) -> bytes:
    """Return what a slot keeps of a digest."""
    return digest[:8] if any(digest[:8]) else b"\1" + bytes(7)


def encode_summary(summary: Summary) -> bytes:
    fields = _FIELDS.pack(
        _MAGIC,
        summary.state,
        summary.slots,
        summary.end,
        summary.synced,
        summary.content,
        summary.identity,
        summary.epoch,
        summary.boot,
    )
    return fields + digest_of(fields)[:_CHECKSUM]


def decode_summary(data: bytes) -> Summary | None:
    """Return what a header says, None when it is not whole."""
    fields = data[: _FIELDS.size]
    if len(fields) < _FIELDS.size or digest_of(fields)[:_CHECKSUM] != data[_FIELDS.size : _FIELDS.size + _CHECKSUM]:
        return None
    magic, state, slots, end, synced, content, identity, epoch, boot = _FIELDS.unpack(fields)
    if magic != _MAGIC or state not in (State.CLEAN, State.LIVE) or slots & (slots - 1) or not slots:
        return None
    return Summary(State(state), slots, end, synced, content, identity, epoch, boot)
