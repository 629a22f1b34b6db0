"""Reading a file is running its program: DATA, FILL, COPY and TREE packets produce the bytes, here and nowhere else."""

from __future__ import annotations

from packetfs import errors
from packetfs.packet.codec import decode
from packetfs.packet.digest import Digest
from packetfs.packet.layout import Op
from packetfs.packet.tree import Store, leaves
from packetfs.typing import Iterator, Protocol

FILL_PIECE = 1 << 20
"""Bytes of a run that are produced at a time, so that a run of 2**63 costs no memory."""

_PRODUCERS = (Op.NOP, Op.DATA, Op.FILL, Op.COPY)


def execute(store: Store, root: Digest, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield the bytes [offset, offset + length) of what program `root` produces, piece by piece."""
    end = None if length is None else offset + length
    for at, leaf in leaves(store, root, offset, end):
        yield from run_leaf(store, leaf, max(offset - at, 0), None if end is None else end - at)


class Filling(Store, Protocol):
    """A store that also gives payloads into memory of the caller."""

    def read_into(self, digest: Digest, offset: int, out: memoryview) -> None:
        """Fill `out` with the payload from `offset` on."""


def fill_from(store: Filling, leaf: bytes, skip: int, out: memoryview) -> int:
    """Fill `out` with what one leaf produces from byte `skip` of it on, an extent's bytes without a copy on the way;
    return how many bytes there were."""
    if leaf[0] == Op.COPY and not leaf[1]:
        packet = decode(leaf)
        take = max(0, min(packet.length - skip, len(out)))
        if take:
            store.read_into(Digest(packet.body[:32]), packet.operand + skip, out[:take])
        return take
    done = 0
    for part in run_leaf(store, leaf, skip, skip + len(out)):
        out[done : done + len(part)] = part
        done += len(part)
    return done


def run_leaf(store: Store, leaf: bytes, skip: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield the bytes [skip, end) of what one leaf produces."""
    packet = decode(leaf)
    if packet.op not in _PRODUCERS or packet.flags:
        raise errors.BadProgram(root="of a file", reason=f"{packet.op.name} does not belong in it")
    size = packet.operand if packet.op is Op.FILL else packet.length
    take = (size if end is None else min(size, end)) - skip
    if take <= 0:
        return
    if packet.op is Op.COPY:
        yield store.read_range(Digest(packet.body[:32]), packet.operand + skip, take)
    elif packet.op is Op.DATA:
        yield packet.body[skip : skip + take]
    else:
        yield from fill(packet.body[: packet.length], skip, take)


def fill(pattern: bytes, skip: int, take: int) -> Iterator[bytes]:
    """Yield `take` bytes of the repeated pattern, from byte `skip` of it on."""
    phase = skip % len(pattern)
    turned = pattern[phase:] + pattern[:phase]
    whole = turned * -(-min(take, FILL_PIECE) // len(turned))
    piece = whole[: len(whole) // len(turned) * len(turned)]
    while take > 0:
        yield piece[:take]
        take -= len(piece)


def read_program(store: Store, root: Digest, offset: int = 0, length: int | None = None) -> bytes:
    """Return the bytes [offset, offset + length) of what program `root` produces."""
    return b"".join(execute(store, root, offset, length))
