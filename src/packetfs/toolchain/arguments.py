"""Arguments of a program: named values that lie in its read-only map `args`, chosen without translating it again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from packetfs.dataclass import dataclass, replace
from packetfs.errors import BadArgument
from packetfs.limits import ARGUMENT_BYTES_MAX
from packetfs.vm.program import Program

MAP: Final = b"args"
Content: TypeAlias = "int | bytes"
_ESCAPE: Final = rb"\\(?:x([0-9a-fA-F]{2})|(.))"
_ESCAPES: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"0": b"\0", b"\\": b"\\"}
_WORDS: Final = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}
RANGES: Final = {"u64": (0, (1 << 64) - 1), "i64": (-(1 << 63), (1 << 63) - 1), "bool": (0, 1)}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, at `offset` in args. `kind`: u64, i64, bool (8 bytes) or bytes (8 of length, then the room)."""

    name: str
    kind: str
    offset: int
    default: Content
    meaning: str = ""

    @property
    def size(self) -> int:
        return 8 + ARGUMENT_BYTES_MAX if self.kind == "bytes" else 8


def bind(name: str, program: Program, arguments: Iterable[Argument], given: Mapping[str, str | Content]) -> Program:
    """Return `program` with the arguments that were given; BadArgument for what is not one, or does not fit.

    Text is parsed as on the command line: numbers as 12 or 0x0c, bytes with backslash escapes.
    """
    known = {argument.name: argument for argument in arguments}
    for wrong in given.keys() - known.keys():
        raise BadArgument(name=wrong, program=name, reason=f"it has {', '.join(known) or 'none'}")
    content = pack(known.values(), {key: read(name, known[key], value) for key, value in given.items()})
    maps = [replace(each, initial=content) if each.name == MAP else each for each in program.maps]
    return replace(program, maps=tuple(maps))


def digits(
    arguments: Iterable[Argument], decimals: Mapping[str, str], given: Mapping[str, str | Content]
) -> dict[bytes, int]:
    """Return by map how many digits of its numbers stand behind the point: what the argument named for it says."""
    known = {argument.name: argument for argument in arguments}
    found = {}
    for name, wanted in decimals.items():
        argument = known.get(wanted)
        if argument is not None and argument.kind != "bytes":
            value = read(name, argument, given.get(wanted, argument.default))
            found[name.encode()] = int(value)
    return found


def split(program: str, given: Iterable[str]) -> dict[str, str]:
    """Return `NAME=VALUE` texts as a mapping; BadArgument where one has no value, or a name comes twice."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in values:
            raise BadArgument(name=name, program=program, reason="it is given twice" if equals else "write NAME=VALUE")
        values[name] = value
    return values


def read(program: str, argument: Argument, value: str | Content) -> Content:
    """Return a value as what the argument holds."""
    try:
        parsed = _parse(argument.kind, value) if isinstance(value, str) else value
    except ValueError as error:
        raise BadArgument(name=argument.name, program=program, reason=str(error)) from None
    reason = _misfit(argument.kind, parsed)
    if reason:
        raise BadArgument(name=argument.name, program=program, reason=reason)
    return parsed


def _parse(kind: str, text: str) -> Content:
    if kind == "bytes":
        return re.sub(_ESCAPE, _escaped, text.encode(errors="surrogateescape"), flags=re.DOTALL)
    if kind == "bool" and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no {'number' if kind != 'bool' else 'yes or no'}") from None


def _escaped(found: re.Match[bytes]) -> bytes:
    code, letter = found.groups()
    if code:
        return bytes([int(code, 16)])
    if letter not in _ESCAPES:
        raise ValueError(f"\\{letter.decode(errors='replace')} means nothing; a backslash is written \\\\")
    return _ESCAPES[letter]


def _misfit(kind: str, value: Content) -> str:
    if kind == "bytes":
        if not isinstance(value, bytes):
            return "bytes are needed"
        return f"it has {len(value)} bytes; {ARGUMENT_BYTES_MAX} fit" if len(value) > ARGUMENT_BYTES_MAX else ""
    low, high = RANGES[kind]
    return "" if isinstance(value, int) and low <= value <= high else f"it must be a number from {low} to {high}"


def pack(arguments: Iterable[Argument], values: Mapping[str, Content]) -> bytes:
    """Return the content of the map: each argument at its offset, the default where no value is given."""
    parts = []
    for argument in sorted(arguments, key=lambda each: each.offset):
        value = values.get(argument.name, argument.default)
        if isinstance(value, bytes):
            parts.append(len(value).to_bytes(8, "little") + value.ljust(ARGUMENT_BYTES_MAX, b"\0"))
        else:
            parts.append((int(value) & ((1 << 64) - 1)).to_bytes(8, "little"))
    return b"".join(parts)


def shown(argument: Argument) -> str:
    """Return the default of an argument as it would be written on the command line."""
    if argument.kind == "bool":
        return "yes" if argument.default else "no"
    if isinstance(argument.default, int):
        return str(argument.default)
    named = {code: name for name, code in _ESCAPES.items()}
    letters = (bytes([byte]) for byte in argument.default)
    return "".join(
        f"\\{named[each].decode()}" if each in named else each.decode() if 32 <= each[0] < 127 else f"\\x{each[0]:02x}"
        for each in letters
    )
