"""Reducing maps: the native core, its twin and plain arithmetic agree."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.engines.results.brief import Brief, brief
from packetfs.engines.results.columns import split
from packetfs.engines.results.elements import combine, reduce_array, reduce_python
from packetfs.engines.results.narrow import Words, narrow
from packetfs.engines.results.outcome import Outcome, unpack
from packetfs.engines.results.tables import HashReduction
from packetfs.engines.results.totals import Totals
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.image import Image, load
from packetfs.vm.layout import MapType, Reducer
from packetfs.vm.maps import Effort, update
from packetfs.vm.program import MapDefinition, Program

EDGES: Final = (0, 1, 127, 128, 255, 256, 1 << 31, 1 << 63, (1 << 64) - 1)


def signed(number: int, width: int) -> int:
    return number - (1 << 8 * width) if number >> (8 * width - 1) else number


def plain(before: int, after: int, reducer: Reducer, width: int) -> int:
    values: Final = {
        Reducer.LAST: after,
        Reducer.FIRST: before,
        Reducer.SUM: (before + after) % (1 << 8 * width),
        Reducer.MIN: min(before, after),
        Reducer.MAX: max(before, after),
        Reducer.SIGNED_MIN: min(before, after, key=lambda number: signed(number, width)),
        Reducer.SIGNED_MAX: max(before, after, key=lambda number: signed(number, width)),
        Reducer.OR: before | after,
        Reducer.AND: before & after,
        Reducer.XOR: before ^ after,
    }
    return values[reducer]


@given(
    st.sampled_from([*Reducer]),
    st.sampled_from([1, 2, 4, 8]),
    st.lists(st.lists(st.sampled_from(EDGES), min_size=3, max_size=3)),
)
def test_elements_are_reduced_in_order(reducer: Reducer, width: int, rows: list[list[int]]) -> None:
    rows = [[number % (1 << 8 * width) for number in row] for row in [[5, 0, 200], *rows]]
    wanted = rows[0]
    for row in rows[1:]:
        wanted = [plain(a, b, reducer, width) for a, b in zip(wanted, row, strict=True)]
    stride = 3 * width + 7
    values = b"".join(b"".join(n.to_bytes(width, "little") for n in row).ljust(stride, b"\xee") for row in rows[1:])
    for reduce in (reduce_python, reduce_array):
        into = bytearray(b"".join(number.to_bytes(width, "little") for number in rows[0]))
        reduce(memoryview(into), memoryview(values), len(rows) - 1, stride, reducer, width)
        got = [int.from_bytes(into[at : at + width], "little") for at in range(0, 3 * width, width)]
        assert got == wanted


@pytest.mark.parametrize("reduce", [reduce_python, reduce_array])
def test_buffers_that_do_not_fit_are_refused(reduce: type) -> None:
    for into, values, count, stride, width in ((7, 100, 1, 8, 8), (8, 15, 2, 8, 8), (8, 0, 1, 8, 8)):
        with pytest.raises(ValueError, match="values"):
            reduce(memoryview(bytearray(into)), memoryview(bytes(values)), count, stride, Reducer.SUM, width)


def test_values_of_odd_sizes_are_taken_whole() -> None:
    assert combine(b"abc", b"xyz", Reducer.LAST, 8) == b"xyz"
    assert combine(b"abc", b"xyz", Reducer.FIRST, 8) == b"abc"


# hash tables

Rows = dict[bytes, bytes]


def table_image(key: int, size: int, width: int, reducer: Reducer) -> Image:
    return load(Program(pad(assemble("exit")), (MapDefinition(b"t", MapType.HASH, key, size, 40, 0, reducer, width),)))


def table_of(outcome: Outcome) -> HashReduction:
    (reduction,) = outcome.maps.values()
    assert isinstance(reduction, HashReduction)
    return reduction


def add_shards(image: Image, reduction: HashReduction, shards: list[Rows]) -> None:
    memory = memoryview(bytearray(len(shards) * image.maps_bytes))
    for number, rows in enumerate(shards):
        own = memory[number * image.maps_bytes : (number + 1) * image.maps_bytes]
        for key, value in rows.items():
            assert update(image.maps[0], own, key, value, 0, Effort()) == 0
    reduction.add(memory, 0, len(shards), image.maps_bytes)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Image, list[list[Rows]]]:
    """Return an image with a hash table, and shards of stretches: some have nearly the same keys, some others."""
    key = draw(st.sampled_from((1, 3, 4, 8)))
    width = draw(st.sampled_from((1, 2, 4, 8)))
    reducer = draw(st.sampled_from([*Reducer]))
    odd = reducer in (Reducer.LAST, Reducer.FIRST)
    size = width * draw(st.sampled_from((1, 1, 2, 3))) + (draw(st.integers(0, 3)) if odd else 0)
    keys = st.sampled_from([bytes([number]).rjust(key, b"\1") for number in range(6)])
    values = st.binary(min_size=size, max_size=size) | st.sampled_from((b"\xff" * size, b"\0" * size))
    many = [bytes([number]).rjust(key, b"\2") for number in range(draw(st.sampled_from((0, 20))))]
    rows = st.builds(lambda few, value: {**dict.fromkeys(many, value), **few}, st.dictionaries(keys, values), values)
    stretches = draw(st.lists(st.lists(rows, max_size=3), min_size=1, max_size=5))
    return table_image(key, size, width, reducer), stretches


@given(tables(), st.sets(st.integers(0, 4)))
def test_tables_are_reduced_in_order_however_they_come(case: tuple[Image, list[list[Rows]]], kept: set[int]) -> None:
    """Stretches in `kept` were packed and are read back."""
    image, stretches = case
    definition = image.definitions[0]
    whole, before_it = Outcome(image), Outcome(image)
    wanted: Rows = {}
    for number, shards in enumerate(stretches):
        part = Outcome(image)
        add_shards(image, table_of(part), shards)
        whole.merge(unpack(image, part.pack()) if number in kept else part)
        before_it.merge(part)  # neither is changed with the other: parts of a stretch go on growing
        before_it = part
        for rows in shards:
            for key, value in rows.items():
                before = wanted.get(key)
                reduced = value if before is None else combine(before, value, definition.reducer, definition.width)
                wanted[key] = reduced
    assert list(table_of(whole).entries()) == sorted(wanted.items())
    assert list(table_of(unpack(image, whole.pack())).entries()) == sorted(wanted.items())


def mixed_image() -> Image:
    """Tables between arrays, in an order of their own, and a map that all shards share."""
    definitions = (
        MapDefinition(b"a", MapType.HASH, 3, 5, 20),
        MapDefinition(b"b", MapType.ARRAY, 4, 8, 3),
        MapDefinition(b"c", MapType.HASH, 8, 16, 7),
        MapDefinition(b"d", MapType.ARRAY, 4, 12, 2, initial=b"begun"),
        MapDefinition(b"e", MapType.HASH, 4, 8, 9),
    )
    return load(Program(pad(assemble("exit")), definitions))


@given(st.lists(st.tuples(st.sampled_from((0, 2, 4)), st.integers(0, 19), st.integers(0, 255))), st.binary(max_size=24))
def test_maps_in_brief_are_the_same_maps(rows: list[tuple[int, int, int]], array: bytes) -> None:
    image = mixed_image()
    maps = memoryview(bytearray(image.maps_bytes))
    maps[: len(image.initial)] = image.initial
    maps[image.maps[1].offset : image.maps[1].offset + len(array)] = array
    for index, key, value in rows:
        place = image.maps[index]
        update(place, maps, bytes([key]) * place.key_size, bytes([value]) * place.value_size, 0, Effort())
    data = bytes(brief(image, maps))
    found = Brief(image, Words(narrow(data), len(data)))
    assert len(data) < image.maps_bytes, "the room of tables that are not full is left out"
    laid, again, known = memoryview(found.laid()), Outcome(image), Outcome(image)
    assert bytes(brief(image, laid)) == data, "it can be laid out again, and remembered again"
    known.add_one(Totals(), found)
    for index, reduction in again.maps.items():
        reduction.add(maps, 0, 1, image.maps_bytes)
        assert list(reduction.entries()) == list(known.maps[index].entries())


@given(st.data())
def test_damage_in_maps_in_brief_is_refused(data: st.DataObject) -> None:
    image = mixed_image()
    maps = memoryview(bytearray(image.maps_bytes))
    for key in range(5):
        update(image.maps[0], maps, bytes([key]) * 3, bytes(5), 0, Effort())
    sound = bytearray(brief(image, maps))
    at = data.draw(st.integers(0, len(sound) - 1))
    sound[at] = data.draw(st.integers(0, 255))
    size = len(sound) - data.draw(st.sampled_from((0, 0, 8, 64)))
    try:
        found = Brief(image, Words(narrow(bytes(sound[:size]).ljust(-(-size // 8) * 8, b"\0")), size))
    except ValueError:
        return
    keys = [key for key, _ in found_rows(image, found)]
    assert keys == sorted(set(keys))


def found_rows(image: Image, found: Brief) -> list[tuple[bytes, bytes]]:
    held = found.columns(image.maps[0])
    return list(zip(split(held.keys, 3), split(held.values, 5), strict=True))


@pytest.mark.parametrize("data", [b"aabb", b"ab12345678", b"bb" + bytes(16), b"ba" + bytes(16)])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="keys in ascending order"):
        table_of(Outcome(table_image(1, 8, 8, Reducer.SUM))).unpack(data)
