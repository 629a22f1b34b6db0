"""Where two versions of the same bytes differ when nothing moved: what the delta kernel need not search for."""

from __future__ import annotations

from packetfs.accel import native
from packetfs.packet.kernels import common_prefix
from packetfs.packet.layout import Buffer
from packetfs.typing import Final

_EQUAL: Final = bytes(8)
"""Equal bytes, as the difference has them."""
_STEP: Final = 8192
"""Bytes whose difference is made at a time."""


def differing_python(new: Buffer, old: Buffer, /) -> list[tuple[int, int]]:
    """Return [start, end) of each stretch in which two buffers of one length differ.

    Fewer than 8 equal bytes do not end one: they cost less as literals than as a copy.
    """
    after, before = memoryview(new).cast("B"), memoryview(old).cast("B")
    if len(after) != len(before):
        raise ValueError("what is compared in place is of one length")
    found: list[tuple[int, int]] = []
    at = common_prefix(after, before)
    while at < len(after):
        end = at + equal_again(after[at:], before[at:])
        found.append((at, end))
        at = end + common_prefix(after[end:], before[end:])
    return found


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


differing = differing_python if native is None else native.differing
