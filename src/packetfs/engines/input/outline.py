"""Which bytes a stretch of a stored file is, without reading them: the leaves of its program, cut to the stretch.

Two stretches with one outline have the same bytes, wherever and in whatever file they lie. The reverse need not hold:
the same bytes cut into other extents have another outline, and that costs no more than running over them once more.
"""

from __future__ import annotations

from struct import Struct

from packetfs.engines.input.source import PoolFile
from packetfs.packet.layout import BODY, HEADER, PACKET, Op
from packetfs.typing import Final

_HEAD: Final = Struct("<BBHIQ")
_COPY, _DATA, _FILL = int(Op.COPY), int(Op.DATA), int(Op.FILL)


def outline(source: PoolFile, start: int, stop: int) -> bytes:
    """Return whole packets that produce the bytes [start, stop) of a file, and no others."""
    parts: list[bytes] = []
    for base, starts, leaves in source.program.packed(source.root, start, stop):
        first, last = start - base - starts[0], stop - base
        if last < starts[-1]:
            leaves = leaves[:-PACKET] + _part(leaves[-PACKET:], 0, last - starts[-2])
        if first > 0:
            leaves = _part(leaves[:PACKET], first, min(starts[1], last) - starts[0] - first) + leaves[PACKET:]
        parts.append(leaves)
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
