"""What a run computed, as people, scripts and Arrow readers see it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from packetfs.engines.results.result import FaultReport, MapResult, RunResult
from packetfs.frontends.cli.arrow import COLUMNS, write_arrow
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.records import BY_TYPE
from packetfs.frontends.cli.results import print_records, print_table
from packetfs.frontends.cli.values import elements, ranked, show_key, show_number
from packetfs.vm.layout import Fault, MapFlag, MapType, Reducer, Show
from packetfs.vm.program import MapDefinition

TOTAL = MapDefinition(b"total", MapType.ARRAY, 4, 24, 1, reducer=Reducer.SUM)
BY_NAME = MapDefinition(b"by name", MapType.HASH, 8, 16, 100, reducer=Reducer.SUM, show=Show.TEXT)
HIDDEN = MapDefinition(b"args", MapType.ARRAY, 4, 8, 1, flags=int(MapFlag.READ_ONLY))
FAULT = FaultReport(3, 4, "a\x1b[2J", 4096, 2, Fault.ADDRESS, 13, 3, 1, "ldxb r0, [r1+0]", 0x30000000)


def words(*numbers: int) -> bytes:
    return b"".join((number % (1 << 64)).to_bytes(8, "little") for number in numbers)


ENTRIES = (
    (b"a\0\0\0\0\0\0\0", words(5, 1)),
    (b"b\x1b[\0\0\0\0\0", words(1_234_567, 2)),
    (b"c\0\0\0\0\0\0\0", words(-7, 3)),
)
RESULT = RunResult(
    records=1000,
    bytes=64_000,
    shards=2,
    executed=5000,
    emitted=0,
    verdicts=(0, 400, 600, 0, 0, 0),
    last=2,
    maps=(
        MapResult(HIDDEN, ((bytes(4), words(9)),)),
        MapResult(BY_NAME, ENTRIES),
        MapResult(TOTAL, ((bytes(4), words(3, 14, -1592)),)),
    ),
    faults=(),
    engine="native",
    seconds=0.001,
    timings=(0.002, 0.001, 0.004),
)


class Streams:
    """An Output into memory."""

    def __init__(self, **options: bool) -> None:
        self._out, self._err = io.BytesIO(), io.BytesIO()
        self.output = Output(self._out, self._err, **options)

    @property
    def out(self) -> list[str]:
        return self._out.getvalue().decode().splitlines()

    @property
    def err(self) -> list[str]:
        return self._err.getvalue().decode().splitlines()


def test_the_table_is_aligned_and_safe_on_a_terminal() -> None:
    streams = Streams()
    print_table(RESULT, streams.output, {b"total": 2}, top=None, show=True)
    assert streams.out == [
        "total  0.03  0.14  -15.92",
        "by name (3 entries)",
        "  a               5  1",
        "  b\\x1b[  1,234,567  2",
        "  c              -7  3",
    ]
    assert streams.err == [
        (
            "1,000 records (64.0 kB), r0: 400 DROP, 600 PASS; 2 shards, native, 0.001 s, "
            "1.0 us a record at best, 2.0 us in the median of 3 runs"
        )
    ]


def test_beside_output_the_table_goes_to_stderr_and_quiet_says_nothing() -> None:
    streams, quiet = Streams(), Streams(quiet=True)
    print_table(RESULT, streams.output, {}, top=1, show=False)
    print_table(RESULT, quiet.output, {}, top=1, show=False)
    assert (streams.out, quiet.out, quiet.err) == ([], [], [])
    assert streams.err[1:3] == ["by name (3 entries, the greatest 1)", "  b\\x1b[  1,234,567  2"]


def test_json_objects_have_the_fields_that_are_promised() -> None:
    streams = Streams(json=True)
    print_records(replace(RESULT, faults=(FAULT,), faulted=1), streams.output, {b"total": 2}, top=None)
    objects = [json.loads(line) for line in streams.out]
    assert [each["type"] for each in objects] == ["map", "map", "fault", "run"]
    for each in objects:
        assert set(each) - {"type"} == set(BY_TYPE[each["type"]].fields)
    by_name, total, fault, run = objects
    assert by_name["entries"][1] == {"key": "b\\x1b[", "key_hex": "621b5b0000000000", "value": [1_234_567, 2]}
    assert (total["decimals"], total["entries"][0]["value"]) == (2, [3, 14, -1592])
    assert (fault["fault"], fault["packet"], fault["slot"]) == ("ADDRESS", 3, 1)
    assert run["verdicts"] == {"ABORTED": 0, "DROP": 400, "PASS": 600, "TX": 0, "REDIRECT": 0, "other": 0}
    assert (run["best_ns"], run["median_ns"]) == (1000.0, 2000.0)


def test_an_arrow_file_has_every_element() -> None:
    import pyarrow as pa

    file = io.BytesIO()
    write_arrow(RESULT, file, {b"total": 2}, top=None)
    table = pa.ipc.open_file(file.getvalue()).read_all()
    assert tuple(table.column_names) == COLUMNS
    assert table.num_rows == 3 * 2 + 3
    assert table.to_pylist()[2] == {
        "map": "by name", "key": b"b\x1b[\0\0\0\0\0", "key_text": "b\\x1b[", "element": 0, "value": 1_234_567,
        "decimals": 0,
    }  # fmt: skip
    assert table.column("value").to_pylist()[-3:] == [3, 14, -1592]
    assert table.column("decimals").to_pylist()[-1] == 2


@pytest.mark.parametrize(
    ("show", "key", "text"),
    [
        (Show.HEX, b"\1\2", "0102"),
        (Show.UNSIGNED, b"\xff\xff", "65535"),
        (Show.SIGNED, b"\xff\xff", "-1"),
        (Show.UNSIGNED, bytes(range(16)), "000102030405060708090a0b0c0d0e0f"),
        (Show.TEXT, b"abc\0\0", "abc"),
        (Show.TEXT, b"\xff\n\0", "\\xff\\n"),
        (Show.IPV4, bytes((192, 0, 2, 1)), "192.0.2.1"),
        (Show.IPV4, b"\1\0", "1"),
    ],
)
def test_keys_are_shown_as_their_map_says(show: Show, key: bytes, text: str) -> None:
    assert show_key(replace(BY_NAME, show=show, key_size=len(key)), key) == text


@pytest.mark.parametrize(
    ("reducer", "width", "value", "numbers"),
    [
        (Reducer.SUM, 8, words(-1), [-1]),
        (Reducer.MAX, 8, words(-1), [2**64 - 1]),
        (Reducer.SIGNED_MIN, 4, b"\xfe\xff\xff\xff", [-2]),
        (Reducer.SUM, 4, b"\xfe\xff\xff\xff", [2**32 - 2]),
        (Reducer.LAST, 8, b"\1" * 9, [0x0101010101010101, 1]),
    ],
)
def test_values_are_signed_where_their_reducer_is(
    reducer: Reducer, width: int, value: bytes, numbers: list[int]
) -> None:
    assert elements(replace(BY_NAME, reducer=reducer, width=width, value_size=len(value)), value) == numbers


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [
        (1234, 0, "1,234"),
        (1234, 2, "12.34"),
        (-5, 2, "-0.05"),
        (-123_456_789, 3, "-123,456.789"),
        (0, 1, "0.0"),
    ],
)
def test_decimals_have_their_point(number: int, decimals: int, text: str) -> None:
    assert show_number(number, decimals) == text


def test_the_greatest_come_first_and_ties_by_key() -> None:
    entries = tuple((bytes([i]), words(i % 3)) for i in range(9))
    found = MapResult(replace(BY_NAME, key_size=1, value_size=8), entries)
    assert [key[0] for key, _ in ranked(found, 4)] == [2, 5, 8, 1]
    assert ranked(found, None) == list(entries)


@pytest.mark.parametrize(
    ("show", "order"),
    [(Show.UNSIGNED, [1, 2, 256, 65_535]), (Show.SIGNED, [65_535, 1, 2, 256]), (Show.TEXT, [256, 1, 2, 65_535])],
)
def test_keys_that_are_numbers_are_ordered_as_numbers(show: Show, order: list[int]) -> None:
    definition = replace(BY_NAME, key_size=2, value_size=8, show=show)
    entries = tuple(sorted((number.to_bytes(2, "little"), words(7)) for number in order))
    found = MapResult(definition, entries)
    assert [int.from_bytes(key, "little") for key, _ in ranked(found, None)] == order
    assert [int.from_bytes(key, "little") for key, _ in ranked(found, 3)] == order[:3]


def test_a_number_that_nothing_was_added_to_is_nought_and_an_absent_one_none() -> None:
    """A sum over no records is 0; the smallest of no numbers is not."""
    least = replace(BY_NAME, name=b"least", key_size=1, value_size=8, max_entries=1, reducer=Reducer.MIN)
    result = replace(RESULT, records=1, shards=1, maps=(MapResult(TOTAL, ()), MapResult(least, ())))
    table, objects = Streams(), Streams(json=True)
    print_table(result, table.output, {}, top=None, show=True)
    assert [line.split() for line in table.out] == [["total", "0", "0", "0"], ["least", "none"]]
    assert table.err[0].startswith("1 record (64.0 kB), r0: 400 DROP, 600 PASS; 1 shard, ")
    print_records(result, objects.output, {}, top=None)
    total, empty = (json.loads(line)["entries"] for line in objects.out[:2])
    assert (total, empty) == ([{"key": "00000000", "key_hex": "00000000", "value": [0, 0, 0]}], [])
