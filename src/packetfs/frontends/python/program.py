"""A file as the program that it is, short enough to look at: the packets that produce its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from packetfs.frontends.cli.sizes import format_size
from packetfs.frontends.python.table import table
from packetfs.packet.codec import decode
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Op
from packetfs.packet.text import quote
from packetfs.packet.tree import Store, leaves, produces, read_head
from packetfs.typing import Final, NamedTuple, NoReturn

SHOWN: Final = 10
"""Packets that a notebook shows of a program."""


class Step(NamedTuple):
    """One packet: where its output begins, how many bytes that is, and where they come from."""

    offset: int
    op: str
    length: int
    what: str


class Program:
    """The program of a file. Iterating gives all its steps."""

    def __init__(self, store: Store, path: str, root: Digest) -> None:
        self.path: Final = path
        self.root: Final = root.hex()
        self.size: Final = read_head(store, root).length
        self._store = store
        self._root = root

    def __iter__(self) -> Iterator[Step]:
        for offset, leaf in leaves(self._store, self._root):
            yield _step(offset, leaf)

    def __repr__(self) -> str:
        lines = [f"{step.offset:>12}  {step.op:<4}  {step.length:>10}  {step.what}" for step in islice(self, SHOWN)]
        return "\n".join([f"program {self.root[:12]} of {self.path}: {self.size} bytes", *lines])

    def __reduce__(self) -> NoReturn:
        raise TypeError("a program that is looked at cannot be pickled; pickle the pool and the file's path")

    def _repr_html_(self) -> str:
        steps = list(islice(self, SHOWN + 1))
        caption = f"{self.path}: {format_size(self.size)}, program {self.root[:12]}"
        if len(steps) > SHOWN:
            caption += f"; its first {SHOWN} packets"
        rows = [(f"{step.offset:,}", step.op, f"{step.length:,}", step.what) for step in steps[:SHOWN]]
        return table(caption, ("at", "packet", "bytes", "from"), rows)


def _step(offset: int, leaf: bytes) -> Step:
    packet = decode(leaf)
    if packet.op is Op.COPY:
        what = f"extent {packet.body[:6].hex()}" + (f" at {packet.operand}" if packet.operand else "")
    elif packet.op is Op.FILL:
        what = f"{quote(packet.body[: packet.length])} repeated"
    else:
        what = quote(packet.body[: packet.length])
    return Step(offset, packet.op.name, produces(leaf), what)
