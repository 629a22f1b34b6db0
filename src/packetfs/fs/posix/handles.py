"""What is open: files with the flags they were opened with, directories with the names that a reader has passed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from packetfs.fs.posix.errnos import fail
from packetfs.fs.posix.nodes import Node, Nodes
from packetfs.limits import POSIX_PAGES


class FileHandle:
    """An open file."""

    __slots__ = ("append", "node", "readable", "writable")

    def __init__(self, node: Node, flags: int) -> None:
        self.node = node
        mode = flags & os.O_ACCMODE
        self.readable = mode != os.O_WRONLY
        self.writable = mode != os.O_RDONLY
        self.append = bool(flags & os.O_APPEND)


class DirectoryHandle:
    """An open directory: pages of its names, as they were when a reader came by. A cookie is a place in their order."""

    __slots__ = ("_marks", "_nodes", "_pages", "node")

    def __init__(self, node: Node, nodes: Nodes) -> None:
        self.node = node
        self._nodes = nodes
        self._pages: dict[int, tuple[int, list[tuple[bytes, int]]]] = {}
        self._marks: list[tuple[int, bytes]] = [(0, b"")]
        """For each page: the place of its first name, and the last name before it."""

    def rewind(self) -> None:
        """Begin anew, with the names that there are now."""
        self._pages.clear()
        self._marks = [(0, b"")]

    def names(self, place: int) -> Iterator[tuple[int, bytes, int, bool]]:
        """Yield (place behind it, name, inode number, whether names changed since it was seen) from a place on."""
        index = self._page_of(place)
        while page := self._page(index):
            first = self._marks[index][0]
            version, names = page
            for at in range(max(place - first, 0), len(names)):
                yield first + at + 1, *names[at], version != self.node.version
            index += 1

    def _page_of(self, place: int) -> int:
        for index in range(len(self._marks) - 1, 0, -1):
            if self._marks[index][0] <= place:
                return index
        return 0

    def _page(self, index: int) -> tuple[int, list[tuple[bytes, int]]] | None:
        if index >= len(self._marks):
            return None
        page = self._pages.get(index)
        if page is None:
            page = self._load(index)
        return page

    def _load(self, index: int) -> tuple[int, list[tuple[bytes, int]]] | None:
        first, after = self._marks[index]
        names = self._nodes.page(self.node.ino, after)
        if not names:
            return None
        if len(self._pages) >= POSIX_PAGES:
            del self._pages[next(iter(self._pages))]
        if index + 1 == len(self._marks):
            self._marks.append((first + len(names), names[-1][0]))
        page = self._pages[index] = self.node.version, names
        return page


class Handles:
    """Open files and directories by number."""

    def __init__(self) -> None:
        self._open: dict[int, FileHandle | DirectoryHandle] = {}
        self._next = 1

    def add(self, handle: FileHandle | DirectoryHandle) -> int:
        number = self._next
        self._next += 1
        self._open[number] = handle
        handle.node.handles += 1
        return number

    def file(self, number: int) -> FileHandle:
        handle = self._open.get(number)
        return handle if isinstance(handle, FileHandle) else fail(errno.EBADF)

    def directory(self, number: int) -> DirectoryHandle:
        handle = self._open.get(number)
        return handle if isinstance(handle, DirectoryHandle) else fail(errno.EBADF)

    def remove(self, number: int) -> Node:
        """Close a handle and return its inode."""
        handle = self._open.pop(number, None)
        if handle is None:
            fail(errno.EBADF)
        handle.node.handles -= 1
        return handle.node
