"""What records are called, and where those of captures and extents lie."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.engines.input.extents import extents
from packetfs.engines.input.pcap import packets
from packetfs.engines.input.records import RECORD_MAX, RecordKind, Records, parse_records
from packetfs.engines.input.shards import Batch, first_records, plan
from packetfs.engines.input.source import HostFile, Origin, PoolFile, Source
from packetfs.engines.jobs.job import run_job
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import JobEvent
from packetfs.errors import BadCapture, UsageError
from packetfs.events import Trouble
from packetfs.fs.streams.ingest import ingest
from packetfs.limits import EXTENT_MAX, MEAN, PCAP_RECORD_MAX
from packetfs.packet.cut import cut
from packetfs.pool.pool import Pool
from packetfs.vm.context import BASE_UNKNOWN
from packetfs.vm.layout import VMS_MAX, Framing
from tests.engines.rig import NUMBERED, counting, lines_of, program, run, text_of, write


class Bytes(Source):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.name = "bytes"
        self.size = len(data)

    def read_into(self, start: int, room: memoryview) -> int:
        part = self.data[start : start + len(room)]
        room[: len(part)] = part
        return len(part)

    def origin(self) -> Origin:
        return Origin("host", "", self.name, len(self.data))


@pytest.mark.parametrize(
    ("text", "records", "framing"),
    [
        ("packet", Records(RecordKind.FIXED, 64), Framing.FIXED),
        ("fixed:100", Records(RecordKind.FIXED, 100), Framing.FIXED),
        (f"fixed:{RECORD_MAX}", Records(RecordKind.FIXED, RECORD_MAX), Framing.FIXED),
        ("line", Records(RecordKind.LINE), Framing.LINE),
        ("lines:65536", Records(RecordKind.LINES, 65536), Framing.LINES),
        ("pcap", Records(RecordKind.PCAP), Framing.LIST),
        ("extent", Records(RecordKind.EXTENT), Framing.LIST),
    ],
)
def test_records_have_names(text: str, records: Records, framing: Framing) -> None:
    assert parse_records(text) == records
    assert parse_records(text).framing is framing
    assert str(records) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fixed",
        "fixed:",
        "fixed:0",
        "fixed:-1",
        "fixed:1k",
        "fixed:²",
        "fixed:268434945",
        "line:3",
        "lines:",
        "lines:0",
    ],
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_records(text)


# captures


def capture(lengths: list[int], order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    out = bytearray(struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65_535, 1))
    for number, length in enumerate(lengths):
        out += struct.pack(f"{order}IIII", number, 0, length, length + 1) + bytes([number & 255]) * length
    return bytes(out)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_packets_of_a_capture(order: str, magic: int) -> None:
    lengths = [0, 1, 1500, 60, PCAP_RECORD_MAX, 9000] * 5
    data = capture(lengths, order, magic)
    told: list[str] = []
    found = [data[start:stop] for start, stop in packets(Bytes(data), told.append)]
    assert found == [bytes([number]) * length for number, length in enumerate(lengths)]
    assert not told


@pytest.mark.parametrize("lost", [1, 60, 70])
def test_a_packet_that_is_cut_off_is_left_out_and_told(lost: int) -> None:
    data = capture([60] * 10)[:-lost]
    told: list[str] = []
    assert len(list(packets(Bytes(data), told.append))) == 9
    assert "byte 708" in told[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd4\xc3\xb2\xa1",
        b"\x0a\x0d\x0d\x0a" + bytes(60),
        b"hello, this is no capture at all",
        capture([1]) + struct.pack("<IIII", 0, 0, PCAP_RECORD_MAX + 1, 60) + bytes(100),
        capture([]) + b"\xff" * 64,
    ],
)
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(BadCapture):
        list(packets(Bytes(data), lambda reason: None))  # noqa: ARG005


@settings(max_examples=60)
@given(st.binary(max_size=400), st.integers(0, 3))
def test_any_bytes_are_packets_or_refused(tail: bytes, variant: int) -> None:
    data = capture([5], "<>"[variant & 1], (0xA1B2C3D4, 0xA1B23C4D)[variant >> 1]) + tail
    try:
        for start, stop in packets(Bytes(data), lambda reason: None):  # noqa: ARG005
            assert 40 <= start <= stop <= len(data)
    except BadCapture:
        pass


@pytest.mark.parametrize("shard", [512, 532, 1 << 20])
def test_an_empty_packet_at_the_end_of_a_capture_is_a_record(tmp_path: Path, shard: int) -> None:
    """It lies where the file ends, and begins with its header: also where that begins a shard."""
    lengths = [60] * 6 + [36, 0]
    source = write(tmp_path / "data", capture(lengths))
    assert run(counting(), [source], "pcap", JobOptions(shard_bytes=shard)).result.records == len(lengths)


def test_a_job_over_a_capture(tmp_path: Path) -> None:
    random = Random(1)
    lengths = [random.randrange(2000) for _ in range(600)]
    source = write(tmp_path / "data", capture(lengths))
    wanted = b"".join(bytes([i & 255]) * n for i, n in enumerate(lengths) if n and not i & 3)
    for shard in (512, 5000, 1 << 20):
        ran = run(counting(), [source], "pcap", JobOptions(shard_bytes=shard, slice_slots=300))
        assert ran.output == wanted
        assert ran.result.records == 600
        assert ran.result.shards == -(-(source.size or 0) // shard)
    numbers = run(program(NUMBERED), [source], "pcap", JobOptions(shard_bytes=5000)).output
    assert [int.from_bytes(numbers[at : at + 8], "little") for at in range(8, len(numbers), 16)] == list(range(600))


def test_a_job_tells_of_a_capture_that_is_cut_off(tmp_path: Path) -> None:
    source = write(tmp_path / "data", capture([60] * 10)[:-1])
    told: list[JobEvent] = []
    result = run_job(counting(), [source], parse_records("pcap"), out=bytearray().extend, listener=told.append)
    assert result.records == 9
    assert any(isinstance(event, Trouble) for event in told)


# extents


def runs_and_noise(seed: int) -> bytes:
    random, out = Random(seed), bytearray()
    for _ in range(6):
        out += random.randbytes(random.randrange(1, 400_000)) + bytes([random.randrange(3)]) * random.randrange(900_000)
    return bytes(out)


@pytest.mark.parametrize("seed", range(3))
def test_extents_are_those_of_a_pool(tmp_path: Path, seed: int) -> None:
    data = runs_and_noise(seed)
    found = list(extents(Bytes(data)))
    assert found == list(merged(data))
    pool = Pool.create(os.fspath(tmp_path / "pool"))
    source = Bytes(data)
    root = ingest(pool, source.read_into).root
    assert list(extents(PoolFile(pool, root, "data"))) == found


def merged(data: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    for length in cut(data, MEAN, True):
        yield at, at + abs(length)
        at += abs(length)


def test_a_long_run_comes_in_pieces() -> None:
    data = b"x" + bytes(2 * EXTENT_MAX + 5) + b"yz"
    found = list(extents(Bytes(data)))
    edges = [0, 1, 1 + EXTENT_MAX, 1 + 2 * EXTENT_MAX, 1 + 2 * EXTENT_MAX + 5, len(data)]
    assert found == list(pairwise(edges))
    assert list(extents(Bytes(b""))) == []


# shards


@pytest.mark.parametrize("framing", ["line", "packet", "fixed:999", "extent"])
@pytest.mark.parametrize("most", [1, 7, 64])
def test_batches_cover_every_file(framing: str, most: int) -> None:
    sources = [Bytes(bytes(size)) for size in (0, 1, 5000, 100_000)]
    batches = list(plan(sources, parse_records(framing), 1000, most, lambda event: None))  # noqa: ARG005
    shard = 0
    for batch in batches:
        assert batch.shard == shard
        assert 1 <= batch.count <= most
        assert batch.edges(batch.count - 1)[1] == batch.stop
        shard += batch.count
    assert shard == 1 + 5 + 100
    for file, source in enumerate(sources):
        own = [batch for batch in batches if batch.file == file]
        assert [batch.start for batch in own[1:]] == [batch.stop for batch in own[:-1]]
        assert sum(batch.stop - batch.start for batch in own) == len(source.data)


def test_slots_come_round_and_no_batch_lies_across_the_end() -> None:
    source = Bytes(bytes(100 << 20))
    batches = list(plan([source], parse_records("line"), 512, 64, lambda event: None))  # noqa: ARG005
    assert sum(batch.count for batch in batches) == 204_800
    assert all(0 < batch.slot <= VMS_MAX + 1 - batch.count for batch in batches)
    assert [batch.slot for batch in batches if not batch.shard % VMS_MAX] == [1, 1, 1, 1]


def test_batches_grow_in_each_file() -> None:
    sources = [Bytes(bytes(700_000)), Bytes(bytes(130_000))]
    batches = plan(sources, parse_records("line"), 1000, 256, lambda event: None)  # noqa: ARG005
    assert [(batch.file, batch.count) for batch in batches] == [
        *((0, count) for count in (64, 64, 128, 256, 188)),
        *((1, count) for count in (64, 64, 2)),
    ]


def test_first_records_of_shards() -> None:
    batch = Batch(0, 0, range(5000, 7500, 1000), 7500)
    positions, stops, bases = first_records(batch, parse_records("fixed:300"))
    assert list(positions) == [5100, 6000, 7200]
    assert list(stops) == [6000, 7000, 7500]
    assert list(bases) == [17, 20, 24]
    positions, stops, bases = first_records(batch, parse_records("fixed:1000"))
    assert (list(positions), list(bases)) == ([5000, 6000, 7000], [5, 6, 7])
    assert list(first_records(batch, parse_records("line"))[2]) == [BASE_UNKNOWN] * 3


def test_a_file_keeps_the_size_it_had(tmp_path: Path) -> None:
    source = write(tmp_path / "data", b"abc\n")
    with (tmp_path / "data").open("ab") as file:
        file.write(b"def\n")
    assert bytes(source.read(0, 100)) == b"abc\n"
    assert isinstance(source, HostFile)
    assert source.origin().size == 4


# lines


@pytest.mark.parametrize("size", [1, 40, 300, 65_536])
@pytest.mark.parametrize("shard", [512, 700, 1 << 20])
def test_lines_are_seen_once_and_whole(tmp_path: Path, size: int, shard: int) -> None:
    """Each record has the lines that begin within `size` bytes of it and within its shard, whatever the windows are."""
    data = text_of(60_000) + b"\n" + b"x" * 40_000 + b"\n\n\nlast"
    starts = list(accumulate(map(len, lines_of(data)), initial=0))
    wanted, begun = list[int](), -1
    for at in starts[:-1]:
        if begun < 0 or at - begun >= size or at // shard != begun // shard:
            wanted.append(at)
            begun = at
    source = write(tmp_path / "data", data)
    for options in (JobOptions(shard_bytes=shard), JobOptions(shard_bytes=shard, slice_slots=3, workers=3)):
        ran = run(program(WHERE), [source], f"lines:{size}", options)
        assert [int.from_bytes(ran.output[at : at + 8], "little") for at in range(0, len(ran.output), 8)] == wanted
        assert ran.result.records == len(wanted)


WHERE = """
    ldxdw r2, [r1+24]
    ldxdw r3, [r1+32]
    stxdw [r10-8], r3
    mov r1, r10
    add r1, -8
    mov r2, 8
    call emit
    mov r0, 2
    exit
"""
"""Emits where each record begins; that it asks for its number stops nothing."""
