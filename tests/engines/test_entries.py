"""Entries of maps that are made when somebody asks for them, and the greatest of them without making all."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from struct import pack

import pytest

from packetfs.engines.results.entries import Entries
from packetfs.engines.results.reduce import ArrayReduction
from packetfs.engines.results.result import MapResult
from packetfs.engines.results.tables import HashReduction, Union
from packetfs.frontends.cli.values import ranked
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.image import Image, load
from packetfs.vm.layout import MapType, Reducer
from packetfs.vm.program import MapDefinition, Program

TOPS = (1, 3, 10, 300, 5000)


def image_of(definition: MapDefinition) -> Image:
    return load(Program(pad(assemble("mov r0, 2\nexit")), (definition,)))


def numbers_of(kind: str, count: int, random: Random) -> list[int]:
    least, most, some = {
        "few": (0, 3, 2),
        "sparse": (1, 1 << 60, 500),
        "negative": (-3, 2, 1),
        "all": (1, 1 << 62, 1),
        "none": (0, 1, 1),
        "rising": (0, 0, 1),
    }[kind]
    if least == most:
        return list(range(count))
    return [random.randrange(least, most) if not random.randrange(some) else 0 for _ in range(count)]


@pytest.mark.parametrize("kind", ["few", "sparse", "negative", "all", "none", "rising"])
@pytest.mark.parametrize(("size", "width"), [(8, 8), (16, 8), (4, 4), (3, 1), (12, 8)])
def test_the_greatest_of_an_array_are_those_of_all_its_entries(kind: str, size: int, width: int) -> None:
    random = Random(f"{kind} {size}")
    reducer = Reducer.SUM if size % width == 0 else Reducer.LAST
    definition = MapDefinition(b"m", MapType.ARRAY, 4, size, 3000, width=width, reducer=reducer)
    place = image_of(definition).maps[0]
    numbers = numbers_of(kind, 3000, random)
    values = [(number & (1 << 8 * min(size, 8)) - 1).to_bytes(size, "little") for number in numbers]
    found = ArrayReduction(place, definition)
    found.unpack(b"".join(value.ljust(place.stride, b"\0") for value in values))
    wanted = tuple((pack("<I", index), value) for index, value in enumerate(values) if any(value))
    for top in TOPS:
        assert ranked(MapResult(definition, found.entries()), top) == ranked(MapResult(definition, wanted), top)
    entries = found.entries()
    assert len(entries) == len(wanted)
    assert entries == wanted
    assert (list(entries), entries[:2], hash(entries)) == (list(wanted), wanted[:2], hash(wanted))
    assert len(entries) == len(wanted)


@pytest.mark.parametrize("kind", ["few", "sparse", "negative", "all", "none"])
def test_the_greatest_of_a_hash_table_are_those_of_all_its_entries(kind: str) -> None:
    random = Random(kind)
    definition = MapDefinition(b"m", MapType.HASH, 5, 8, 3000, reducer=Reducer.SUM)
    keys = sorted({random.randbytes(5) for _ in range(2000)})
    values = [pack("<q", number) for number in numbers_of(kind, len(keys), random)]
    found = HashReduction(image_of(definition).maps[0], definition, Union())
    found.unpack(b"".join(keys + values))
    wanted = tuple(zip(keys, values, strict=True))
    for top in TOPS:
        assert ranked(MapResult(definition, found.entries()), top) == ranked(MapResult(definition, wanted), top)
    assert found.entries() == wanted
    assert len(found.entries()) == len(wanted)


def test_a_map_of_which_nothing_was_reduced_has_no_entries() -> None:
    definition = MapDefinition(b"m", MapType.ARRAY, 4, 8, 3000, reducer=Reducer.SUM)
    entries = ArrayReduction(image_of(definition).maps[0], definition).entries()
    assert isinstance(entries, Entries)
    assert (len(entries), list(entries)) == (0, [])
    assert ranked(MapResult(definition, entries), 10) == []
    single = replace(definition, max_entries=1)
    entries = ArrayReduction(image_of(single).maps[0], single).entries()
    assert ranked(MapResult(single, entries), 10) == [(bytes(4), bytes(8))]
