r"""A program as text and back to the same packets: directives for its maps and its context, then its instructions.

    .context xdp
    .map hits hash key 4 value 8 entries 1000 reduce sum 8 show ipv4
    .map .rodata array key 4 value 6 entries 1 flags 0x80 reduce last 8 show hex content "hello\x00"
    .entry 0
      lddw r1, map 0                 ; packet 1 slot 0
      ...

`reduce`, `flags`, `show`, `content` and `.entry` (a slot) may be left out; instructions are those of vm/assembly.py.
What is written by hand is padded, so that no wide instruction lies across two packets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, TypeVar

from packetfs.errors import BadAssembly
from packetfs.limits import TEXT_LINE_MAX
from packetfs.packet.text import quote, unquote
from packetfs.vm.assembly import assemble, line_of, pad
from packetfs.vm.layout import SLOTS_A_PACKET, ContextKind, MapType, Reducer, Show
from packetfs.vm.program import MapDefinition, Program, encode_program
from packetfs.vm.slots import starts

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|;.*|[^\s;"]+')
"""A string that is not closed matches to the end of its line: were it no token, the next quote would be tried, too."""
_CLOSED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_DIRECTIVES: Final = (".context", ".entry", ".map")
_CODE_WIDTH: Final = 36
"""Columns of instructions: nearly all fit, and the comments behind them line up."""
_Named = TypeVar("_Named", bound=IntEnum)


def write_program(program: Program) -> Iterator[str]:
    """Yield the lines of a program; a comment behind each instruction says its packet and slot."""
    yield f".context {program.context.name.lower()}"
    for index, definition in enumerate(program.maps):
        yield f"{_map_line(definition)}  ; map {index}"
    if program.entry:
        yield f".entry {program.entry}"
    for slot, begins in enumerate(starts(program.code)):
        if begins:
            place = f"; packet {1 + slot // SLOTS_A_PACKET} slot {slot % SLOTS_A_PACKET}, {slot}"
            yield f"  {line_of(program.code, slot):<{_CODE_WIDTH}}{place}"


def _map_line(m: MapDefinition) -> str:
    flags = f" flags {m.flags:#x}" if m.flags else ""
    content = f" content {quote(m.initial)}" if m.initial else ""
    sizes = f"key {m.key_size} value {m.value_size} entries {m.max_entries}{flags}"
    how = f"reduce {m.reducer.name.lower()} {m.width} show {m.show.name.lower()}"
    name = m.name.decode("ascii", "replace")
    shown = name if re.fullmatch(r"[\w.$]+", name, re.ASCII) else quote(m.name)
    return f".map {shown} {m.type.name.lower()} {sizes} {how}{content}"


def read_program(text: str) -> Program:
    """Return the program that a text describes; BadAssembly names the line that is wrong, IllegalInstruction the slot,
    BadProgram the map."""
    context, entry, maps, lines = ContextKind.PACKETFS, 0, list[MapDefinition](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > TEXT_LINE_MAX:
            raise BadAssembly(line=number, reason=f"it has more than {TEXT_LINE_MAX} bytes")
        directive, *words = [token for token in _TOKEN.findall(line) if token[0] != ";"] or [""]
        if directive in _DIRECTIVES and any(word[0] == '"' and not _CLOSED.fullmatch(word) for word in words):
            raise BadAssembly(line=number, reason=f"{directive} has quotes that are not closed")
        try:
            if directive == ".context":
                context = _named(ContextKind, *words)
            elif directive == ".entry":
                entry = int(words[0], 0)
            elif directive == ".map":
                maps.append(_read_map(words))
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise BadAssembly(line=number, reason=f"{directive} cannot be read: {_told(error)}") from None
        lines.append("" if directive in _DIRECTIVES else line)
    code, at = pad(assemble("\n".join(lines)), entry)
    program = Program(code, tuple(maps), context, at)
    encode_program(program)
    return program


def _named(kind: type[_Named], name: str) -> _Named:
    return kind[name.upper()]


def _told(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return str(error) if type(error) is ValueError else "a word is missing or too much"


def _read_map(words: list[str]) -> MapDefinition:
    name, kind, *rest = words
    more: dict[str, str] = {}
    width = "8"
    while rest:
        word = rest.pop(0)
        more[word] = rest.pop(0)
        if word == "reduce" and rest and rest[0].isdigit():
            width = rest.pop(0)
    known = {"key", "value", "entries", "flags", "reduce", "show", "content"}
    if more.keys() - known:
        raise ValueError(f"it has {', '.join(sorted(more.keys() - known))}")
    return MapDefinition(
        unquote(name) if name[0] == '"' else name.encode(),
        _named(MapType, kind),
        int(more.get("key", "0"), 0),
        int(more.get("value", "0"), 0),
        int(more.get("entries", "1"), 0),
        int(more.get("flags", "0"), 0),
        _named(Reducer, more.get("reduce", "last")),
        int(width),
        _named(Show, more.get("show", "hex")),
        unquote(more["content"]) if "content" in more else b"",
    )
