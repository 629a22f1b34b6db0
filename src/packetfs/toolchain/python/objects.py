"""From the backend's object to a program: the code of all functions, and map numbers where its relocations name maps.

The object comes from our own IR, so its form is known: one section of code, symbols of section `maps`. A hash's symbol
becomes a handle for helpers; an array's the address of its first entry, which costs no call, and a handle where the
name has HANDLE behind it.
"""

from __future__ import annotations

from packetfs.errors import TranslationFailed
from packetfs.toolchain.elf import Object, read_object
from packetfs.toolchain.python.lowering import CONSTANTS
from packetfs.toolchain.python.tables import HANDLE
from packetfs.typing import Final
from packetfs.vm.layout import MapType
from packetfs.vm.padding import pad
from packetfs.vm.program import MapDefinition, Program

_WIDE: Final = 1
"""R_BPF_64_64: an lddw that names a symbol."""
_HANDLE: Final = 5
_ADDRESS: Final = 6
"""Sources of lddw: a map by number, and the content of a map by number (RFC 9669)."""


def link(data: bytes, maps: tuple[MapDefinition, ...], name: str) -> Program:
    """Return the program; TranslationFailed when the object holds what our IR cannot have asked for."""
    found = read_object(data, name)
    text = found.section(".text")
    main = next((each for each in found.symbols if each.name == "main"), None)
    if text is None or main is None:
        raise TranslationFailed(name=name, reason="the object has no code")
    code, used = _relocate(found, text.index, bytearray(text.data), maps, name)
    padded, entry = pad(code, main.value // 8)
    if maps and maps[-1].name == CONSTANTS.encode() and len(maps) - 1 not in used:
        maps = maps[:-1]  # LLVM has made all of them part of the code
    return Program(padded, maps, entry=entry)


def _relocate(
    found: Object, index: int, code: bytearray, maps: tuple[MapDefinition, ...], name: str
) -> tuple[bytes, set[int]]:
    """Return the code with the numbers of maps in it, and those numbers."""
    numbers, used = {each.name.decode(): number for number, each in enumerate(maps)}, set()
    handles = {name + HANDLE: number for name, number in numbers.items()}
    numbers.update(handles)
    for relocation in found.relocations.get(index, ()):
        at, number = relocation.offset, numbers.get(relocation.symbol.name)
        if relocation.type != _WIDE or number is None or any(code[at + 4 : at + 8]) or any(code[at + 12 : at + 16]):
            raise TranslationFailed(name=name, reason=f"a reference to {relocation.symbol.name or 'data'} in its code")
        used.add(number)
        is_handle = relocation.symbol.name in handles or maps[number].type is MapType.HASH
        source = _HANDLE if is_handle else _ADDRESS
        code[at + 1] = (code[at + 1] & 0x0F) | source << 4
        code[at + 4 : at + 8] = number.to_bytes(4, "little")
    return bytes(code), used
