"""Where the shards of a file in a pool end: behind extents, chosen by their digests, so that bytes that are inserted or
taken away move the shards around them and no others.

A shard has S/2 to 3S/2 bytes and ends behind the extent, among those that end in that range, with the least digest: the
rule by which extents themselves are cut (packet/cut.py), one level up. What is longer than S, and runs and inline data,
which have no digest, end a shard only where nothing else does.

Shards that follow each other form a stretch, which ends behind one shard in STRETCH_MEAN, by its digest too: so a
change moves the edges of one or two stretches, and what a program computed on the others can be had as one (memo.py).
"""

from __future__ import annotations

from _operator import sub
from bisect import bisect_left, bisect_right
from itertools import islice
from struct import Struct

from packetfs.limits import STRETCH_MAX, STRETCH_MEAN
from packetfs.packet.digest import Digest
from packetfs.packet.layout import PACKET, Op
from packetfs.typing import TYPE_CHECKING, Final, Iterator

if TYPE_CHECKING:
    from packetfs.fs.leaves import Leaves, Packed

_KEYS: Final = Struct(">16xQ40x")
"""The first bytes of the digest of each COPY."""
_LAST: Final = (1 << 72) - 1
"""Greater than the first bytes of every digest; its own last byte ends no stretch."""
_COPY: Final = bytes([Op.COPY])


def longest(shard_bytes: int) -> int:
    """Return how many bytes a shard has at the most. What is farther from its beginning does not move its end."""
    return shard_bytes + shard_bytes // 2


def stretches(program: Leaves, root: Digest, shard_bytes: int, start: int = 0) -> Iterator[list[int]]:
    """Yield, stretch by stretch, where the shards of a file end; the last one does where the file does. `start`: where
    a stretch begins."""
    ends: list[int] = []
    for end, key in _shard_ends(program, root, shard_bytes, start):
        ends.append(end)
        if key % STRETCH_MEAN == 0 or len(ends) == STRETCH_MAX:  # not its first bytes: it is the least of several
            yield ends
            ends = []
    if ends:
        yield ends


def _shard_ends(program: Leaves, root: Digest, shard_bytes: int, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each shard from `start` on ends, and the key of the leaf that it ends behind."""
    least, most = shard_bytes - shard_bytes // 2, longest(shard_bytes)
    ends: list[int] = []
    keys: list[int] = []
    for run in program.packed(root, start, program.size(root)):
        _add(run, shard_bytes, ends, keys)
        done = 0
        while ends[-1] - start > most:
            done = 1 + _choose(ends, keys, start + least, start + most)
            start = ends[done - 1]
            yield start, keys[done - 1]
        del ends[:done], keys[:done]
    while ends and start < ends[-1]:
        index = _choose(ends, keys, start + least, start + most)
        start = ends[index]
        yield start, keys[index]


def _add(run: Packed, longest: int, ends: list[int], keys: list[int]) -> None:
    """Append every place in a run of leaves where a shard may end; they are `longest` bytes apart at the most."""
    base, starts, leaves = run
    ops = leaves[::PACKET]
    found = [key for (key,) in _KEYS.iter_unpack(leaves)]
    if ops.strip(_COPY):
        found = [key if op == Op.COPY else _LAST for op, key in zip(ops, found, strict=True)]
    if max(map(sub, islice(starts, 1, None), starts)) <= longest:
        ends += [base + end for end in islice(starts, 1, None)]
        keys += found
        return
    for start, end, key in zip(starts, islice(starts, 1, None), found, strict=False):
        inside = range(start + longest, end, longest)
        ends += [base + at for at in (*inside, end)]
        keys += [_LAST] * len(inside)
        keys.append(key)


def _choose(ends: list[int], keys: list[int], least: int, most: int) -> int:
    """Return the index of the first least key that ends in the range; of the last end, where all are before it."""
    low, high = bisect_left(ends, least), bisect_right(ends, most)
    if low == len(ends):
        return low - 1
    found = keys[low:high]
    return low + found.index(min(found))
