"""Keys and values of maps as people read them: text, addresses, signed numbers, fixed-point decimals."""

from __future__ import annotations

from packetfs.frontends.cli.names import printable
from packetfs.typing import TYPE_CHECKING, Final
from packetfs.vm.layout import MapType, Reducer, Show

if TYPE_CHECKING:
    from packetfs.engines.results.result import MapResult
    from packetfs.vm.program import MapDefinition

_SIGNED: Final = (Reducer.SIGNED_MIN, Reducer.SIGNED_MAX)
_ARRAYS: Final = (MapType.ARRAY, MapType.PERCPU_ARRAY)
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
    width, signed = definition.width, _is_signed(definition)
    parts = (value[at : at + width] for at in range(0, len(value), width))
    return [int.from_bytes(part, "little", signed=signed) for part in parts]


def _is_signed(definition: MapDefinition) -> bool:
    return definition.reducer in _SIGNED or (definition.reducer is Reducer.SUM and definition.width == _WORD)


def is_single(definition: MapDefinition) -> bool:
    """Tell whether a map has one entry, which needs no key."""
    return definition.max_entries == 1


def ranked(found: MapResult, top: int | None) -> list[tuple[bytes, bytes]]:
    """Return the entries by key, or the `top` with the greatest first element, ties by key: numbers as numbers.

    A result leaves zeros of arrays out; an array of one entry has it nevertheless, or scripts would not find it.
    """
    definition, entries = found.definition, found.entries
    if not entries and is_single(definition) and definition.type in _ARRAYS:
        return [(bytes(definition.key_size), bytes(definition.value_size))]
    if top is None:
        return sorted(entries, key=lambda entry: _order(definition, entry[0]))
    import heapq

    from packetfs.engines.results.entries import Entries

    width, signed = definition.width, _is_signed(definition)
    if isinstance(entries, Entries):
        entries = entries.greatest(top, width, signed=signed)
    values = [int.from_bytes(value[:width], "little", signed=signed) for _, value in entries]
    least = min(heapq.nlargest(top, values), default=0)  # only what may be among them is put in order by its key
    chosen = [(-number, *entry) for number, entry in zip(values, entries, strict=True) if number >= least]
    chosen.sort(key=lambda each: (each[0], _order(definition, each[1])))
    return [(key, value) for _, key, value in chosen[:top]]


def _order(definition: MapDefinition, key: bytes) -> int:
    """Return what keys of this map are ordered by: the number that is shown, else their bytes, the first one first."""
    if definition.show not in (Show.UNSIGNED, Show.SIGNED) or len(key) > _WORD:
        return int.from_bytes(key, "big")
    return int.from_bytes(key, "little", signed=definition.show is Show.SIGNED)


def show_number(number: int, decimals: int = 0) -> str:
    """Return a number with thousands separators, and its last `decimals` digits behind a point."""
    if not decimals:
        return f"{number:,}"
    whole, part = divmod(abs(number), 10**decimals)
    return f"{'-' if number < 0 else ''}{whole:,}.{part:0{decimals}}"
