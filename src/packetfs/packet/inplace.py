"""Where two versions of the same bytes differ when nothing moved: what the delta kernel need not search for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packetfs.packet.kernels import common_prefix

_EQUAL: Final = bytes(8)
"""Equal bytes, as the difference has them, that end a differing stretch: fewer cost less as literals than as a copy."""
_STEP: Final = 8192
"""Bytes of a differing stretch that are looked at at a time."""


def differing(new: memoryview, old: memoryview) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each stretch in which two buffers of one length differ."""
    at = common_prefix(new, old)
    while at < len(new):
        end = _equal_again(new, old, at)
        yield at, end
        at = end + common_prefix(new[end:], old[end:])


def _equal_again(new: memoryview, old: memoryview, at: int) -> int:
    """Return where the buffers are equal again, some bytes long; their end where they never are."""
    while True:
        end = min(at + _STEP, len(new))
        found = _difference(new[at:end], old[at:end]).find(_EQUAL)
        if found >= 0:
            return at + found
        if end == len(new):
            return end
        at = end - len(_EQUAL) + 1


def _difference(a: memoryview, b: memoryview) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")
