"""The shipped programs: their packets, which say what each does and takes, and with arguments put in."""

from __future__ import annotations

import json
import os
from functools import lru_cache

from packetfs.dataclass import dataclass
from packetfs.errors import UnknownProgram
from packetfs.errors.suggest import suggestion
from packetfs.toolchain.allowed import Content
from packetfs.toolchain.arguments import Argument, bind, shown
from packetfs.toolchain.notes import notes_of
from packetfs.toolchain.shipped.packets import COMPILED, packets_of
from packetfs.typing import Final, Iterator, Mapping
from packetfs.vm.program import Program, decode_program

TABLE: Final = os.path.join(COMPILED, "programs.json")


@dataclass(frozen=True, slots=True)
class Shipped:
    """One program. `records`: the framing that it is made for; `example`: a command line."""

    name: str
    summary: str
    records: str
    example: str
    arguments: tuple[Argument, ...]

    def program(self, given: Mapping[str, str | Content]) -> Program:
        """Return the program with these arguments, the others at their defaults; BadArgument where one does not fit."""
        return bind(self.name, decode_program(packets_of(self.name)), self.arguments, given)


@lru_cache(maxsize=1)
def examples() -> dict[str, str]:
    """Return a command line for each shipped program, by name."""
    with open(TABLE, "rb") as file:
        return dict(sorted(json.load(file).items()))


def programs() -> tuple[Shipped, ...]:
    """Return all shipped programs, by name."""
    return tuple(map(find, examples()))


def find(name: str) -> Shipped:
    """Return a shipped program, as its packets describe it; UnknownProgram when there is none of that name."""
    example = examples().get(name)
    if example is None:
        known = ", ".join(examples()) + suggestion(name, examples())
        raise UnknownProgram(name=name, reason=f"neither a file of that name nor one of {known}")
    notes = notes_of(decode_program(packets_of(name)))
    return Shipped(name, notes.summary, notes.records, example, notes.arguments)


def table() -> str:
    """Return the table of docs/programs.md."""
    return "\n".join(("| program | what it does | records | arguments |", "|---|---|---|---|", *_rows()))


def _rows() -> Iterator[str]:
    for each in programs():
        arguments = "<br>".join(_described(argument) for argument in each.arguments)
        yield f"| {each.name} | {each.summary}<br>`{each.example}` | {each.records} | {arguments} |"


def _described(argument: Argument) -> str:
    takes = f", {argument.takes}" if argument.takes else ""
    return f"`{argument.name}={shown(argument)}` {argument.kind}{takes}: {argument.meaning}"
