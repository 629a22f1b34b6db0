r"""A program as text and back to the same packets: directives for its maps and its context, then its instructions.

    .context xdp
    .map hits hash key 4 value 8 entries 1000 reduce sum 8 show ipv4
    .map .rodata array key 4 value 6 entries 1 flags 0x80 reduce last 8 show hex content "hello\x00"
    .entry 0
      lddw r1, map 0                 ; packet 1 slot 0
      ...

`reduce`, `flags`, `show`, `content` and `.entry` (a slot) may be left out; instructions are those of vm/assembly.py.
directives.py has those that say what a program is and takes. What is written by hand is padded, so that no wide
instruction lies across two packets.
"""

from __future__ import annotations

import re

from packetfs.dataclass import dataclass, field, replace
from packetfs.enum import IntEnum
from packetfs.errors import BadAssembly, BadProgram, BadSource, IllegalInstruction
from packetfs.limits import TEXT_LINE_MAX
from packetfs.packet.text import quote, unquote
from packetfs.toolchain.directives import DIRECTIVES, read_note, split_words, with_room, write_notes
from packetfs.toolchain.notes import MAP as NOTES
from packetfs.toolchain.notes import Notes, attach, notes_of
from packetfs.typing import Final, Iterator, TypeVar
from packetfs.vm.assembly import assemble, line_of, pad
from packetfs.vm.check import check
from packetfs.vm.layout import SLOTS_A_PACKET, ContextKind, MapType, Reducer, Show
from packetfs.vm.program import MapDefinition, Program, encode_program
from packetfs.vm.slots import starts

_CLOSED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_COMMENT: Final = re.compile(r";|#|//")
_LABELS: Final = re.compile(r"^\s*[A-Za-z_.$][\w.$]*\s*:", re.ASCII)
_DIRECTIVES: Final = (".context", ".entry", ".map", *DIRECTIVES)
_EXIT: Final = assemble("exit")
"""The shortest code: maps are tried out with it."""
_CODE_WIDTH: Final = 36
"""Columns of instructions: nearly all fit, and the comments behind them line up."""
_Named = TypeVar("_Named", bound=IntEnum)


@dataclass(slots=True)
class _Read:
    """What was read of a text so far: directives, and the lines that are code; others are empty there."""

    context: ContextKind = ContextKind.PACKETFS
    entry: int = 0
    maps: list[MapDefinition] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    lines: list[str] = field(default_factory=list)


def write_program(program: Program) -> Iterator[str]:
    """Yield the lines of a program; a comment behind each instruction says its packet and slot."""
    notes, maps = _notes_behind(program)
    yield from write_notes(notes)
    yield f".context {program.context.name.lower()}"
    for index, definition in enumerate(maps):
        yield f"{_map_line(definition)}  ; map {index}"
    if program.entry:
        yield f".entry {program.entry}"
    for slot, begins in enumerate(starts(program.code)):
        if begins:
            place = f"; packet {1 + slot // SLOTS_A_PACKET} slot {slot % SLOTS_A_PACKET}, {slot}"
            yield f"  {line_of(program.code, slot):<{_CODE_WIDTH}}{place}"


def _notes_behind(program: Program) -> tuple[Notes, tuple[MapDefinition, ...]]:
    """Return what a program says of itself and its other maps; nothing and all maps where text would not give back the
    same packets."""
    try:
        notes = notes_of(program)
    except BadProgram:
        return Notes(), program.maps
    maps = tuple(each for each in program.maps if each.name != NOTES)
    same = attach(replace(program, maps=with_room(maps, notes)), notes).maps == program.maps
    words = (*notes.decimals, notes.records)
    return (notes, maps) if same and all(re.fullmatch(r'[^\s;"]*', word) for word in words) else (Notes(), program.maps)


def _map_line(m: MapDefinition) -> str:
    flags = f" flags {m.flags:#x}" if m.flags else ""
    content = f" content {quote(m.initial)}" if m.initial else ""
    sizes = f"key {m.key_size} value {m.value_size} entries {m.max_entries}{flags}"
    how = f"reduce {m.reducer.name.lower()} {m.width} show {m.show.name.lower()}"
    name = m.name.decode("ascii", "replace")
    shown = name if re.fullmatch(r"[\w.$]+", name, re.ASCII) else quote(m.name)
    return f".map {shown} {m.type.name.lower()} {sizes} {how}{content}"


def read_program(text: str, file: str = "the text") -> Program:
    """Return the program that a text describes; BadSource names the file and the line that is wrong."""
    read = _Read()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > TEXT_LINE_MAX:
            raise BadSource(file=file, line=number, reason=f"it has more than {TEXT_LINE_MAX} bytes")
        directive, *words = split_words(line) or [""]
        if directive in _DIRECTIVES:
            _read_directive(read, directive, words, (file, number))
        read.lines.append("" if directive in _DIRECTIVES else line)
    return _made(read, file)


def _read_directive(read: _Read, directive: str, words: list[str], place: tuple[str, int]) -> None:
    file, number = place
    if any(word[0] == '"' and not _CLOSED.fullmatch(word) for word in words):
        raise BadSource(file=file, line=number, reason=f"{directive} has quotes that are not closed")
    try:
        if directive == ".context":
            read.context = _named(ContextKind, *words)
        elif directive == ".entry":
            read.entry = int(words[0], 0)
        elif directive == ".map":
            read.maps.append(_read_map(words))
            encode_program(Program(_EXIT, (read.maps[-1],)))
        else:
            read.notes = read_note(read.notes, directive, words)
    except BadProgram as error:
        raise BadSource(file=file, line=number, reason=str(error.fields["reason"])) from None
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise BadSource(file=file, line=number, reason=f"{directive} cannot be read: {_told(error)}") from None


def _made(read: _Read, file: str) -> Program:
    """Return the program; what is wrong with it is told by line."""
    maps = with_room(tuple(read.maps), read.notes)
    try:
        code = assemble("\n".join(read.lines))
        check(code, len(maps), entry=read.entry)
        padded, at = pad(code, read.entry)
        program = Program(padded, maps, read.context, at)
        if read.notes != Notes():
            program = attach(program, read.notes)
            notes_of(program)
        encode_program(program)
    except BadAssembly as error:
        raise BadSource(file=file, **error.fields) from None
    except IllegalInstruction as error:
        line = _line_of(read.lines, int(str(error.fields["slot"])))
        raise BadSource(file=file, line=line, reason=str(error.fields["reason"])) from None
    except BadProgram as error:
        raise BadSource(file=file, line=len(read.lines), reason=str(error.fields["reason"])) from None
    return program


def _line_of(lines: list[str], wanted: int) -> int:
    """Return the number of the line whose instruction is at a slot of the code as it was written."""
    slot = 0
    for number, line in enumerate(lines, 1):
        words = _LABELS.sub("", _COMMENT.split(line, maxsplit=1)[0]).split()
        slot += (2 if words[0].lower() == "lddw" else 1) if words else 0
        if slot > wanted:
            return number
    return len(lines)


def _named(kind: type[_Named], name: str) -> _Named:
    return kind[name.upper()]


def _told(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error}"
    own = type(error) is ValueError and "unpack" not in str(error)
    return str(error) if own else "a word is missing or too much"


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
