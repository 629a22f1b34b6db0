"""Signatures of stale content: which blocks, how long, how many bytes of each sum. Pure, and the same on both sides.

*Stale* is what the receiver holds in files that change or go, and no extent of the new tree names. It counts as one
address space of *runs*, each a stretch of one old file. Of the blocks of these runs the receiver sends sums; the sender
finds them anywhere in the new content that is lacking, and copies them from there.

Small blocks lose little around an edit, but their sums cost more: with e edits in a run of n bytes and w bytes a sum,
blocks of b bytes cost w * n / b + e * b, least at b = sqrt(w * n / e). So where there is much, there are two rounds:
sums of long blocks first, then fine ones of the runs in which nothing was found, which are few and short. Many small
files are short from the start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from math import log2, sqrt

from packetfs.dataclass import dataclass
from packetfs.errors import BadMessage
from packetfs.limits import BLOCKS_MAX, COPIED_MAX, RUNS_HELD_MAX, STALE_ONE_ROUND
from packetfs.net.wire.listing import Bits
from packetfs.net.wire.messages import Signatures
from packetfs.net.wire.varint import Cursor, write_varint
from packetfs.packet.blocks import BLOCK_MAX, BLOCK_MIN, PRIME, WIDTH_MAX
from packetfs.typing import Final

COARSE: Final = 2048
"""Bytes of a block of the first of two rounds: with an edit in each 64 KiB it costs the least in both together."""
FINE_MAX: Final = 1024
"""Bytes of a block of the last round at the most."""
DOUBT: Final = 14
"""Bits of a sum beyond those that tell all pairs of a place and a block apart: of 16,384 files one is sent twice."""
WORTH: Final = 8
"""The part of the lacking bytes that sums may cost: where a large file became a small one, they would find nothing."""
FOUND_WORTH: Final = 64
"""Where not one block in so many was found, the content is another one, and fine sums would find nothing either."""

Run = tuple[int, int]
"""Where a run begins among the stale content, and its bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a round signs."""

    block: int
    width: int
    last: bool


def plan_first(runs: list[Run], lacking: int) -> Plan | None:
    """Choose the first round for `lacking` new bytes; None where sums are not worth their bytes."""
    stale = sum(length for _, length in runs)
    last = stale <= STALE_ONE_ROUND or _is_short(runs, stale)
    return _affordable(_fine(runs, stale) if last else COARSE, stale, lacking, last=last)


def plan_second(runs: list[Run], left: int, blocks: int, found: int) -> Plan | None:
    """Choose the last round, after `found` of the first one's `blocks`."""
    if found * FOUND_WORTH < blocks:
        return None
    stale = sum(length for _, length in runs)
    return _affordable(_fine(runs, stale), stale, left, last=True)


def _is_short(runs: list[Run], stale: int) -> bool:
    """Say whether most stale content lies in runs without a long block: small files, of which a first round finds
    nothing."""
    return 2 * COARSE * sum(length // COARSE for _, length in runs) < stale


def _fine(runs: list[Run], stale: int) -> int:
    """Return the block that costs least if each run has one edit."""
    best = sqrt(WIDTH_MAX * stale / max(1, len(runs)))
    return min(FINE_MAX, max(BLOCK_MIN, 1 << round(log2(best)))) if best >= 1 else BLOCK_MIN


def _affordable(block: int, stale: int, lacking: int, *, last: bool) -> Plan | None:
    while block <= BLOCK_MAX:
        blocks = stale // block
        width = _width(lacking, blocks)
        if blocks <= BLOCKS_MAX and lacking <= BLOCKS_MAX * block and blocks * width * WORTH <= lacking:
            return Plan(block, width, last) if blocks else None
        block *= 2
    return None


def _width(lacking: int, blocks: int) -> int:
    """Return the bytes of a sum by which no place is taken for a block that is not there."""
    bits = lacking.bit_length() + blocks.bit_length() + DOUBT
    return min(WIDTH_MAX, -(-bits // 8))


class Layout:
    """Where the blocks of some runs lie; they are numbered run by run."""

    def __init__(self, runs: list[Run], block: int) -> None:
        self.runs = runs
        self.block = block
        self._firsts = [0]
        for _, length in runs:
            self._firsts.append(self._firsts[-1] + length // block)

    @property
    def count(self) -> int:
        return self._firsts[-1]

    def stretches(self, number: int, count: int) -> Iterable[Run]:
        """Yield where `count` blocks from a number on lie: they may be the end of one run and the start of another."""
        while count:
            run = bisect_right(self._firsts, number) - 1
            inside = number - self._firsts[run]
            taken = min(count, self._firsts[run + 1] - number)
            yield self.runs[run][0] + inside * self.block, taken * self.block
            number, count = number + taken, count - taken

    def unmatched(self, matched: Bits) -> list[Run]:
        """Return the runs that are left when the blocks that were found are taken out."""
        left: list[Run] = []
        for (start, length), first in zip(self.runs, self._firsts, strict=False):
            self._split(left, start, length, first, matched)
        return left

    def _split(self, left: list[Run], start: int, length: int, first: int, matched: Bits) -> None:
        begin = start
        for number in range(length // self.block):
            if matched[first + number]:
                at = start + number * self.block
                if at > begin:
                    left.append((begin, at - begin))
                begin = at + self.block
        if start + length > begin:
            left.append((begin, start + length - begin))


def write_runs(runs: list[Run]) -> bytes:
    """Return the lengths of runs that follow each other from 0 on."""
    out = bytearray()
    for _, length in runs:
        write_varint(out, length)
    return bytes(out)


def read_runs(data: bytes) -> list[Run]:
    """Return what `write_runs` wrote; BadMessage when it is not that."""
    cursor, runs, at = Cursor(data), list[Run](), 0
    while not cursor.done:
        length = cursor.varint(COPIED_MAX)
        if not length or at + length > COPIED_MAX or len(runs) >= RUNS_HELD_MAX:
            raise BadMessage(reason="runs that are empty, too long or too many")
        runs.append((at, length))
        at += length
    return runs


def check_signatures(said: Signatures, runs: list[Run]) -> Layout:
    """Return the layout of the blocks that a receiver signed; BadMessage when sums and runs do not fit each other."""
    block = said.block
    if not BLOCK_MIN <= block <= BLOCK_MAX or block & (block - 1):
        raise BadMessage(reason=f"signatures of blocks of {block} bytes")
    if not 1 <= said.width <= WIDTH_MAX or said.key >= PRIME:
        raise BadMessage(reason=f"sums of {said.width} bytes, or a key that is none")
    layout = Layout(runs, block)
    if layout.count > BLOCKS_MAX or len(said.sums) != layout.count * said.width:
        raise BadMessage(reason=f"{len(said.sums)} bytes of sums for {layout.count} blocks")
    return layout


NOTHING: Final = Signatures(BLOCK_MIN, 1, 0, 1, b"", b"")
"""What a receiver says that has nothing stale, or for which sums do not pay."""
