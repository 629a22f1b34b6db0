"""Extents that were written since the machine started, in the order of a file, as far as they are in memory.

No digest is asked whether they are what was written: they are believed as one is that was compared since then. What a
crash may have spoilt, and the very file that is compared with it, lies before that.

What was written in one go lies in one go, each header before its payload. So one call reads several extents, and the
next one is looked for behind the last, where its header tells; the index is asked where it is not there. To read and
compare extents takes half of what hashing them does, and no step in Python for each (measured by hand). That pays
where the pages are in memory; where they are not, nobody waits, and nothing is read.
"""

from __future__ import annotations

from packetfs.accel import native
from packetfs.limits import KIB
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.layout import HEADER, PACKET, Buffer, Op
from packetfs.packet.tree import produces
from packetfs.pages import pages
from packetfs.pool.extent import padded, plain_head
from packetfs.pool.lookup import Like, Lookup
from packetfs.typing import Final

_STRETCH: Final = 512 * KIB
"""Bytes read at a time where extents lie in one go: they are in the second-level cache still when they are compared."""
_LEFT_OUT: Final = 32
"""Extents that are left out at the most before one is looked for: to look for each costs a third more than to hash it
where all are patches, or lie one here and one there (measured by hand)."""
_WHOLE_COPY: Final = bytes((Op.COPY, 0, 0, 0)), bytes(8)
"""The first bytes and the operand of a COPY of a whole extent."""


class InOrder:
    """Compares a stream with what an old program names, extent by extent."""

    def __init__(self, lookup: Lookup, since: int) -> None:
        """`since`: the position from which on all was written since then."""
        self._lookup = lookup
        self._since = since
        self._memory = pages(_STRETCH)
        self._start = self._end = 0
        """What of the arena is in memory."""
        self._next = -1
        """Where the extent behind the last one would lie, -1 where there is none yet."""
        self._scattered = self._left_out = 0

    def is_due(self) -> bool:
        """Tell whether to look for the next extent: some are left out where it did not pay lately."""
        self._left_out -= 1
        return self._left_out < 0

    def count_same(self, leaves: bytes, stream: memoryview) -> int:
        """Return how many of the extents that `leaves` are copies of lie in one go and in memory, and are what the
        stream goes on with."""
        expected, count, goes_on = self._next, 0, False
        if self._find(leaves):
            stored = self._memory[self._next - self._start : self._end - self._start]
            count, taken, _ = same_extents(leaves, stored, stream)
            goes_on = self._next == expected or count > 1
            self._next += taken
        self._judge(count, goes_on=goes_on)
        return count

    def _judge(self, count: int, *, goes_on: bool) -> None:
        """Look for fewer extents where they do not lie in one go, as it does not pay then."""
        self._scattered = max(self._scattered - count, 0) if goes_on else min(self._scattered + 1, 2 * _LEFT_OUT)
        self._left_out = 0 if goes_on else self._scattered // 2

    def like(self, leaf: bytes) -> Like | None:
        """Return the extent that a leaf is a copy of, with its payload, good until the next call, and go on behind it.

        None where that is none of those, or is not stored as it is.
        """
        if not self._find(leaf):
            return None
        position, length = self._next, produces(leaf)
        at = position - self._start + PACKET
        self._next += PACKET + padded(length)
        return Like(Digest(leaf[HEADER : HEADER + DIGEST]), self._memory[at : at + length], position=position)

    def _find(self, leaves: bytes) -> bool:
        """Have the first extent in memory, at the place where it is expected or at another one."""
        if (leaves[:4], leaves[8:HEADER]) != _WHOLE_COPY:
            return False
        digest, length = Digest(leaves[HEADER : HEADER + DIGEST]), produces(leaves)
        head = plain_head(digest, length)
        if self._has(self._next, length) and self._begins(self._next, head):
            return True
        for position in self._lookup.positions(digest):
            if position < self._since:
                continue
            if self._has(position, length) or self._fill(position, PACKET + length, 2 * (PACKET + length)):
                self._next = position
                return self._begins(position, head)
        return False

    def _has(self, position: int, length: int) -> bool:
        """Tell whether an extent of this length would be in memory; what lies behind the last one is read for that."""
        if self._start <= position and position + PACKET + length <= self._end:
            return True
        return position == self._next >= 0 and self._fill(position, PACKET + length, _STRETCH)

    def _fill(self, position: int, least: int, most: int) -> bool:
        """Read what lies from `position` on, up to `most` bytes; False where there are fewer than `least`."""
        count = self._lookup.read_near(position, self._memory[:most])
        self._start, self._end = position, position + count
        return count >= least

    def _begins(self, position: int, head: bytes) -> bool:
        at = position - self._start
        return self._memory[at : at + len(head)] == head


def same_extents_python(leaves: Buffer, stored: Buffer, stream: Buffer, /) -> tuple[int, int, int]:
    """Return how many of the extents that `leaves` are copies of lie one behind the other in `stored`, each behind its
    header, and are what `stream` goes on with; and how many bytes of both these take."""
    named, there, come = (memoryview(each).cast("B") for each in (leaves, stored, stream))
    count = at = done = 0
    while (count + 1) * PACKET <= len(named):
        leaf = bytes(named[count * PACKET : (count + 1) * PACKET])
        length = int.from_bytes(leaf[4:8], "little")
        end = at + PACKET + length
        if end > len(there) or length > len(come) - done or (leaf[:4], leaf[8:HEADER]) != _WHOLE_COPY:
            break
        head = plain_head(Digest(leaf[HEADER : HEADER + DIGEST]), length)
        if bytes(there[at : at + len(head)]) != head or there[at + PACKET : end] != come[done : done + length]:
            break
        count, at, done = count + 1, min(at + PACKET + padded(length), len(there)), done + length
    return count, at, done


same_extents = same_extents_python if native is None else native.same_extents
