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
from packetfs.typing import Final, Iterable, Iterator

_TOGETHER: Final = 16
"""Extents that are read at once, and a MiB of them, as many of the usual ones: four times as many take no less (by
hand). Each has memory for the longest."""


class OldContent:
    """Reads them into memory that is used again: what is returned is good until the next call."""

    def __init__(self, pool: Pool, *, on_trust: bool = True) -> None:
        """`on_trust`: they are not compared with their digests."""
        self._pool = pool
        self._on_trust = on_trust
        self._rooms: list[memoryview] = []
        self._shelf: list[memoryview] = []
        """Memory for what is expected, as far as nothing is in it."""
        self._kept: dict[Digest, tuple[Like, memoryview]] = {}

    def expect(self, coming: Iterable[tuple[Digest, int]]) -> None:
        """Know by digest and length which extents are asked for next, the nearest first: they are read at once."""
        wanted = dict(_first(coming))
        for digest in self._kept.keys() - wanted.keys():
            self._shelf.append(self._kept.pop(digest)[1])
        missing = [one for one in wanted.items() if one[0] not in self._kept]
        if missing:
            rooms = [self._shelf.pop() if self._shelf else self._make_room() for _ in missing]
            found = {like.digest: like for like in self._pool.read_each(missing, rooms, on_trust=self._on_trust)}
            for (digest, _), room in zip(missing, rooms, strict=True):
                if digest in found:
                    self._kept[digest] = found[digest], room
                else:
                    self._shelf.append(room)

    def read(self, digest: Digest, length: int) -> Like | None:
        """Return an extent; None where it is not held any more, or has another length."""
        with suppress(PacketFSError):
            return self._read(0, digest, length, 0)
        return None

    def beside(self, old: OldProgram, start: int, end: int) -> list[Like]:
        """Return the extents that stand where these bytes are now, as far as they are held."""
        found: list[Like] = []
        for segment in old.spanning(start, end):
            if segment.digest is not None:
                with suppress(PacketFSError):
                    like = self._read(len(found), segment.digest, segment.length, segment.start - start)
                    found += [like] if like is not None else []
        return found

    def _read(self, number: int, digest: Digest, length: int, at: int) -> Like | None:
        kept = self._kept.get(digest)
        if kept is not None:
            like = kept[0]
        else:
            while number >= len(self._rooms):
                self._rooms.append(self._make_room())
            like = self._pool.read_once(digest, length, room=self._rooms[number], on_trust=self._on_trust)
        if len(like.content) != length:
            return None
        return replace(like, at=at) if at else like

    def _make_room(self) -> memoryview:
        return pages(room_for(PACKET + self._pool.mean * 3 // 2))


def _first(coming: Iterable[tuple[Digest, int]]) -> Iterator[tuple[Digest, int]]:
    """Yield those that are read together; one at the least."""
    room = MIB
    for digest, length in islice(coming, _TOGETHER):
        yield digest, length
        room -= length
        if room <= 0:
            return
