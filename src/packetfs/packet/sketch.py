"""A rateless sketch of a set of 64-bit ids: coded symbols, as many as the difference to another set needs.

Each symbol is the XOR of the ids that are part of it, the XOR of their checks, and their count. Symbol i has an id with
a chance of 1 / (1 + i/2), by a walk that follows from the id alone; so any number of symbols is a beginning of the same
endless sequence. Subtract two sides' symbols, and what both have is gone: a symbol with one id left gives that id,
which is then taken out of all others, until nothing is left: 1.35 to 1.7 symbols for each id of the difference do.

After "Practical Rateless Set Reconciliation" (Yang, Gilad, Alizadeh, SIGCOMM 2024). The functions here are the
definition, the native twins do the same.
"""

from __future__ import annotations

from math import ceil, sqrt
from struct import Struct

from packetfs.accel import native
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

SYMBOL: Final = Struct("<QIi")
"""A symbol: XOR of ids, XOR of checks, count."""
ID: Final = 8
_U64: Final = (1 << 64) - 1
_MIX1: Final = 0xBF58476D1CE4E5B9
_MIX2: Final = 0x94D049BB133111EB
_STEP: Final = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = (value ^ value >> 30) * _MIX1 & _U64
    value = (value ^ value >> 27) * _MIX2 & _U64
    return value ^ value >> 31


def check_of(number: int) -> int:
    """Return the 32 bits by which a lone id is told from a sum of several."""
    return _mix(number ^ _STEP) >> 32


def places_of(number: int, end: int) -> Iterator[int]:
    """Yield the symbols below `end` that an id is part of; 0 is always the first."""
    state, at = number, 0
    while at < end:
        yield at
        state = state + _STEP & _U64
        draw = ((_mix(state) >> 32) + 1) / 4294967296.0
        at += max(1, ceil((at + 1.5) * (1.0 / sqrt(draw) - 1.0)))


def sketch_python(ids: Buffer, start: int, end: int, /) -> bytes:
    """Return the symbols [start, end) of a set of ids of 8 bytes."""
    said = bytes(ids)
    if len(said) % ID or not 0 <= start <= end:
        raise ValueError("ids have 8 bytes each, and symbols are counted from 0")
    symbols = [[0, 0, 0] for _ in range(end - start)]
    for at in range(0, len(said), ID):
        number = int.from_bytes(said[at : at + ID], "little")
        for place in places_of(number, end):
            if place >= start:
                _add(symbols[place - start], number, 1)
    return b"".join(SYMBOL.pack(*symbol) for symbol in symbols)


def sketch_peel_python(symbols: Buffer, /) -> tuple[bytes, bytes, bool]:
    """Return the ids that are left in a difference of symbols: those with a count of 1, those with -1; and whether that
    is all of it."""
    if len(bytes(symbols)) % SYMBOL.size:
        raise ValueError("a symbol has 16 bytes")
    left = [list(symbol) for symbol in SYMBOL.iter_unpack(symbols)]
    waiting = [place for place in reversed(range(len(left))) if _is_pure(left[place])]
    found: tuple[list[int], list[int]] = [], []
    while waiting and len(found[0]) + len(found[1]) < len(left):
        number, _, count = left[place := waiting.pop()]
        if not _is_pure(left[place]):
            continue
        found[count < 0].append(number)
        for place in places_of(number, len(left)):
            _add(left[place], number, -count)
            if _is_pure(left[place]) and len(waiting) < len(left):
                waiting.append(place)
    ours, theirs = (b"".join(number.to_bytes(ID, "little") for number in side) for side in (found[0], found[1][::-1]))
    return ours, theirs, not any(any(symbol) for symbol in left)


def _is_pure(symbol: list[int]) -> bool:
    return symbol[2] in (1, -1) and check_of(symbol[0]) == symbol[1]


def _add(symbol: list[int], number: int, count: int) -> None:
    symbol[0] ^= number
    symbol[1] ^= check_of(number)
    symbol[2] += count


if native is None:
    sketch, sketch_peel = sketch_python, sketch_peel_python
else:
    sketch, sketch_peel = native.sketch, native.sketch_peel
