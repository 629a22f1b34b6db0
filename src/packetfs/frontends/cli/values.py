"""Keys and values of maps as people read them: text, addresses, signed numbers, fixed-point decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packetfs.frontends.cli.names import printable
from packetfs.vm.layout import Reducer, Show

if TYPE_CHECKING:
    from packetfs.engines.result import MapResult
    from packetfs.vm.program import MapDefinition

_SIGNED: Final = (Reducer.SIGNED_MIN, Reducer.SIGNED_MAX)
_WORD: Final = 8
"""Bytes of the longest number that a processor adds: longer keys are bytes."""


def show_key(definition: MapDefinition, key: bytes) -> str:
    """Return a key as its map says that it is to be shown."""
    if definition.show is Show.TEXT:
        return printable(key.rstrip(b"\0"))
    if definition.show is Show.IPV4 and len(key) == 4:
        return ".".join(map(str, key))
    if definition.show is Show.HEX or len(key) > _WORD:
        return key.hex()
    return str(int.from_bytes(key, "little", signed=definition.show is Show.SIGNED))


def elements(definition: MapDefinition, value: bytes) -> list[int]:
    """Return the elements of a value as integers. Sums of 8 bytes are signed: one of 2**63 and more is negative."""
    width = definition.width
    signed = definition.reducer in _SIGNED or (definition.reducer is Reducer.SUM and width == _WORD)
    parts = (value[at : at + width] for at in range(0, len(value), width))
    return [int.from_bytes(part, "little", signed=signed) for part in parts]


def ranked(found: MapResult, top: int | None) -> list[tuple[bytes, bytes]]:
    """Return the entries by key, or the `top` with the greatest first element, ties by key."""
    if top is None:
        return list(found.entries)
    import heapq

    return heapq.nsmallest(top, found.entries, key=lambda entry: (-elements(found.definition, entry[1])[0], entry[0]))


def show_number(number: int, decimals: int = 0) -> str:
    """Return a number with thousands separators, and its last `decimals` digits behind a point."""
    if not decimals:
        return f"{number:,}"
    whole, part = divmod(abs(number), 10**decimals)
    return f"{'-' if number < 0 else ''}{whole:,}.{part:0{decimals}}"
