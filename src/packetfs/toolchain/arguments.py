"""Arguments of a program: named values that lie in its read-only map `args`, chosen without translating it again."""

from __future__ import annotations

from packetfs import errors
from packetfs.dataclass import dataclass, replace
from packetfs.limits import ARGUMENT_BYTES_MAX
from packetfs.toolchain.allowed import ANY, Allowed, Content, show
from packetfs.typing import TYPE_CHECKING, Final, Iterable, Mapping
from packetfs.vm.program import Program

if TYPE_CHECKING:
    import re

MAP: Final = b"args"
_ESCAPE: Final = rb"\\(?:x([0-9a-fA-F]{2})|(.))"
_ESCAPES: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"0": b"\0", b"\\": b"\\"}
_SHOWN: Final = 40
"""Characters of a wrong value that are shown."""
_WORDS: Final = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, at `offset` in args. `kind`: u64, i64, bool (8 bytes) or bytes (8 of length, then the room)."""

    name: str
    kind: str
    offset: int
    default: Content
    meaning: str = ""
    allowed: Allowed = ANY

    @property
    def takes(self) -> str:
        """What it takes, in words: `1 to 65,535`, `1, 2, 4 or 8`, `1 byte`; nothing where its kind says it all."""
        return self.allowed.words(self.kind)

    @property
    def size(self) -> int:
        return 8 + ARGUMENT_BYTES_MAX if self.kind == "bytes" else 8


def bind(name: str, program: Program, arguments: Iterable[Argument], given: Mapping[str, str | Content]) -> Program:
    """Return `program` with the arguments that were given; BadArgument for what is not one, or does not fit.

    Text is parsed as on the command line: numbers as 12 or 0x0c, bytes with backslash escapes.
    """
    known = {argument.name: argument for argument in arguments}
    for wrong in given.keys() - known.keys():
        reason = f"it has {'only ' if known else ''}{', '.join(known) or 'no arguments'}"
        raise errors.BadArgument(name=wrong, program=name, reason=f"there is none of that name; {reason}")
    content = pack(known.values(), {key: read(name, known[key], value) for key, value in given.items()})
    maps = [replace(each, initial=content) if each.name == MAP else each for each in program.maps]
    return replace(program, maps=tuple(maps))


def split(program: str, given: Iterable[str]) -> dict[str, str]:
    """Return `NAME=VALUE` texts as a mapping; BadArgument where one has no value, or a name comes twice."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in values:
            raise errors.BadArgument(
                name=name, program=program, reason="it is given twice" if equals else "write NAME=VALUE"
            )
        values[name] = value
    return values


def read(program: str, argument: Argument, value: str | Content) -> Content:
    """Return a value as what the argument holds; BadArgument names it, the value, and what it takes."""
    try:
        parsed = _parse(argument.kind, value) if isinstance(value, str) else value
    except ValueError as error:
        reason = f"{error}; it takes {_taken(argument)}"
        raise errors.BadArgument(name=argument.name, program=program, reason=reason) from None
    if argument.allowed.fits(argument.kind, parsed):
        return parsed
    reason = f"{_told(argument.kind, parsed)}; it takes {_taken(argument)}"
    raise errors.BadArgument(name=argument.name, program=program, reason=reason)


def _told(kind: str, value: Content) -> str:
    """Return what is wrong with a value that does not fit."""
    if kind == "bytes" and isinstance(value, bytes):
        size = f"{len(value)} byte{'' if len(value) == 1 else 's'}"
        return f"{show(kind, value)[:_SHOWN]!r} has {size}"
    if isinstance(value, bytes) or kind == "bytes":
        return f"{value!r:.{_SHOWN}} is of another kind"
    return f"{_short(value)} is not possible"


def _short(value: int) -> str:
    return str(value) if abs(value) < 1 << 128 else "a number of so many digits"


def _taken(argument: Argument) -> str:
    """Return what an argument takes, also where its kind says it all."""
    if argument.takes:
        return argument.takes
    least, most = argument.allowed.bounds(argument.kind)
    if argument.kind == "bool":
        return "yes or no"
    return f"up to {most} bytes" if argument.kind == "bytes" else f"{least:,} to {most:,}"


def _parse(kind: str, text: str) -> Content:
    if kind == "bytes":
        content = text.encode(errors="surrogateescape")
        if b"\\" not in content:
            return content
        import re  # 4 ms that most values do without

        return re.sub(_ESCAPE, _escaped, content, flags=re.DOTALL)
    if kind == "bool" and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text[:_SHOWN]!r} is {'no number' if kind != 'bool' else 'neither yes nor no'}") from None


def _escaped(found: re.Match[bytes]) -> bytes:
    code, letter = found.groups()
    if code:
        return bytes([int(code, 16)])
    if letter not in _ESCAPES:
        raise ValueError(f"\\{letter.decode(errors='replace')} means nothing; a backslash is written \\\\")
    return _ESCAPES[letter]


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
    return show(argument.kind, argument.default)
