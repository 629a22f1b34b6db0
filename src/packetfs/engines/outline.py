"""Which bytes a stretch of a stored file is, without reading them: the leaves of its program, cut to the stretch.

Two stretches with one outline have the same bytes, wherever and in whatever file they lie. The reverse need not hold:
the same bytes cut into other extents have another outline, and that costs no more than running over them once more.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from packetfs.engines.source import PoolFile
from packetfs.packet.layout import BODY, HEADER, Op
from packetfs.packet.tree import produces

_HEAD: Final = Struct("<BBHIQ")
_COPY, _DATA, _FILL = int(Op.COPY), int(Op.DATA), int(Op.FILL)


def outline(source: PoolFile, start: int, stop: int) -> bytes:
    """Return whole packets that produce the bytes [start, stop) of a file, and no others."""
    parts = []
    for at, leaf in source.program.between(source.root, start, stop):
        size = produces(leaf)
        skip = start - at if start > at else 0
        take = min(size, stop - at) - skip
        if take == size:
            parts.append(leaf)
        elif take > 0:
            parts.append(_part(leaf, skip, take))
    return b"".join(parts)


def _part(leaf: bytes, skip: int, take: int) -> bytes:
    """Return a leaf that produces `take` bytes of what `leaf` does, from byte `skip` of it on."""
    op, flags, vm, length, operand = _HEAD.unpack_from(leaf)
    body = leaf[HEADER:]
    if op == _COPY:
        return _HEAD.pack(op, flags, vm, take, operand + skip) + body
    if op == _DATA:
        return _HEAD.pack(op, flags, vm, take, operand) + body[skip : skip + take].ljust(BODY, b"\0")
    turn = skip % length if op == _FILL and length else 0
    turned = body[turn:length] + body[:turn] + body[length:]
    return _HEAD.pack(op, flags, vm, length, take) + turned
