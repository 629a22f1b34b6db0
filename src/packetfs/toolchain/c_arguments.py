"""Arguments that a program in C declares: constants of section `.rodata.args`, which becomes the map `args`.

    const volatile __u64 limit PACKETFS_ARGUMENT("least 1 most 5000 meaning \\"in ms\\"") = 500;
    const volatile struct packetfs_bytes mark PACKETFS_ARGUMENT("least 1 most 1") = {1, ","};

What they take stands in the tag, as behind `default` in the assembler (directives.py); types and defaults are C's.
"""

from __future__ import annotations

from packetfs.errors import BadObject
from packetfs.limits import ARGUMENT_BYTES_MAX
from packetfs.packet.text import quote
from packetfs.toolchain.arguments import MAP
from packetfs.toolchain.btf import Types
from packetfs.toolchain.declarations import ARGUMENTS_SECTION as SECTION
from packetfs.toolchain.directives import read_note, split_words
from packetfs.toolchain.elf import Object, Section, SymbolType
from packetfs.toolchain.notes import Notes, attach
from packetfs.typing import Final, Iterator
from packetfs.vm.program import Program

_TAG: Final = "packetfs:"
_NUMBER: Final = 8
_BYTES: Final = 8 + ARGUMENT_BYTES_MAX


def with_arguments(program: Program, found: Object) -> Program:
    """Return a program with notes of the arguments that its object declares; BadObject where they cannot be read."""
    section, btf = found.section(SECTION), found.section(".BTF")
    if section is None or all(each.name != MAP for each in program.maps):
        return program
    if btf is None:
        raise _bad(found, "the object has no types (section .BTF); compile it with -g")
    notes = Notes()
    for name, kind, default, words in _declared(found, section, Types(btf.data, found.file)):
        try:
            notes = read_note(notes, ".argument", [name, kind, "default", default, *words])
        except (ValueError, IndexError, TypeError) as error:
            raise _bad(found, f"the argument {name}: {error}") from None
    if sum(each.size for each in notes.arguments) != section.size:
        raise _bad(found, "it holds more than arguments: numbers of 8 bytes and struct packetfs_bytes")
    return attach(program, notes)


def _declared(found: Object, section: Section, types: Types) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield name, kind, default as it is written, and what the tag says, in the order of the addresses."""
    symbols = {s.value: s for s in found.symbols if s.section == section.index and s.type == SymbolType.OBJECT}
    at = 0
    for value, symbol in sorted(symbols.items()):
        if value != at or symbol.size not in (_NUMBER, _BYTES):
            raise _bad(found, f"{symbol.name} has {symbol.size} bytes at {value}: it is no argument")
        at += symbol.size
        data = section.data[value:at]
        tags = [tag.removeprefix(_TAG) for tag in types.tags(symbol.name) if tag.startswith(_TAG)]
        yield symbol.name, *_kind(data, types, symbol.name), split_words(tags[0]) if tags else []


def _kind(data: bytes, types: Types, name: str) -> tuple[str, str]:
    if len(data) == _BYTES:
        return "bytes", quote(data[8:][: int.from_bytes(data[:8], "little")])
    number = types.variable(name)
    signed = number is not None and types.shape(number).signed
    return "i64" if signed else "u64", str(int.from_bytes(data, "little", signed=signed))


def _bad(found: Object, reason: str) -> BadObject:
    return BadObject(file=found.file, reason=f"section {SECTION}: {reason}")
