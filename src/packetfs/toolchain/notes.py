"""What a program says of itself: what it does, for which records, its arguments and what they take.

It is the content of a read-only map that no instruction names, so it goes wherever the program's packets go: into
files, pools and jobs, and to other machines. It is JSON, and read as what strangers wrote.
"""

from __future__ import annotations

from packetfs import errors
from packetfs.dataclass import dataclass, field, replace
from packetfs.json import dumps, loads
from packetfs.limits import DECIMALS_MAX, NOTES_BYTES_MAX, PROGRAM_MAPS_MAX
from packetfs.toolchain.allowed import ANY, KINDS, Allowed, Content
from packetfs.toolchain.arguments import MAP as ARGUMENTS
from packetfs.toolchain.arguments import Argument
from packetfs.typing import Final, Mapping, cast
from packetfs.vm.layout import MapFlag, MapType
from packetfs.vm.program import MapDefinition, Program

MAP: Final = b".notes"
_NAME_MAX: Final = 64
_BAD: Final = "with its notes"
_MEANING: Final = r"^ *(\w+): (.+)$"


@dataclass(frozen=True, slots=True)
class Notes:
    """`summary`: one line. `records`: the framing that it is made for, if it says one. `decimals`: by map, the argument
    that says how many digits of its numbers stand behind the point."""

    summary: str = ""
    records: str = ""
    arguments: tuple[Argument, ...] = ()
    decimals: Mapping[str, str] = field(default_factory=dict)


def described(arguments: tuple[Argument, ...], text: str) -> tuple[Argument, ...]:
    """Return arguments with the meanings that lines `name: meaning` of a docstring give them."""
    import re

    meanings = dict(re.findall(_MEANING, text, re.MULTILINE))
    return tuple(replace(each, meaning=meanings.get(each.name, "").strip()) for each in arguments)


def attach(program: Program, notes: Notes) -> Program:
    """Return a program that says this of itself; one that has no room for it stays as it is."""
    maps = tuple(each for each in program.maps if each.name != MAP)
    content = _encode(notes)
    if len(maps) == PROGRAM_MAPS_MAX or len(content) > NOTES_BYTES_MAX:
        return program
    size = -(-len(content) // 8) * 8
    written = MapDefinition(MAP, MapType.ARRAY, 4, size, 1, int(MapFlag.READ_ONLY), initial=content)
    return replace(program, maps=(*maps, written))


def notes_of(program: Program) -> Notes:
    """Return what a program says of itself, nothing where it says nothing; BadProgram when that cannot be."""
    written = next((each.initial for each in program.maps if each.name == MAP), None)
    if written is None:
        return Notes()
    if len(written) > NOTES_BYTES_MAX:
        raise errors.BadProgram(root=_BAD, reason=f"they have more than {NOTES_BYTES_MAX} bytes")
    try:
        notes = _decode(loads(written))
        _check(notes, _room(program))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise errors.BadProgram(root=_BAD, reason=f"they cannot be read: {error!s:.80}") from None
    return notes


def decimals_of(program: Program) -> dict[bytes, int]:
    """Return by map how many digits of its numbers stand behind the point: what the argument named for it holds."""
    notes = notes_of(program)
    content = next((each.initial for each in program.maps if each.name == ARGUMENTS), b"")
    places = {each.name: each.offset for each in notes.arguments if each.kind != "bytes"}
    digits = {
        name.encode(): int.from_bytes(content[places[wanted] : places[wanted] + 8], "little")
        for name, wanted in notes.decimals.items()
        if wanted in places
    }
    return {name: count for name, count in digits.items() if count <= DECIMALS_MAX}


def _is_name(name: str) -> bool:
    return name.isascii() and name.isidentifier() and len(name) <= _NAME_MAX


def _room(program: Program) -> int:
    return next((each.value_size for each in program.maps if each.name == ARGUMENTS), 0)


def _encode(notes: Notes) -> bytes:
    said = {
        "summary": notes.summary,
        "records": notes.records,
        "arguments": [_argument_fields(each) for each in notes.arguments],
        "decimals": dict(notes.decimals),
    }
    return dumps({name: value for name, value in said.items() if value}).encode()


def _argument_fields(each: Argument) -> dict[str, object]:
    allowed = each.allowed
    said = {
        "name": each.name,
        "kind": each.kind,
        "default": _plain(each.default),
        "meaning": each.meaning,
        "least": allowed.least,
        "most": allowed.most,
        "choices": [_plain(choice) for choice in allowed.choices],
    }
    return {name: value for name, value in said.items() if value not in (None, "", []) or name == "default"}


def _plain(value: Content) -> object:
    return {"hex": value.hex()} if isinstance(value, bytes) else int(value)


def _content(value: object) -> Content:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return _number(value)


def _number(value: object) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 64:
        raise ValueError("a number is none, or too large")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is none")
    return value


def _decode(said: dict[str, object]) -> Notes:
    rows = cast("list[dict[str, object]]", said.get("arguments", []))
    decimals = cast("dict[str, object]", said.get("decimals", {}))
    arguments: list[Argument] = []
    for row in rows:
        offset = arguments[-1].offset + arguments[-1].size if arguments else 0
        arguments.append(_argument(row, offset))
    return Notes(
        _text(said.get("summary", "")),
        _text(said.get("records", "")),
        tuple(arguments),
        {name: _text(wanted) for name, wanted in decimals.items()},
    )


def _argument(row: dict[str, object], offset: int) -> Argument:
    ends = [None if row.get(name) is None else _number(row[name]) for name in ("least", "most")]
    choices = tuple(_content(choice) for choice in cast("list[object]", row.get("choices", [])))
    allowed = Allowed(ends[0], ends[1], choices)
    return Argument(
        _text(row["name"]),
        _text(row["kind"]),
        offset,
        _content(row["default"]),
        _text(row.get("meaning", "")),
        ANY if allowed == ANY else allowed,
    )


def _check(notes: Notes, room: int) -> None:
    """Refuse notes that contradict themselves, or the room that the program has for arguments."""
    for each in notes.arguments:
        if not _is_name(each.name) or each.kind not in KINDS:
            raise ValueError(f"an argument {each.name!r:.40} of kind {each.kind!r:.20}")
        if not each.allowed.is_possible(each.kind) or not each.allowed.fits(each.kind, each.default):
            raise ValueError(f"the argument {each.name} does not take its default")
        if each.offset + each.size > room:
            raise ValueError(f"the argument {each.name} lies outside of the map {ARGUMENTS.decode()}")
    if len({each.name for each in notes.arguments}) != len(notes.arguments):
        raise ValueError("an argument is there twice")
    names = {each.name for each in notes.arguments}
    if not names.issuperset(notes.decimals.values()):
        raise ValueError("digits behind the point by an argument that is not there")
