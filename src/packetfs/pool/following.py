"""The chunks of one stream on their way into a pool, and what the pool has behind the last one that it held already.

Bytes that come again mostly come in the order in which they came before. So once a chunk is found by its digest, what
follows is compared with what lies behind that chunk in the arena, which costs less than cutting and hashing it. The
program stays the one that cutting makes: the cut of a chunk depends on REACH bytes from its start on, so it is taken
from an earlier stream where that many are the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence

from packetfs.limits import FOLLOW_WINDOW
from packetfs.packet.cut import reach_of
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.kernels import common_prefix
from packetfs.packet.layout import PACKET
from packetfs.pool.extent import padded, plain_chunk
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packetfs.pool.pool import Pool

_SPARE: Final = 32
"""A header is at most one part in so many of what is read: of chunks of 2 KiB."""


class Following:
    """Stores what one stream is cut into, and recognises what it need not be cut into again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._reach = reach_of(pool.mean)
        self._next = -1
        """Where the extent lies that the stream may go on with."""
        self._start = self._behind = -1
        """Where the extents lie that the stream's last chunks have, one behind the other: these are a sequence."""

    @property
    def expects(self) -> bool:
        """Whether there is anything to compare with what comes next."""
        return self._next >= 0

    def put(self, chunk: memoryview) -> Digest:
        """Keep the next chunk that the stream was cut into, and return its digest."""
        return self.put_all([chunk])[0]

    def put_all(self, chunks: Sequence[memoryview]) -> list[Digest]:
        """Keep the next chunks that the stream was cut into; return the digests of as many as were taken, one at the
        least: behind the last of them more may be recognised."""
        named = [(digest_of(chunk), chunk) for chunk in chunks]
        self._next, done = -1, 0
        with self._pool.lock:  # what is found stays, until it is known to be in a sequence
            while done < len(named) and self._next < 0:
                positions = self._pool.put_new(named[done:])
                if positions:
                    self._went_on(positions[0], self._pool.arena.end, several=len(positions) > 1)
                else:
                    self._put(*named[done])
                done += len(positions) or 1
        return [digest for digest, _ in named[:done]]

    def _put(self, digest: Digest, chunk: memoryview) -> None:
        """Keep a chunk that may be held."""
        held = self._pool.find_held(digest, chunk)
        if held is not None:
            self._went_on(held.position, held.end)
            self._next = held.end if self._pool.sequences.end(held.end) >= 0 else -1
            return
        before = self._pool.arena.end
        self._pool.put(chunk, digest)
        end = self._pool.arena.end
        if end > before:
            self._went_on(end - PACKET - padded(len(chunk)), end)
        else:  # it was held, and the pool does not tell
            self._behind = -1

    def _went_on(self, position: int, end: int, *, several: bool = False) -> None:
        """Know where the stream's last chunk lies, or several."""
        is_behind = position == self._behind
        if not is_behind:
            self._start = position
        if is_behind or several:
            self._pool.sequences.add(self._start, end)
        self._behind = end

    def interrupt(self) -> None:
        """Know that something comes that is no chunk."""
        self._next = self._behind = -1

    def recognise(self, data: memoryview) -> list[tuple[int, Digest]]:
        """Return (length, digest) of chunks that `data` begins with and that are held: no others could be cut there."""
        if self._next < 0:
            return []
        with self._pool.lock:
            stop = self._pool.sequences.end(self._next)
            chunks, same = self._compare(data, stop) if stop >= 0 else ([], 0)
        start = count = 0
        for length, _ in chunks:
            if start + self._reach > same:
                break
            start += length
            self._next += PACKET + padded(length)
            count += 1
        self._behind = self._next
        if same < len(data) or self._next >= stop:  # it goes on in another way
            self._next = -1
        return chunks[:count]

    def _compare(self, data: memoryview, stop: int) -> tuple[list[tuple[int, Digest]], int]:
        """Return the extents from the place on that `data` begins with, and how many of its bytes are as there."""
        window = self._pool.sequences.window(max(FOLLOW_WINDOW, 2 * self._pool.mean))
        found: list[tuple[int, Digest]] = []
        at, done = self._next, 0
        while True:
            rest = data[done:]
            room = min(len(window), stop - at, len(rest) + len(rest) // _SPARE + 2 * PACKET)
            stored = window[: self._pool.arena.peek_into(at, window[:room])]
            chunks, same = alike(self._pool.arena.secret, at, stored, rest)
            if not chunks:
                return found, done + same
            found += chunks
            for length, _ in chunks:
                done += length
                at += PACKET + padded(length)


def alike(secret: bytes, at: int, stored: memoryview, data: memoryview) -> tuple[list[tuple[int, Digest]], int]:
    """Return (length, digest) of the plain extents that lie at `at` and that `data` begins with, in order.

    And how many bytes of `data` are the same, with those of the next extent that is not all here or not all the same.
    Equal bytes show that the payload is sound; that the digest is, the header's tag has to.
    """
    found: list[tuple[int, Digest]] = []
    offset = done = 0
    while len(stored) - offset >= PACKET:
        chunk = plain_chunk(secret, stored, offset, at + offset)
        if chunk is None:
            break
        start, length = offset + PACKET, chunk[0]
        same = common_prefix(stored[start : start + length], data[done : done + length])
        done += same
        if same < length:
            break
        found.append(chunk)
        offset = start + padded(length)
    return found, done
