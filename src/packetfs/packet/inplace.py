"""Where two versions of the same bytes differ when nothing moved: what the delta kernel need not search for."""

from __future__ import annotations

from collections.abc import Iterator

from packetfs.packet.kernels import common_prefix, equal_again


def differing(new: memoryview, old: memoryview) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each stretch in which two buffers of one length differ.

    Fewer than 8 equal bytes do not end one: they cost less as literals than as a copy.
    """
    at = common_prefix(new, old)
    while at < len(new):
        end = at + equal_again(new[at:], old[at:])
        yield at, end
        at = end + common_prefix(new[end:], old[end:])
