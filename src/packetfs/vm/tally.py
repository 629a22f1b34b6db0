"""Counting numbers that lie at equal distances: the definition of helper 4103, whose C is native/vm_tally.c."""

from __future__ import annotations

from packetfs.typing import Final
from packetfs.vm.image import ARRAYS, MapPlace
from packetfs.vm.layout import MapFlag

WIDTHS: Final = (1, 2, 4, 8)
COUNT: Final = 8
"""Bytes of a count."""
M64: Final = (1 << 64) - 1


def can_count(place: MapPlace, stride: int, width: int) -> bool:
    """Tell whether a map holds counts, and numbers may lie like that. width: negative where the first byte is the
    highest."""
    counts = place.type in ARRAYS and place.value_size == COUNT and not place.flags & MapFlag.READ_ONLY
    return counts and stride > 0 and abs(width) in WIDTHS


def numbers_in(size: int, stride: int, width: int) -> int:
    """Return how many numbers lie in `size` bytes: one at every `stride` that is there to its last byte."""
    return (size - abs(width)) // stride + 1 if size >= abs(width) else 0


def tally(counts: memoryview, entries: int, data: memoryview, stride: int, width: int) -> int:
    """Add 1 to the count of each number, one after the other; return how many numbers have no count."""
    outside, size = 0, abs(width)
    for at in range(0, numbers_in(data.nbytes, stride, width) * stride, stride):
        value = int.from_bytes(data[at : at + size], "little" if width > 0 else "big")
        if value >= entries:
            outside += 1
            continue
        count = counts[COUNT * value : COUNT * (value + 1)]
        count[:] = (int.from_bytes(count, "little") + 1 & M64).to_bytes(COUNT, "little")
    return outside
