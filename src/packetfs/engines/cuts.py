"""Where the shards of a file in a pool end: behind extents, chosen by their digests, so that bytes that are inserted or
taken away move the shards around them and no others.

A shard has S/2 to 3S/2 bytes and ends behind the extent, among those that end in that range, with the least digest: the
rule by which extents themselves are cut (packet/cut.py), one level up. What is longer than S, and runs and inline data,
which have no digest, end a shard only where nothing else does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from packetfs.packet.digest import Digest
from packetfs.packet.layout import HEADER, Op

if TYPE_CHECKING:
    from packetfs.fs.leaves import Leaves

_KEY_END: Final = HEADER + 8
_LAST: Final = b"\xff" * 9
"""Greater than the first bytes of every digest."""
_COPY: Final = int(Op.COPY)


def shard_ends(program: Leaves, root: Digest, shard_bytes: int) -> Iterator[int]:
    """Yield where each shard of a file ends, in order; the last one does where the file does."""
    least, most = shard_bytes - shard_bytes // 2, shard_bytes + shard_bytes // 2
    waiting: deque[tuple[bytes, int]] = deque()
    start = 0
    for key, end in _candidates(program, root, shard_bytes):
        while end - start > most:
            start = _choose(waiting, start + least)
            yield start
        waiting.append((key, end))
    while waiting:
        start = _choose(waiting, start + least)
        yield start


def _candidates(program: Leaves, root: Digest, longest: int) -> Iterator[tuple[bytes, int]]:
    """Yield (key, end) of every place where a shard may end; they are `longest` bytes apart at the most."""
    for start, end, leaf in placed(program, root):
        for at in range(start + longest, end, longest):
            yield _LAST, at
        yield leaf[HEADER:_KEY_END] if leaf[0] == _COPY else _LAST, end


def placed(program: Leaves, root: Digest) -> Iterator[tuple[int, int, bytes]]:
    """Yield (start, end, leaf) of what produces bytes."""
    size = program.size(root)
    before: tuple[int, bytes] | None = None
    for at, leaf in program.between(root, 0, size):
        if before is not None and at > before[0]:
            yield before[0], at, before[1]
        before = at, leaf
    if before is not None and size > before[0]:
        yield before[0], size, before[1]


def _choose(waiting: deque[tuple[bytes, int]], least: int) -> int:
    """Take away what waits up to the end of the next shard, which is `least` or behind it if anything is."""
    _, end = min((found for found in waiting if found[1] >= least), default=waiting[-1])
    while waiting and waiting[0][1] <= end:
        waiting.popleft()
    return end
