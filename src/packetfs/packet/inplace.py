"""Where two versions of the same bytes differ when nothing moved: what the delta kernel need not search for."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.packet.kernels import common_prefix
from packetfs.typing import Final

_EQUAL: Final = bytes(8)
"""Equal bytes, as the difference has them."""
_STEP: Final = 8192
"""Bytes whose difference is made at a time."""


def differing(new: memoryview, old: memoryview) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each stretch in which two buffers of one length differ.

    Fewer than 8 equal bytes do not end one: they cost less as literals than as a copy.
    """
    at = common_prefix(new, old)
    while at < len(new):
        end = at + equal_again(new[at:], old[at:])
        yield at, end
        at = end + common_prefix(new[end:], old[end:])


def equal_again(new: memoryview, old: memoryview) -> int:
    """Return where two buffers of one length have 8 equal bytes for the first time; else their end."""
    at = 0
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
