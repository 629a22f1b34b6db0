"""Text and JSON, names that attack a terminal, and the progress bar."""

from __future__ import annotations

import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.events import Changed, Connection, Progress, Trouble
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.names import path_fields, pool_name, printable, raw
from packetfs.frontends.cli.output import Output, OutputClosed
from packetfs.frontends.cli.progress import Bar, Pace, describe
from packetfs.frontends.cli.summary import print_summary
from packetfs.net.job import Summary, Traffic


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Streams:
    def __init__(self, **options: bool) -> None:
        self.out, self.err = io.BytesIO(), io.BytesIO()
        self.output = Output(self.out, self.err, **options)

    @property
    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@given(st.binary())
def test_a_printable_name_holds_no_control_character(name: bytes) -> None:
    assert printable(name).isprintable()


@given(st.binary().filter(lambda name: b"\0" not in name))
def test_names_come_back_from_the_command_line_and_json(name: bytes) -> None:
    assert raw(os.fsdecode(name)) == name
    fields = json.loads(json.dumps(path_fields(name)))
    assert (bytes.fromhex(fields["path_hex"]) if "path_hex" in fields else fields["path"].encode()) == name


def test_pool_names() -> None:
    wanted = {"pfs:": b"", "/": b"", ".": b"", "a": b"a", "/a/": b"a", "pfs:/a//b/.": b"a/b"}
    assert {name: pool_name(name) for name in wanted} == wanted


def test_json_is_one_object_a_line_and_text_is_text() -> None:
    streams = Streams(json=True)
    report = Reporter(streams.output)
    report(Changed(b"a\xff\n", "new", 5))
    report(Trouble(b"b", "gone"))
    assert streams.records == [
        {"type": "changed", "path": "a�\n", "path_hex": "61ff0a", "action": "new", "size": 5},
        {"type": "trouble", "path": "b", "reason": "gone"},
    ]
    assert report.troubles == 1


def test_changes_are_listed_when_asked_for_and_troubles_always() -> None:
    quiet = Streams(quiet=True)
    for event in (Changed(b"a", "new", 5), Trouble(b"b\x1b[2J", "gone")):
        Reporter(quiet.output)(event)
    assert quiet.out.getvalue() == b""
    assert quiet.err.getvalue() == b"pfs: b\\x1b[2J: gone\n"
    listed = Streams()
    Reporter(listed.output, itemize=True)(Changed(b"a\xff", "content", 1500))
    assert listed.out.getvalue() == b"content  1.50 kB  a\xff\n"


@pytest.mark.parametrize("lost", ["It is gone: Connection refused", "It is stopping."])
def test_a_lost_line_is_told_in_one_sentence_with_its_destination(lost: str) -> None:
    streams = Streams()
    Reporter(streams.output)(Connection("host:docs", lost, 0.75))
    said = lost.rstrip(".")
    assert streams.err.getvalue().decode() == f"pfs: host:docs: {said}; trying again in 0.8 s\n"


def test_json_progress_comes_once_a_second() -> None:
    streams, clock = Streams(json=True), Clock()
    report = Reporter(streams.output, clock=clock)
    for tick in range(35):
        clock.now = tick / 10
        report(Progress(tick, tick, 100))
    assert [record["files"] for record in streams.records] == [10, 20, 30]


def test_the_bar_paints_ten_times_a_second_at_most_and_is_cleared() -> None:
    stream, clock = io.BytesIO(), Clock()
    bar = Bar(stream, clock)
    for tick in range(1000):
        clock.now = tick / 1000
        bar.show(Progress(tick, tick * 1_000_000, 1_000_000_000))
    bar.clear()
    bar.clear()
    painted = stream.getvalue().split(b"\r\x1b[K")
    assert painted[0] == b""
    assert painted[-1] == b""
    assert 8 <= len(painted) - 2 <= 10


def test_what_the_bar_says() -> None:
    assert describe(Progress(3, 500, 1000), 1.0) == " 50% [============            ] 500 B, 3 files, 500 B/s, 0:01 left"
    assert describe(Progress(3, 2000, 1000), 1.0).startswith("100% [")
    assert describe(Progress(3, 500, 0), 0.0) == "500 B, 3 files, 0 B/s"
    assert describe(Progress(1, 1, 3601), 1.0).endswith("1:00:00 left")


def test_pace_does_not_fall_behind() -> None:
    clock = Clock()
    pace = Pace(1.0, clock)
    clock.now = 100.0
    assert [pace.due(), pace.due()] == [True, False]


def test_a_closed_reader_and_a_full_disk_are_told_apart() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as closed, pytest.raises(OutputClosed):
        Output(closed, io.BytesIO()).write(b"x")
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="standard output"):
        Output(full, io.BytesIO()).write(b"x")


SUMMARY = Summary(
    files=3,
    changed=2,
    deleted=1,
    troubles=1,
    total=2_000_000,
    sent=Traffic(2_000_000, 1000, 1_999_000, 200, 30, 1300),
    received=Traffic(signature=50, wire=60),
    turns=2,
    seconds=0.25,
    snapshot="s1",
)


def test_the_summary_as_text() -> None:
    streams = Streams()
    print_summary(SUMMARY, streams.output, dry_run=False)
    assert streams.out.getvalue().decode() == (
        "3 files (2.00 MB), 2 changed, 1 deleted, 1 could not be handled; snapshot s1\n"
        "            logical    literal     copied   metadata  signature       wire\n"
        "sent        2.00 MB    1.00 kB    2.00 MB      200 B       30 B    1.30 kB\n"
        "received        0 B        0 B        0 B        0 B       50 B       60 B\n"
        "1.36 kB moved, 0.068% of a full copy, 0.25 s, 1 round trip\n"
    )


def test_the_summary_as_json() -> None:
    streams = Streams(json=True)
    print_summary(SUMMARY, streams.output, dry_run=True)
    record = streams.records[0]
    assert record["ratio"] == 0.00068
    assert record["dry_run"] is True
    assert record["received"] == {
        "logical": 0, "literal": 0, "copied": 0, "metadata": 0, "signature": 50, "wire": 60,
    }  # fmt: skip


def test_an_empty_summary_divides_by_nothing() -> None:
    streams = Streams()
    print_summary(Summary(), streams.output, dry_run=True)
    assert streams.out.getvalue() == b"0 files (0 B), 0 would change\n0 B moved, 0.00 s\n"
