"""Several names of one inode, as a walk meets them: all get one group in the namespace, by the first that it met."""

from __future__ import annotations

import os
from collections.abc import Callable

from packetfs.dataclass import dataclass, replace
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.digest import digest_of
from packetfs.packet.entry import Entry


@dataclass(slots=True)
class _Links:
    """An inode with several names: the first one seen, the group it has, whether others joined, how many may come."""

    first: bytes
    group: int
    missing: int
    joined: bool = False


class HardLinks:
    """The inodes of one walk that have several names. `place`: where the namespace has a path of the walk."""

    def __init__(self, fs: FileSystem, place: Callable[[bytes], bytes]) -> None:
        self._fs = fs
        self._place = place
        self._links: dict[tuple[int, int], _Links] = {}

    def remember(self, path: bytes, status: os.stat_result, group: int) -> None:
        """Take the first name of an inode; `group` is what it has in the namespace."""
        self._links[status.st_dev, status.st_ino] = _Links(path, group, status.st_nlink - 1)

    def join(self, path: bytes, status: os.stat_result, known: Entry | None) -> bool:
        """Make a name one more link to an inode that was imported already; False when it is the first."""
        links = self._links.get((status.st_dev, status.st_ino))
        if links is None:
            return False
        group = _group_of(links.first)
        first, place = self._place(links.first), self._place(path)
        if known is None or known.group != group or not self._fs.is_same(first, place):
            self._fs.link(first, place, group)
        links.group, links.joined = group, True
        links.missing -= 1
        if not links.missing:
            del self._links[status.st_dev, status.st_ino]
        return True

    def settle(self) -> None:
        """Take the group from files whose other names are no longer in this tree."""
        for links in self._links.values():
            if links.group and not links.joined:
                path = self._place(links.first)
                entry = self._fs.entry(path)
                if entry is not None:
                    self._fs.set(path, replace(entry, group=0), self._fs.seen(path))


def _group_of(first: bytes) -> int:
    """Return the number that all names of an inode carry: it follows from the first of them, and is never 0."""
    return int.from_bytes(digest_of(first)[:8], "little") or 1
