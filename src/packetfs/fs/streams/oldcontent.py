"""Old extents that new content is compared with: each is looked at once, and need not stay in the page cache."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

from packetfs.dataclass import replace
from packetfs.errors import PacketFSError
from packetfs.fs.streams.oldprogram import OldProgram
from packetfs.limits import MIB
from packetfs.packet.digest import Digest
from packetfs.packet.layout import PACKET
from packetfs.pages import pages
from packetfs.pool.lookup import Like
from packetfs.pool.past import room_for
from packetfs.pool.pool import Pool
from packetfs.typing import Final, Iterable, Iterator, TypeAlias

_TOGETHER: Final = 16
"""Extents that are read at once, and a MiB of them, as many of the usual ones: four times as many take no less (by
hand). Each has memory for the longest."""


_Held: TypeAlias = dict[Digest, tuple[Like, memoryview | None]]
"""Extents that were read, and the memory of ours that each lies in."""


class OldContent:
    """Reads them into memory that is used again: what is returned is good until the next call."""

    def __init__(self, pool: Pool, *, on_trust: bool = True) -> None:
        """`on_trust`: they are not compared with their digests."""
        self._pool = pool
        self._on_trust = on_trust
        self._free: list[memoryview] = []
        self._expected: _Held = {}
        self._beside: _Held = {}

    def expect(self, coming: Iterable[tuple[Digest, int]]) -> None:
        """Know by digest and length which extents are asked for next, the nearest first: they are read at once."""
        self._bring(_first(coming), self._expected)

    def read(self, digest: Digest, length: int) -> Like | None:
        """Return an extent; None where it is not held any more, or has another length."""
        like = self._held(digest)
        if like is None:
            with suppress(PacketFSError):
                room = self._room()
                self._free.append(room)
                like = self._pool.read_once(digest, length, room=room, on_trust=self._on_trust)
        return like if like is not None and len(like.content) == length else None

    def beside(self, old: OldProgram, start: int, end: int) -> list[Like]:
        """Return the extents that stand where these bytes are now, as far as they are held: the first of very many.

        Chunks that are cut anew come one behind the other, and what reaches into one may reach into the next.
        """
        spanning = [(one.digest, one.length, one.start - start) for one in old.spanning(start, end) if one.digest]
        self._bring(
            _first((digest, length) for digest, length, _ in spanning if digest not in self._expected), self._beside
        )
        found: list[Like] = []
        for digest, length, at in spanning:
            like = self._held(digest)
            if like is not None and len(like.content) == length:
                found.append(replace(like, at=at))
        return found

    def _held(self, digest: Digest) -> Like | None:
        held = self._expected.get(digest) or self._beside.get(digest)
        return held[0] if held is not None else None

    def _bring(self, coming: Iterable[tuple[Digest, int]], held: _Held) -> None:
        """Hold these extents and no others, as far as the pool has them."""
        wanted = dict(coming)
        for digest in held.keys() - wanted.keys():
            room = held.pop(digest)[1]
            self._free += [room] if room is not None else []
        missing = [one for one in wanted.items() if one[0] not in held]
        if not missing:
            return
        rooms = [self._room() for _ in missing]
        found = {like.digest: like for like in self._pool.read_each(missing, rooms, on_trust=self._on_trust)}
        for (digest, _), room in zip(missing, rooms, strict=True):
            if digest in found:
                held[digest] = found[digest], room
                continue
            self._free.append(room)
            with suppress(PacketFSError):  # a patch, say
                held[digest] = Like(digest, memoryview(self._pool.read(digest))), None

    def _room(self) -> memoryview:
        return self._free.pop() if self._free else pages(room_for(PACKET + self._pool.mean * 3 // 2))


def _first(coming: Iterable[tuple[Digest, int]]) -> Iterator[tuple[Digest, int]]:
    """Yield those that are read together; one at the least."""
    room = MIB
    for digest, length in islice(coming, _TOGETHER):
        yield digest, length
        room -= length
        if room <= 0:
            return
