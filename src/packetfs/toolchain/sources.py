"""What PROGRAM on a command line means: a shipped program, or a file of packets, Python, C, an object, or assembler.

A shipped name wins; `./wc` is a file. Behind a colon stands the function, where a file has several. A Python file is
executed to find its programs, as `python FILE` would do it: only run files that you trust.
"""

from __future__ import annotations

import os

from packetfs import errors
from packetfs.dataclass import dataclass, field
from packetfs.limits import OBJECT_BYTES_MAX
from packetfs.toolchain.shipped.packets import is_shipped, packets_of
from packetfs.typing import TYPE_CHECKING, Callable, Final, Mapping, Sequence
from packetfs.vm.program import Program, decode_program, is_program

if TYPE_CHECKING:
    from packetfs.toolchain.arguments import Argument

_NEWLINE: Final = "newline"
PACKETS: Final = "packet"
"""The records of programs that do not say what they are made for."""


@dataclass(frozen=True, slots=True)
class Found:
    """A program that was named. `records`: the framing that it is made for; `description`: one line.

    decimals: by map, how many digits of its numbers stand behind the point. source: the Python file that it is from.
    """

    name: str
    program: Program
    records: str
    description: str
    arguments: tuple[Argument, ...] = ()
    decimals: Mapping[bytes, int] = field(default_factory=dict)
    source: str = ""


def find_program(name: str, arguments: Sequence[str] = (), records: str = "") -> Found:
    """Return the program that `name` means, with `NAME=VALUE` arguments filled in. `records`: the framing, if chosen.

    UnknownProgram, BadArgument, NotTranslatable, BadObject, BadSource, BadPacket, BadProgram say what is wrong.
    """
    if is_shipped(name):
        return _found(name, decode_program(packets_of(name)), _fitting(name, arguments, records))
    path, function = _split_function(name)
    if path.endswith(".py"):
        return _python(path, function, arguments)
    if not os.path.isfile(path):
        from packetfs.toolchain.shipped.catalogue import find  # it says which there are

        find(name)
    reader, description = _READERS.get(os.path.splitext(path)[1], (_any, "a program file"))
    return _found(name, reader(path, function), arguments, description)


def is_source(name: str) -> bool:
    """Tell whether a name is that of a program to be made: a shipped one, Python, C, or an object."""
    path = _split_function(name)[0]
    return is_shipped(name) or os.path.splitext(path)[1] in (".py", ".c", ".o")


def _fitting(name: str, arguments: Sequence[str], records: str) -> Sequence[str]:
    """Return the arguments of a shipped program; the one that ends lines is off where records are no lines."""
    if records.partition(":")[0] in ("", "line", "lines") or any(
        each.partition("=")[0] == _NEWLINE for each in arguments
    ):
        return arguments
    from packetfs.toolchain.shipped.catalogue import find

    takes = any(each.name == _NEWLINE for each in find(name).arguments)
    return [*arguments, f"{_NEWLINE}=no"] if takes else arguments


def found_in(data: bytes, name: str, arguments: Sequence[str] = ()) -> Found:
    """Return the program that the content of a file of the pool is: packets, or an object."""
    return _found(name, _decode(data, name, None), arguments, "a program file")


def _split_function(name: str) -> tuple[str, str | None]:
    path, colon, function = name.rpartition(":")
    return (path, function) if colon and path and function.isidentifier() and not os.path.exists(name) else (name, None)


def _found(name: str, program: Program, given: Sequence[str], description: str = "", source: str = "") -> Found:
    """Return a program with its arguments filled in, as it describes itself."""
    if not given and not any(each.initial for each in program.maps):
        return Found(name, program, PACKETS, description, source=source)  # it says nothing, and takes nothing
    from packetfs.toolchain.arguments import bind, split
    from packetfs.toolchain.notes import decimals_of, notes_of

    notes = notes_of(program)
    bound = bind(name, program, notes.arguments, split(name, given)) if given else program
    summary = notes.summary or description
    return Found(name, bound, notes.records or PACKETS, summary, notes.arguments, decimals_of(bound), source)


def _python(path: str, function: str | None, arguments: Sequence[str]) -> Found:
    from packetfs.toolchain.python.modules import find_program

    if not os.path.isfile(path):
        raise errors.UnknownProgram(name=path, reason="there is no such file")
    found = find_program(path, function)
    return _found(found.name, found.translate().program, arguments, f"function {found.name} of {path}", path)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(OBJECT_BYTES_MAX + 1)
    except OSError as error:
        raise errors.UnknownProgram(name=path, reason=error.strerror or "it cannot be read") from None
    if len(data) > OBJECT_BYTES_MAX:
        raise errors.UnknownProgram(name=path, reason=f"it has more than {OBJECT_BYTES_MAX} bytes")
    return data


def _any(path: str, function: str | None) -> Program:
    return _decode(_read(path), path, function)


def _decode(data: bytes, path: str, function: str | None) -> Program:
    if is_program(data):
        return decode_program(data)
    from packetfs.toolchain.elf import is_object

    if is_object(data):
        return _link(data, path, function)
    raise errors.UnknownProgram(name=path, reason="it holds neither the packets of a program nor an object for eBPF")


def _link(data: bytes, path: str, function: str | None) -> Program:
    from packetfs.toolchain.elf import read_object
    from packetfs.toolchain.link import link

    return link(read_object(data, path), function)


def _c(path: str, function: str | None) -> Program:
    from packetfs.toolchain.clang import compile_c

    return _link(compile_c(path), path, function)


def _assembler(path: str, function: str | None) -> Program:
    from packetfs.toolchain.text import read_program

    if function is not None:
        raise errors.UnknownProgram(name=f"{path}:{function}", reason="assembler begins at its first instruction")
    try:
        return read_program(_read(path).decode(), path)
    except UnicodeDecodeError as error:
        raise errors.BadSource(file=path, line=1, reason=f"it is no text: {error}") from None


_READERS: Final[dict[str, tuple[Callable[[str, str | None], Program], str]]] = {
    ".c": (_c, "C, compiled by clang"),
    ".o": (_any, "an object"),
    ".s": (_assembler, "assembler"),
    ".asm": (_assembler, "assembler"),
    ".bpf": (_assembler, "assembler"),
}
"""What files are by their ending; all others, by how they begin."""
