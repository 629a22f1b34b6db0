"""Structures of the kernel as data: from one line of text come format, size and where each field lies."""

from __future__ import annotations

import re
from struct import Struct

from packetfs.dataclass import dataclass
from packetfs.typing import Final

_CODES: Final = {"u16": "H", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
_WIDTHS: Final = {"u16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8}
_FIELD: Final = re.compile(r"(-?)(\w+?)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class Place:
    """One field: its name in the kernel's header, where it begins and how many bytes it has."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """One structure. `since` is the minor version of the protocol that has it in this form."""

    name: str
    codes: str
    places: tuple[Place, ...]
    size: int
    since: int

    @property
    def struct(self) -> Struct:
        return Struct("<" + self.codes)


def layout(name: str, text: str, since: int = 31) -> Layout:
    """Read fields like `u64 ino size; u32 mode -padding`; those with a minus are not packed, `[n]` repeats."""
    codes, places, offset = "", [], 0
    for group in text.split(";"):
        kind, *fields = group.split()
        width = _WIDTHS[kind]
        for field in fields:
            found = _FIELD.fullmatch(field)
            if found is None:
                raise ValueError(field)
            size = width * int(found[3] or 1)
            codes += f"{size}x" if found[1] else _CODES[kind] * int(found[3] or 1)
            places.append(Place(found[2], offset, size))
            offset += size
    return Layout(name, codes, tuple(places), offset, since)


def join(*parts: Layout) -> Struct:
    """Return the format of structures that follow each other."""
    return Struct("<" + "".join(part.codes for part in parts))
