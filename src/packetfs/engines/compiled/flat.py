"""Machine code that needs no linker: the sections of an object one behind the other, which run wherever they lie.

    0       two pointers, to memset and memcpy, which whoever maps the bytes puts there
    16      a jump through each
    64      the sections: code, and the constants that it reads

What LLVM makes of a program calls nothing else and is position-independent, so all that is to be resolved are distances
between sections. An object in which anything else occurs is refused: LLVM then loads it itself.
"""

from __future__ import annotations

import struct

from packetfs.typing import Final, NamedTuple

_HEADER: Final = struct.Struct("<18xH20xQ10xHH2x")
"""machine, offset of the table of sections, bytes of an entry, entries."""
_SECTION: Final = struct.Struct("<4xIQ8xQQIIQ8x")
_SYMBOL: Final = struct.Struct("<I2xHQ8x")
_RELOCATION: Final = struct.Struct("<QIIq")
_DISTANCE: Final = struct.Struct("<i")
_X86_64: Final = 62
_PROGBITS, _SYMTAB, _RELA, _UNWIND = 1, 2, 4, 0x70000001
_WRITE, _ALLOC = 1, 2
_PC32, _PLT32 = 2, 4
_STUBS: Final = {b"memset": 16, b"memcpy": 24}
"""Where the jump to a function lies; its pointer is `_BACK` bytes before."""
_STUB: Final = b"\xff\x25" + _DISTANCE.pack(-22) + b"\xcc\xcc"
"""jmp [rip - 22]: each stub is 16 bytes behind its pointer, and rip behind the six bytes of the jump."""
_FIRST: Final = 64
_ALIGN_MAX: Final = 4096


class Flat(NamedTuple):
    """Bytes to be mapped, and where in them the function begins."""

    entry: int
    image: bytes


class NotFlat(Exception):
    """The object has something that needs a linker."""


class _Section(NamedTuple):
    """type, flags, offset and size in the file, link, info, alignment."""

    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int

    @property
    def kept(self) -> bool:
        """Whether code needs it; frames for unwinding are nobody's here, as nothing unwinds."""
        return bool(self.flags & _ALLOC) and self.type != _UNWIND and self.size > 0


def flatten(made: bytes, name: str) -> Flat:
    """Return the function `name` of an object that this process made for its own processor; NotFlat if it cannot be."""
    try:
        return _Object(made).flatten(name.encode())
    except (struct.error, IndexError, ValueError) as error:
        raise NotFlat(str(error)) from error


class _Object:
    """An object of LLVM's, taken apart, and its sections as they are laid out."""

    def __init__(self, made: bytes) -> None:
        machine, at, size, count = _HEADER.unpack_from(made)
        if machine != _X86_64 or size != _SECTION.size:
            raise NotFlat(f"machine {machine}")
        self._made = made
        self._sections = [_Section._make(_SECTION.unpack_from(made, at + index * size)) for index in range(count)]
        (table,) = (section for section in self._sections if section.type == _SYMTAB)
        self._symbols = list(_SYMBOL.iter_unpack(self._bytes(table)))
        self._names = self._bytes(self._sections[table.link])
        self._image = bytearray(b"\0" * 16 + 2 * _STUB).ljust(_FIRST, b"\0")
        self._places = {index: self._place(section) for index, section in enumerate(self._sections) if section.kept}

    def _bytes(self, section: _Section) -> bytes:
        return self._made[section.offset : section.offset + section.size]

    def _place(self, section: _Section) -> int:
        """Append a section, and return where it lies."""
        if section.type != _PROGBITS or section.flags & _WRITE or section.align > _ALIGN_MAX:
            raise NotFlat("a section that is no code and no constant")
        self._image += bytes(-len(self._image) % max(section.align, 1))
        at = len(self._image)
        self._image += self._bytes(section)
        return at

    def flatten(self, name: bytes) -> Flat:
        for section in self._sections:
            if section.type == _RELA and section.info in self._places:
                for row in _RELOCATION.iter_unpack(self._bytes(section)):
                    self._resolve(self._places[section.info], *row)
        (entry,) = (self._address(*row) for row in self._symbols if self._name(row[0]) == name)
        return Flat(entry, bytes(self._image))

    def _name(self, at: int) -> bytes:
        return self._names[at : self._names.index(b"\0", at)]

    def _address(self, name: int, section: int, value: int) -> int:
        """Return where a symbol lies."""
        if section == 0 and self._name(name) in _STUBS:
            return _STUBS[self._name(name)]
        if section not in self._places:
            raise NotFlat(f"{self._name(name)!r} lies outside")
        return self._places[section] + value

    def _resolve(self, base: int, offset: int, kind: int, symbol: int, addend: int) -> None:
        if kind not in (_PC32, _PLT32):
            raise NotFlat(f"a relocation of type {kind}")
        at = base + offset
        _DISTANCE.pack_into(self._image, at, self._address(*self._symbols[symbol]) + addend - at)
