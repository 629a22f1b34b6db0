"""A slot index that grows with its pairs."""

from __future__ import annotations

from array import array

from packetfs.contextlib import suppress
from packetfs.packet.slots import SLOT, SlotIndex
from packetfs.typing import Final

_PLACES_MAX: Final = 4
"""Values remembered of one key."""
_FIRST_SLOTS: Final = 1 << 12


class GrowingIndex:
    """Values of up to 64 bits by keys of 8 bytes; a key that is longer counts by its first eight."""

    def __init__(self) -> None:
        self._slots = SlotIndex(bytearray(SLOT * _FIRST_SLOTS))
        self._room = _FIRST_SLOTS * 2 // 3
        self._pairs = array("Q")
        self.get = self._slots.get

    def __len__(self) -> int:
        return len(self._pairs) // 2

    def put(self, key: bytes, value: int) -> None:
        """Add a pair; a key has four values at the most."""
        if len(self.get(key)) >= _PLACES_MAX:
            return
        if not self._room:
            self._grow()
        self._pairs.extend((int.from_bytes(key[:8], "little"), value))
        with suppress(ValueError):  # one part of it is crowded: what is not found is sent
            self._slots.put(key, value)
        self._room -= 1

    def _grow(self) -> None:
        slots = self._slots.capacity * 2
        self._slots = SlotIndex(bytearray(SLOT * slots))
        self.get = self._slots.get
        self._room = slots * 2 // 3 - len(self)
        for at in range(0, len(self._pairs), 2):
            with suppress(ValueError):
                self._slots.put(self._pairs[at].to_bytes(8, "little"), self._pairs[at + 1])
