"""Paths of people to those of the pool: text to bytes, patterns to names, links to what they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatchcase

from packetfs.errors import BadPath
from packetfs.packet.entry import Entry
from packetfs.typing import Final, TypeAlias

Path: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
Find: TypeAlias = Callable[[bytes], "Entry | None"]
LINKS: Final = 40
"""Links that one path may lead over: Linux has the same limit."""


def raw(path: Path) -> bytes:
    """Return a path of the pool: slashes at both ends and doubled ones do not count."""
    name = os.fsencode(path)
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise BadPath(path=name, reason="paths inside a pool have no '..'")
    return b"/".join(parts)


def text(path: bytes) -> str:
    """Return a path as text; bytes that are no UTF-8 come back by `raw`."""
    return os.fsdecode(path)


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of a name in a directory."""
    return directory + b"/" + name if directory else name


def follow_links(find: Find, path: bytes) -> bytes:
    """Return where a path leads when links are followed. Links out of the pool are not: they lead to no file of it."""
    done: list[bytes] = []
    waiting = path.split(b"/")[::-1] if path else []
    links = 0
    while waiting:
        name = waiting.pop()
        if name == b"..":
            if not done:
                raise BadPath(path=path, reason="a link on it leads out of the pool")
            done.pop()
            continue
        entry = find(b"/".join((*done, name)))
        if entry is None or not entry.is_link:
            done.append(name)
            continue
        links += 1
        if links > LINKS or entry.target.startswith(b"/"):
            raise BadPath(path=path, reason="a link on it leads in a circle, or out of the pool")
        waiting += [part for part in entry.target.split(b"/") if part not in (b"", b".")][::-1]
    return b"/".join(done)


def matches(name: str, pattern: str) -> bool:
    """Tell whether a name matches one part of a pattern; hidden names only where the pattern says the dot."""
    return (not name.startswith(".") or pattern.startswith(".")) and fnmatchcase(name, pattern)
