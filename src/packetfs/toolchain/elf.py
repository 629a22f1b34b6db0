"""Object files: sections, symbols and relocations of an ELF64 file for eBPF, every size and offset checked.

Read with `struct` like all formats here. pyelftools inflates compressed sections without bound and looks for the end of
each name through the whole file, so a hostile object could hold the process for hours; the tests compare with it.
"""

from __future__ import annotations

import struct

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum
from packetfs.errors import BadObject
from packetfs.limits import OBJECT_BYTES_MAX, OBJECT_NAME_MAX, OBJECT_SECTIONS_MAX, OBJECT_SYMBOLS_MAX
from packetfs.typing import Final, Iterator

MACHINE: Final = 247
"""EM_BPF."""
RELOCATABLE: Final = 1
UNDEFINED: Final = 0
COMMON: Final = 0xFFF2
EXECUTABLE: Final = 4
"""SHF_EXECINSTR of a section's flags."""
LOADED: Final = 2
"""SHF_ALLOC: a part of the program, not of what debuggers read."""
_COMPRESSED: Final = 0x800

_HEADER: Final = struct.Struct("<4sBBB9xHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_REL: Final = struct.Struct("<QQ")


class SectionType(IntEnum):
    """SHT_ numbers that matter here."""

    NULL = 0
    PROGBITS = 1
    SYMTAB = 2
    RELA = 4
    NOBITS = 8
    REL = 9


_EMPTY: Final = (SectionType.NULL, SectionType.NOBITS)


class SymbolType(IntEnum):
    """STT_ numbers that matter here."""

    NOTYPE = 0
    OBJECT = 1
    FUNC = 2
    SECTION = 3


@dataclass(frozen=True, slots=True)
class Section:
    """One section. `size` in bytes; `data` is empty where the file holds none (NOBITS)."""

    index: int
    name: str
    type: int
    flags: int
    size: int
    link: int
    info: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol: `value` = its offset in bytes in section `section` (0 = undefined)."""

    name: str
    type: int
    is_global: bool
    section: int
    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """A place in a section, in bytes, that depends on a symbol; the addend stands in the place itself."""

    offset: int
    type: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Object:
    """An object file. `relocations`: by the index of the section that they change."""

    file: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]

    def section(self, name: str) -> Section | None:
        """Return the first section of that name."""
        return next((section for section in self.sections if section.name == name), None)


def is_object(data: bytes) -> bool:
    """Tell whether the bytes begin like an ELF file."""
    return data[:4] == b"\x7fELF"


def read_object(data: bytes, file: str) -> Object:
    """Return what is in an object file; BadObject, which names `file`, when it is damaged or not for eBPF."""
    if len(data) > OBJECT_BYTES_MAX:
        raise BadObject(file=file, reason=f"{len(data)} bytes; an object has at most {OBJECT_BYTES_MAX}")
    return _Reader(data, file).read()


@dataclass(slots=True)
class _Reader:
    """The bytes of one file, and how its parts are reached."""

    data: bytes
    file: str

    def read(self) -> Object:
        sections = self._sections(*self._header())
        tables = [section for section in sections if section.type == SectionType.SYMTAB]
        if len(tables) > 1:
            raise self._bad("it has several symbol tables")
        symbols = tuple(self._symbols(tables[0], sections)) if tables else ()
        table = tables[0].index if tables else 0
        return Object(self.file, sections, symbols, self._relocations(sections, symbols, table))

    def _bad(self, reason: str) -> BadObject:
        return BadObject(file=self.file, reason=reason)

    def _header(self) -> tuple[int, int, int]:
        if len(self.data) < _HEADER.size or not is_object(self.data):
            raise self._bad("it is no ELF file")
        _, wide, order, _, kind, machine, _, _, _, at, _, _, _, _, size, count, names = _HEADER.unpack_from(self.data)
        if machine != MACHINE or (wide, order) != (2, 1):
            raise self._bad("it is not for eBPF (ELF64, little-endian, machine 247)")
        if kind != RELOCATABLE:
            raise self._bad("it is linked already; the object file that clang -c writes is needed")
        if size != _SECTION.size or not 0 < count <= OBJECT_SECTIONS_MAX or names >= count:
            raise self._bad(f"it has {count} sections in entries of {size} bytes")
        return at, count, names

    def _sections(self, at: int, count: int, names: int) -> tuple[Section, ...]:
        table = self._bytes(at, count * _SECTION.size, "the section table")
        rows = list(_SECTION.iter_unpack(table))
        strings = self._bytes(rows[names][4], rows[names][5], "the names of sections")
        if sum(row[5] for row in rows if row[1] not in _EMPTY) > len(self.data):
            raise self._bad("its sections overlap")  # thousands of them on the same bytes would fill the memory
        return tuple(self._section(index, row, strings) for index, row in enumerate(rows))

    def _section(self, index: int, row: tuple[int, ...], strings: bytes) -> Section:
        at, kind, flags, _, offset, size, link, info, _, _ = row
        name = self._name(strings, at, f"section {index}")
        held = kind not in _EMPTY
        if flags & _COMPRESSED and flags & LOADED:
            raise self._bad(f"section {name} is compressed")
        return Section(index, name, kind, flags, size, link, info, self._bytes(offset, size, name) if held else b"")

    def _bytes(self, offset: int, size: int, what: str) -> bytes:
        if offset + size > len(self.data):
            raise self._bad(f"{what} ends behind the end of the file")
        return self.data[offset : offset + size]

    def _name(self, strings: bytes, at: int, what: str) -> str:
        end = strings.find(b"\0", at, at + OBJECT_NAME_MAX)
        if end < 0:
            raise self._bad(f"{what} has no name, or one longer than {OBJECT_NAME_MAX} bytes")
        return strings[at:end].decode("utf-8", "backslashreplace")

    def _symbols(self, table: Section, sections: tuple[Section, ...]) -> Iterator[Symbol]:
        if table.size % _SYMBOL.size or table.size > OBJECT_SYMBOLS_MAX * _SYMBOL.size or table.link >= len(sections):
            raise self._bad(f"its symbol table has {table.size} bytes")
        strings = sections[table.link].data
        for number, (at, info, _, section, value, size) in enumerate(_SYMBOL.iter_unpack(table.data)):
            kind = info & 15
            if section < len(sections) and value > sections[section].size:
                raise self._bad(f"symbol {number} lies behind the end of section {sections[section].name}")
            named = at or kind != SymbolType.SECTION or section >= len(sections)
            name = self._name(strings, at, f"symbol {number}") if named else sections[section].name
            yield Symbol(name, kind, info >> 4 != 0, section, value, size)

    def _relocations(
        self, sections: tuple[Section, ...], symbols: tuple[Symbol, ...], table: int
    ) -> dict[int, tuple[Relocation, ...]]:
        found: dict[int, tuple[Relocation, ...]] = {}
        for section in sections:
            if section.type not in (SectionType.REL, SectionType.RELA):
                continue
            if not 0 < section.info < len(sections):
                raise self._bad(f"section {section.name} relocates section {section.info} of {len(sections)}")
            if sections[section.info].flags & LOADED:
                self._check_table(section, table, section.info in found)
                rows = _REL.iter_unpack(section.data)
                found[section.info] = tuple(self._relocation(row, section, symbols) for row in rows)
        return found

    def _check_table(self, section: Section, symbols: int, again: bool) -> None:
        if section.type == SectionType.RELA:
            raise self._bad(f"section {section.name} has addends of its own, which eBPF does not use")
        whole = section.size % _REL.size == 0 and section.size <= OBJECT_SYMBOLS_MAX * _REL.size
        if not whole or section.link != symbols or again:
            raise self._bad(f"section {section.name} is no table of relocations")

    def _relocation(self, row: tuple[int, ...], section: Section, symbols: tuple[Symbol, ...]) -> Relocation:
        offset, info = row
        if info >> 32 >= len(symbols):
            raise self._bad(f"section {section.name} names symbol {info >> 32} of {len(symbols)}")
        return Relocation(offset, info & 0xFFFFFFFF, symbols[info >> 32])
