"""How often each inode was handed out by its number and not yet forgotten. The kernel keeps many: 4 bytes for each."""

from __future__ import annotations

from array import array

from packetfs.typing import Final

_PAGE: Final = 1024
_EMPTY: Final = bytes(4 * (_PAGE + 1))
"""A page: the counts, and last how many of them are not zero."""


class References:
    """Counts by inode number, in pages that go when all in them are zero."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def add(self, ino: int) -> None:
        page = self._pages.get(ino // _PAGE)
        if page is None:
            page = self._pages[ino // _PAGE] = array("I", _EMPTY)
        page[_PAGE] += not page[ino % _PAGE]
        page[ino % _PAGE] += 1

    def count(self, ino: int) -> int:
        page = self._pages.get(ino // _PAGE)
        return 0 if page is None else page[ino % _PAGE]

    def drop(self, ino: int, count: int) -> int:
        """Take references away and return how many are left; more than there are is as many as there are."""
        page = self._pages.get(ino // _PAGE)
        if page is None:
            return 0
        held = page[ino % _PAGE]
        left = page[ino % _PAGE] = max(held - count, 0)
        if held and not left:
            page[_PAGE] -= 1
            if not page[_PAGE]:
                del self._pages[ino // _PAGE]
        return left
