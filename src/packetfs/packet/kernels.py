"""The loops that move and compare bytes: definitions in Python, and which of them run."""

from __future__ import annotations

from struct import Struct

from packetfs.accel import native
from packetfs.packet.layout import PACKET, STRUCT, Op
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

_LAYOUT: Final = Struct(STRUCT)
_TOO_LONG: Final = "the program produces more than the output holds"


def common_prefix_python(a: Buffer, b: Buffer, /) -> int:
    """Return how many bytes two buffers share at their front."""
    left, right = memoryview(a).cast("B"), memoryview(b).cast("B")
    low, high = 0, min(left.nbytes, right.nbytes)
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def expand_python(program: Buffer, sources: Sequence[Buffer], out: Buffer, /) -> int:
    """Execute DATA, FILL and COPY packets into `out`, with one source per COPY in order; return the bytes produced."""
    packets, target = memoryview(program).cast("B"), memoryview(out).cast("B")
    if target.readonly:
        raise TypeError("the output must be writable")
    if packets.nbytes % PACKET:
        raise ValueError("a program is whole packets")
    at, rest = 0, iter(sources)
    for start in range(0, packets.nbytes, PACKET):
        op, flags, _, length, operand, body = _LAYOUT.unpack_from(packets, start)
        if flags:
            raise ValueError("a packet has unknown flags")
        made = _produce(op, length, operand, body, rest, target.nbytes - at)
        target[at : at + len(made)] = made
        at += len(made)
    if next(rest, None) is not None:
        raise ValueError("there are more sources than COPY packets")
    return at


def _produce(op: int, length: int, operand: int, body: bytes, sources: Iterator[Buffer], room: int) -> bytes:
    if op == Op.DATA:
        _check(length <= len(body), "DATA is longer than its body")
        _check(length <= room, _TOO_LONG)
        return body[:length]
    if op == Op.FILL:
        _check(0 < length <= len(body), "FILL has no pattern of 1 to 48 bytes")
        _check(operand <= room, _TOO_LONG)
        return (body[:length] * (operand // length + 1))[:operand]
    _check(op == Op.COPY, "only DATA, FILL and COPY can be expanded")
    source = next(sources, None)
    if source is None:
        raise ValueError("there are more COPY packets than sources")
    view = memoryview(source).cast("B")
    _check(operand + length <= view.nbytes, "COPY reaches past its source")
    _check(length <= room, _TOO_LONG)
    return bytes(view[operand : operand + length])


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


if native is None:
    from packetfs.packet.match import match_python

    common_prefix, expand, match = common_prefix_python, expand_python, match_python
else:
    common_prefix, expand, match = native.common_prefix, native.expand, native.match
