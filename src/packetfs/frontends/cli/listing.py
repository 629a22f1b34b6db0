"""A program as lines for people: its packets as text, names and offsets as comments, colours on a terminal."""

from __future__ import annotations

import re

from packetfs.frontends.cli.output import Output
from packetfs.packet.digest import Digest
from packetfs.packet.entry import decode_entry
from packetfs.packet.layout import PACKET, Op
from packetfs.packet.text import disassemble, quote
from packetfs.packet.tree import Store, leaves, produces, split
from packetfs.typing import Final, Iterator

_CODE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|;.*|\br\d+\b|^\s*[.a-z]\w*')
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|;.*|\b[0-9a-f]{32,}\b|^[A-Z]+')


def list_program(program: bytes) -> Iterator[str]:
    """Yield the lines of one program as it is; a comment says where each packet's output begins."""
    yield from disassemble(program[:PACKET])
    yield from _list_leaves(_with_offsets(program[PACKET:]))


def list_flat(store: Store, root: Digest) -> Iterator[str]:
    """Yield the lines of a program with its TREE packets followed: HEAD and every leaf."""
    yield from disassemble(store.read(root)[:PACKET])
    yield from _list_leaves(leaves(store, root))


def _with_offsets(packets: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for leaf in split(packets):
        yield offset, leaf
        offset += produces(leaf)


def _list_leaves(parts: Iterator[tuple[int, bytes]]) -> Iterator[str]:
    for offset, leaf in parts:
        lines = list(disassemble(leaf))
        yield f"{lines[0]}  ; {_comment(offset, leaf)}"
        yield from lines[1:]


def _comment(offset: int, leaf: bytes) -> str:
    if leaf[0] == Op.ENTRY:
        return quote(decode_entry(leaf).name)
    return f"@{offset}"


def colored(line: str, output: Output) -> str:
    """Paint ops, digests, quoted bytes and comments."""
    return _TOKEN.sub(lambda token: output.paint(token[0], _style(token[0])), line) if output.color else line


def _style(token: str) -> str:
    if token.startswith('"'):
        return "green"
    if token.startswith(";"):
        return "dim"
    return "cyan" if token.isupper() else "yellow"


def colored_code(line: str, output: Output) -> str:
    """Paint an instruction or a directive: its mnemonic, registers, what it names, strings and comments."""
    return _CODE.sub(lambda token: output.paint(token[0], _code_style(token[0])), line) if output.color else line


def _code_style(token: str) -> str:
    if token.startswith('"'):
        return "green"
    if token.startswith(";"):
        return "dim"
    return "yellow" if re.fullmatch(r"r\d+", token) else "cyan"
