"""The digest index: fingerprints to values in the 16-byte slots of a caller's buffer, often a shared mapping.

A slot is u64 fingerprint (the key's first 8 bytes; 0 is stored as 1) and u64 value + 1. (any, 0) was never used and
ends a search; (0, any but 0) was removed and does not. Keys are digests, so their high bits choose the slot; probing
is linear and bounded, so a damaged buffer costs time and finds nothing, never a loop. Candidates are hints: the
caller compares full digests. One writer and any number of readers may share a buffer.
"""

from __future__ import annotations

from itertools import islice
from struct import Struct, pack_into, unpack_from

from packetfs.accel import native
from packetfs.contextlib import suppress
from packetfs.packet.layout import PACKET, STRUCT, Op
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

SLOT: Final = 16
PROBES: Final = 4096
"""Slots that one search looks at; at a load of 0.75 a longest search of a few hundred is expected."""
CANDIDATES: Final = 64
"""Values that one `get` returns; more than one is a fingerprint shared by chance or by malice."""
_VALUE_MAX: Final = 2**64 - 2
_SLOTS_MIN: Final = 64
_LAYOUT: Final = Struct(STRUCT)


def slots_bytes(pairs: int) -> int:
    """Return how many bytes hold that many pairs at a load of 0.75, where searches are short."""
    return max(_SLOTS_MIN, pairs * 4 // 3 + 1) * SLOT


class SlotIndexPython:
    """The definition of the index; `put` raises ValueError when the buffer, or the key's part of it, is full."""

    def __init__(self, buffer: Buffer) -> None:
        view = memoryview(buffer).cast("B")
        if view.readonly or not view.nbytes or view.nbytes % SLOT:
            raise ValueError("the buffer must be whole slots of 16 bytes")
        self._view = view
        self._count = -1

    def close(self) -> None:
        self._view.release()

    @property
    def capacity(self) -> int:
        return self._view.nbytes // SLOT

    @property
    def count(self) -> int:
        if self._count < 0:
            slots = (unpack_from("<QQ", self._view, slot * SLOT) for slot in range(self.capacity))
            self._count = sum(key != 0 and stored != 0 for key, stored in slots)
        return self._count

    def put(self, key: Buffer, value: int, /) -> bool:
        """Add the pair; False where it is held already."""
        return self._put(_fingerprint(key), _checked(value))

    def put_extents(self, leaves: Buffer, value: int, limit: int, most: int, /) -> int:
        """Add the digest of each COPY of a file's leaves, with `value` and the offset at which it stands among them, as
        long as that is below `limit` and no digest has `most` values; return how many were added.

        One that finds no room is left out.
        """
        view = memoryview(leaves).cast("B")
        if view.nbytes % PACKET:
            raise ValueError("a program is whole packets")
        if not 1 <= most <= CANDIDATES:
            raise ValueError("an index gives 64 values of a key at the most")
        added, value, limit = 0, _checked(value), _checked(limit)
        for at in range(0, view.nbytes, PACKET):
            if value >= limit:
                break
            op, _, _, length, operand, body = _LAYOUT.unpack_from(view, at)
            if op == Op.COPY and len(self.get(body)) < most:
                with suppress(ValueError):
                    added += self.put(body, value)
            value += operand if op == Op.FILL else length
        return added

    def get(self, key: Buffer, start: int = 0, /) -> list[int]:
        """Return up to 64 values that the key may have, after the first `start`."""
        if start < 0:
            raise ValueError("start counts candidates from 0")
        return list(islice(self._values(_fingerprint(key)), start, start + CANDIDATES))

    def lacking(self, leaves: Buffer, start: int = 0, /) -> int:
        """Return the number of the first of a file's leaves, from `start` on, that copies an extent whose digest has no
        value; how many leaves there are where none does."""
        view = memoryview(leaves).cast("B")
        if view.nbytes % PACKET:
            raise ValueError("a program is whole packets")
        if start < 0:
            raise ValueError("start counts leaves from 0")
        for at in range(start * PACKET, view.nbytes, PACKET):
            op, _, _, _, _, body = _LAYOUT.unpack_from(view, at)
            if op == Op.COPY and not self.get(body):
                return at // PACKET
        return view.nbytes // PACKET

    def remove(self, key: Buffer, value: int, /) -> bool:
        """Take the pair out; False where it is not held."""
        wanted = _fingerprint(key), _checked(value) + 1
        for slot, held in self._probe(wanted[0]):
            if held == wanted:
                pack_into("<Q", self._view, slot * SLOT, 0)
                self._adjust(-1)
                return True
        return False

    def _probe(self, key: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield (slot, (fingerprint, value + 1)) of the used slots of a search."""
        slot = key * self.capacity >> 64
        for _ in range(min(PROBES, self.capacity)):
            held: tuple[int, int] = unpack_from("<QQ", self._view, slot * SLOT)
            if not held[1]:
                return
            yield slot, held
            slot = (slot + 1) % self.capacity

    def _values(self, key: int) -> Iterator[int]:
        return (stored - 1 for _, (held, stored) in self._probe(key) if held == key)

    def _put(self, key: int, value: int) -> bool:
        free, probed, slot = -1, 0, (key * self.capacity >> 64) - 1
        for slot, held in self._probe(key):
            probed += 1
            if held == (key, value + 1):
                return False
            if not held[0] and free < 0:
                free = slot
        if free < 0 and probed == min(PROBES, self.capacity):
            raise ValueError("the index is full")
        target = free if free >= 0 else (slot + 1) % self.capacity
        pack_into("<QQ", self._view, target * SLOT, key, value + 1)
        self._adjust(1)
        return True

    def _adjust(self, change: int) -> None:
        if self._count >= 0:
            self._count += change


def _fingerprint(key: Buffer) -> int:
    view = memoryview(key).cast("B")
    if view.nbytes < 8:
        raise ValueError("a key has 8 bytes at the least")
    return int.from_bytes(view[:8], "little") or 1


def _checked(value: int) -> int:
    if not 0 <= value <= _VALUE_MAX:
        raise ValueError("a value is an integer from 0 to 2**64 - 2")
    return value


SlotIndex: type[SlotIndexPython] = native.Index if native is not None else SlotIndexPython
