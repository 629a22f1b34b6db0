"""Looks at a stream ahead of what is read of it, many extents of its old program at once.

What it has in common with that need not be read. An extent that changed inside and ends where it did is replaced, and
no cut is looked for in it: why so little must be hashed for that is said in `packet/rivals.py`. How it is seen what the
stream has, in `sight.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from packetfs.fs.streams.oldcontent import OldContent
from packetfs.fs.streams.oldprogram import OldProgram, Stretch
from packetfs.fs.streams.prints import Prints
from packetfs.fs.streams.sight import Sight
from packetfs.packet.cut import WINDOW
from packetfs.packet.digest import DIGEST, Digest, digest_of
from packetfs.packet.file import copy_leaf
from packetfs.packet.fingerprint import FINGERPRINT
from packetfs.packet.layout import HEADER, PACKET
from packetfs.packet.rivals import NO_RIVAL, Span, rivals
from packetfs.pool.lookup import Like
from packetfs.pool.pool import Pool
from packetfs.typing import Final, NamedTuple

_AHEAD: Final = 64
"""Extents that are looked at together: 4 MiB of the usual ones, of which some have changed."""
_OTHER: Final = 0
_CHANGED: Final = 2
_DIGEST_END: Final = HEADER + DIGEST
_NOWHERE: Final = -1, -1


class Passed(NamedTuple):
    """Extents that stand in the stream, where they stood in the old program: the leaves, and what changed inside.

    `changed`: the numbers of those that did, and where.
    """

    extents: Stretch
    changed: Sequence[tuple[int, Sequence[Span]]]


class Ahead:
    """What is known of a stream from a place in its old program on."""

    def __init__(
        self, old: OldProgram, sight: Sight, content: OldContent, pool: Pool, *, keep: bool, prints: Prints | None
    ) -> None:
        """`keep`: what changed is stored."""
        self._old = old
        self._sight = sight
        self._content = content
        self._pool = pool
        self._keep = keep
        self._prints = prints
        self._mean = pool.mean
        self._most = pool.mean + pool.mean // 2
        self._moved = self._expected = 0
        self._starts: list[int] = [0]
        self._leaves = self._known = self._state = bytearray()
        """Of the extents that are looked at; the state is 1 for what is as it was, or one of those above."""
        self._changed: dict[int, Sequence[Span]] = {}
        self._differs = _NOWHERE
        """The extent that was found not to stand last, and where it begins to be other."""

    def pass_on(self, at: int, before: Iterable[tuple[int, int]]) -> Passed | None:
        """Return the next extents of the old program that stand in the stream at a place, some of them changed; None
        where the next does not.

        `before`: start and end of those in front of the place that are settled only if what follows does not end them
        earlier.
        """
        segment = self._old.current()
        if segment is None or self.same_until(at) >= 0:  # looked at when what is before it was passed on
            return None
        start, moved = bisect_left(self._starts, segment.start), at - segment.start
        if start >= len(self._state) or self._starts[start] != segment.start or moved != self._moved:
            self._look(at, moved)
            start = 0
        stop = self._amend_from(start, list(before))
        if start == stop:
            return None
        leaves, known = self._leaves[start * PACKET : stop * PACKET], self._known
        stretch = Stretch(
            self._starts[start : stop + 1], bytes(leaves), bytes(known[start * FINGERPRINT : stop * FINGERPRINT])
        )
        return Passed(stretch, [(number - start, self._changed[number]) for number in self._numbers(start, stop)])

    def same_until(self, at: int) -> int:
        """Return where the bytes end that are as in the old program, from an extent on that does not stand; -1 where
        it was not looked at."""
        return self._differs[1] if self._differs[0] == at else -1

    def _look(self, at: int, moved: int) -> None:
        seen = self._old.extents(_AHEAD, printed=self._prints is not None)
        state = self._sight.same(at, seen) if seen.leaves else b""
        self._moved, self._expected = moved, 0
        self._starts, self._state = seen.starts, bytearray(state)
        self._leaves, self._known = bytearray(seen.leaves), bytearray(seen.prints)
        self._changed.clear()

    def _numbers(self, start: int, stop: int) -> Iterator[int]:
        """Yield the extents that changed, of some."""
        number = start - 1
        while (number := self._state.find(_CHANGED, number + 1, stop)) >= 0:
            yield number

    def _amend_from(self, start: int, before: list[tuple[int, int]]) -> int:
        """Replace what changed from an extent on; return the number of the first that cannot be, or of all."""
        number = start
        while (number := self._state.find(_OTHER, number)) >= 0:
            if not self._amend(number, start, before):
                return number
            self._state[number] = _CHANGED
        return len(self._state)

    def _amend(self, number: int, first: int, before: list[tuple[int, int]]) -> bool:
        """Replace one; False where it ends otherwise, or one before it does."""
        start, end = self._starts[number] + self._moved, self._starts[number + 1] + self._moved
        self._differs = start, start
        if not 2 * WINDOW < end - start <= self._most:
            return False
        change = self._sight.read(start, end - start, like := self._like(number))
        if change is None:
            return False
        new, spans = change
        self._differs = start, start + (spans[0][0] if spans else 0)
        earlier = self._reaching(number, first, before)
        least = rivals(new, spans, self._mean, [seen for _, seen in earlier])
        if least is None:
            return False
        for rival, (ended, seen) in zip(least, earlier, strict=True):
            if rival != NO_RIVAL and not self._sight.ends(ended, rival, new, seen):
                return False
        digest = digest_of(new)
        if self._keep:
            self._pool.put(new, digest, like=() if like is None else (like,))
        self._leaves[number * PACKET : (number + 1) * PACKET] = copy_leaf(digest, end - start)
        if self._prints is not None:
            self._known[number * FINGERPRINT : (number + 1) * FINGERPRINT] = self._prints.of(new)
        self._changed[number] = spans
        self._differs = _NOWHERE
        return True

    def _like(self, number: int) -> Like | None:
        """Return one as it was; None where that is not held, or not needed."""
        if not self._keep and not self._sight.compares:
            return None
        if number >= self._expected:
            self._content.expect(self._others(number))
        return self._content.read(self._digest(number), self._starts[number + 1] - self._starts[number])

    def _digest(self, number: int) -> Digest:
        return Digest(bytes(self._leaves[number * PACKET + HEADER : number * PACKET + _DIGEST_END]))

    def _reaching(self, number: int, first: int, before: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return where the extents end whose cut depends on bytes of this one, and on how many of them."""
        starts, moved, most = self._starts, self._moved, self._most
        start = starts[number]
        found: list[tuple[int, int]] = []
        while number > first and (seen := starts[number - 1] + most - start) > 0:
            found.append((starts[number] + moved, seen))
            number -= 1
        if number == first:
            found += [(ended, seen) for begun, ended in before if (seen := begun + most - start - moved) > 0]
        return found

    def _others(self, number: int) -> Iterator[tuple[Digest, int]]:
        """Yield the extents from one on that the stream has not as they were."""
        while (number := self._state.find(_OTHER, number)) >= 0:
            yield self._digest(number), self._starts[number + 1] - self._starts[number]
            number += 1
            self._expected = number
