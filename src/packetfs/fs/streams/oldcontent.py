"""Old extents that new content is compared with: each is looked at once, and need not stay in the page cache."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

from packetfs.errors import PacketFSError
from packetfs.fs.streams.oldprogram import OldProgram
from packetfs.limits import MIB
from packetfs.packet.digest import Digest
from packetfs.packet.layout import PACKET
from packetfs.pages import pages
from packetfs.pool.lookup import Like
from packetfs.pool.past import BLOCK, room_for
from packetfs.pool.pool import Pool
from packetfs.typing import Final, Iterable, Iterator

_TOGETHER: Final = 16
"""Extents that are read at once, and a MiB of them, as many of the usual ones: four times as many take no less (by
hand). Each has memory for the longest."""
_HELD: Final = 2 * _TOGETHER
"""Extents that are held, those that were asked for last: what is cut anew reaches into some again."""


class OldContent:
    """Reads them into memory that is used again: what is returned is good until sixteen others were asked for."""

    def __init__(self, pool: Pool, *, on_trust: bool = True) -> None:
        """`on_trust`: they are not compared with their digests."""
        self._pool = pool
        self._on_trust = on_trust
        self._held: dict[Digest, tuple[Like, memoryview | None]] = {}
        """Extents that were read, and the memory of ours that each lies in."""
        self._memory = memoryview(b"")
        self._free: list[memoryview] = []

    def expect(self, coming: Iterable[tuple[Digest, int]]) -> None:
        """Know by digest and length which extents are asked for next, the nearest first: they are read at once."""
        missing: dict[Digest, int] = {}
        for digest, length in _first(coming):
            held = self._held.pop(digest, None)
            if held is None:
                missing[digest] = length
            else:
                self._held[digest] = held  # behind those that were asked for before
        if missing:
            self._read(list(missing.items()))

    def read(self, digest: Digest, length: int) -> Like | None:
        """Return an extent; None where it is not held any more, or has another length."""
        held = self._held.pop(digest, None)
        if held is not None:
            self._held[digest] = held  # behind those that were asked for before
        else:
            self.expect([(digest, length)])
            held = self._held.get(digest)
        return held[0] if held is not None and len(held[0].content) == length else None

    def beside(self, old: OldProgram, start: int, end: int) -> list[Like]:
        """Return the extents that stand where these bytes are now, as far as they are held: the first of very many."""
        spanning = [(one.digest, one.length, one.start) for one in old.spanning(start, end) if one.digest is not None]
        self.expect((digest, length) for digest, length, _ in spanning)
        found: list[Like] = []
        for digest, length, at in spanning:
            held = self._held.get(digest)
            if held is not None and len(held[0].content) == length:
                found.append(Like(digest, held[0].content, at - start, held[0].position))
        return found

    def fill(self, old: OldProgram, start: int, memory: memoryview, count: int) -> int:
        """Fill memory with the first `count` bytes of what stands from `start` on, as far as extents are held side by
        side; return how many bytes. More of as much as the memory takes is asked for next."""
        done = 0
        for like in self.beside(old, start, start + len(memory)):
            if like.at > done or done == count:
                break
            piece = like.content[done - like.at : count - like.at]
            memory[done : done + len(piece)] = piece
            done += len(piece)
        return done

    def _read(self, missing: list[tuple[Digest, int]]) -> None:
        """Hold these extents too, as far as the pool has them; those that lie there as they are, are read together."""
        while len(self._held) + len(missing) > _HELD:
            room = self._held.pop(next(iter(self._held)))[1]
            self._free += [room] if room is not None else []
        rooms = [self._room() for _ in missing]
        found = {like.digest: like for like in self._pool.read_each(missing, rooms, on_trust=self._on_trust)}
        for (digest, _), room in zip(missing, rooms, strict=True):
            if digest in found:
                self._held[digest] = found[digest], room
                continue
            self._free.append(room)
            with suppress(PacketFSError):  # a patch, say
                self._held[digest] = Like(digest, memoryview(self._pool.read(digest))), None

    def _room(self) -> memoryview:
        if not self._memory:
            size = -(-room_for(PACKET + self._pool.mean * 3 // 2) // BLOCK) * BLOCK
            self._memory = pages(_HELD * size)  # at once: a disk reads into the largest pages for less
            self._free = [self._memory[at : at + size] for at in range(0, _HELD * size, size)]
        return self._free.pop()


def _first(coming: Iterable[tuple[Digest, int]]) -> Iterator[tuple[Digest, int]]:
    """Yield those that are read together; one at the least."""
    room = MIB
    for digest, length in islice(coming, _TOGETHER):
        yield digest, length
        room -= length
        if room <= 0:
            return
