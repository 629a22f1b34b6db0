"""The table of shipped programs: what each does and takes, on which records; their packets with arguments put in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from packetfs.dataclass import dataclass
from packetfs.errors import UnknownProgram
from packetfs.toolchain.arguments import Argument, Content, bind, shown
from packetfs.vm.program import Program, decode_program

COMPILED: Final = os.path.join(os.path.dirname(__file__), "compiled")
TABLE: Final = os.path.join(COMPILED, "programs.json")


@dataclass(frozen=True, slots=True)
class Shipped:
    """One program. `records`: the framing that it is made for; `example`: a command line."""

    name: str
    summary: str
    records: str
    example: str
    arguments: tuple[Argument, ...]
    decimals: Mapping[str, str]

    def program(self, given: Mapping[str, str | Content]) -> Program:
        """Return the program with these arguments, the others at their defaults; BadArgument where one does not fit."""
        return bind(self.name, decode_program(packets_of(self.name)), self.arguments, given)


@lru_cache(maxsize=1)
def programs() -> tuple[Shipped, ...]:
    """Return all shipped programs, by name."""
    with open(TABLE, "rb") as file:
        rows = json.load(file)
    return tuple(sorted(map(_shipped, rows), key=lambda each: each.name))


def _shipped(row: dict[str, object]) -> Shipped:
    rows = row["arguments"]
    assert isinstance(rows, list)  # noqa: S101  # a file of our own
    arguments = tuple(_argument(each) for each in rows)
    decimals = row["decimals"]
    assert isinstance(decimals, dict)  # noqa: S101  # a file of our own
    name, summary, records, example = (str(row[key]) for key in ("name", "summary", "records", "example"))
    return Shipped(name, summary, records, example, arguments, decimals)


def _argument(row: dict[str, object]) -> Argument:
    default = row["default"]
    content: Content = bytes.fromhex(default) if isinstance(default, str) else int(str(default))
    return Argument(str(row["name"]), str(row["kind"]), int(str(row["offset"])), content, str(row["meaning"]))


def find(name: str) -> Shipped:
    """Return a shipped program; UnknownProgram when there is none of that name."""
    for each in programs():
        if each.name == name:
            return each
    known = ", ".join(each.name for each in programs())
    raise UnknownProgram(name=name, reason=f"neither a file of that name nor one of {known}")


def packets_of(name: str) -> bytes:
    """Return the packets of a shipped program, with its arguments at their defaults."""
    with open(os.path.join(COMPILED, f"{name}.packets"), "rb") as file:
        return file.read()


def table() -> str:
    """Return the table of docs/programs.md."""
    return "\n".join(("| program | what it does | records | arguments |", "|---|---|---|---|", *_rows()))


def _rows() -> Iterator[str]:
    for each in programs():
        arguments = "<br>".join(_described(argument) for argument in each.arguments)
        yield f"| {each.name} | {each.summary}<br>`{each.example}` | {each.records} | {arguments} |"


def _described(argument: Argument) -> str:
    return f"`{argument.name}={shown(argument)}` {argument.kind}: {argument.meaning}"
