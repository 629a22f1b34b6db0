"""A run on another machine: the same result as here, few bytes on the way, and peers on both sides that lie."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from packetfs.engines.input.records import parse_records
from packetfs.engines.input.source import HostFile
from packetfs.engines.jobs.job import run_job
from packetfs.engines.options import ENGINES, JobOptions
from packetfs.engines.remote.node import NodeJob, collect, request_of, run_on_node
from packetfs.engines.remote.serve import Opened, answer_run, options_of, watched
from packetfs.engines.results import tables
from packetfs.engines.results.result import JobEvent, RunResult, Traced
from packetfs.errors import (
    BadMessage,
    BadPacket,
    BadProgram,
    FarSideFailed,
    IllegalInstruction,
    MapTooLarge,
    UsageError,
)
from packetfs.events import Trouble
from packetfs.limits import FAULTS_MAX
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.stream import PipeStream
from packetfs.net.wire.messages import Done, Failed, Faulted, Mapped, Message, Output, Ran, Ready, Run, Told
from packetfs.packet.digest import NO_DIGEST
from packetfs.packet.layout import Buffer
from packetfs.vm.assembly import assemble
from packetfs.vm.layout import MapFlag, MapType, Reducer
from packetfs.vm.padding import pad
from packetfs.vm.program import MapDefinition, Program, encode_program

SHELL = Path(__file__).resolve().parents[1] / "net" / "shell.py"
COUNTS = MapDefinition(b"counts", MapType.ARRAY, 4, 8, 4, reducer=Reducer.SUM)
WORDS = MapDefinition(b"words", MapType.HASH, 4, 8, 2)
FIXED = MapDefinition(b"fixed", MapType.ARRAY, 4, 8, 1, flags=int(MapFlag.READ_ONLY))
RING = MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096)
RAN = Ran(10, 100, 1, 50, 0, 2, 0, b"native", (0, 0, 10, 0, 0, 0), (1000, 900), 0, (), (), b"")


def program(text: str, *maps: MapDefinition) -> Program:
    return Program(pad(assemble(text)), maps)


COUNT = program(
    """
    lddw r6, value 0 + 0
    mov r7, 1
    lock add [r6+0], r7
    mov r0, 2
    exit
    """,
    COUNTS,
)
SELECT = program(
    """
    mov r6, r1
    ldxdw r1, [r6+0]
    ldxb r3, [r1+0]
    jne r3, 33, out
    call 4096
    out:
    mov r0, 2
    exit
    """
)
"""Emits records that begin with an exclamation mark."""


class Heard:
    """What came out of a run."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.events: list[JobEvent] = []

    def out(self, data: Buffer) -> None:
        self.output += data

    def listen(self, event: JobEvent) -> None:
        self.events.append(event)


@pytest.fixture
def heard() -> Heard:
    return Heard()


# both sides, over a real carrier


def there(tmp_path: Path, what: Program, records: str, *files: Path | str, **options: object) -> NodeJob:
    return NodeJob(  # noqa: S604 (a field is called shell)
        "far",
        what,
        records,
        tuple(os.fsencode(file) for file in files),
        options=JobOptions(**options),  # type: ignore[arg-type]
        shell=(
            sys.executable,
            str(SHELL),
            str(tmp_path / "far"),
        ),
        far_command=f"{sys.executable} -m packetfs",
    )


def here(what: Program, records: str, *files: Path, **options: object) -> tuple[RunResult, bytes]:
    out = bytearray()
    sources = [HostFile(str(file)) for file in files]
    made = JobOptions(**options)  # type: ignore[arg-type]
    result = run_job(what, sources, parse_records(records), out=out.extend, options=made)
    return result, bytes(out)


def same(far: RunResult, near: RunResult) -> None:
    """Compare all that does not depend on the moment."""
    skip = {"seconds": 0.0, "timings": (), "maps": (), "ran": (), "why": ""}
    assert replace(far, **skip) == replace(near, **skip)  # type: ignore[arg-type]
    assert [(found.definition, found.entries) for found in far.maps] == [
        (found.definition, found.entries) for found in near.maps if not found.definition.flags & MapFlag.READ_ONLY
    ]


@pytest.mark.parametrize("engine", ["native", "cpu"])
def test_what_a_run_tells_of_itself_comes_back(tmp_path: Path, heard: Heard, engine: str) -> None:
    (tmp_path / "data").write_bytes(bytes(64) * 1000)
    far, _ = run_on_node(there(tmp_path, COUNT, "packet", tmp_path / "data", engine=engine), heard.out, heard.listen)
    near, _ = here(COUNT, "packet", tmp_path / "data", engine=engine)
    assert (far.ran, far.why, far.engine) == (near.ran, near.why, near.engine)
    assert dict(far.ran) == ({"compiled": 1000, "interpreted": 0} if engine == "cpu" else {})


def test_one_percent_selected_moves_less_than_two_percent(tmp_path: Path, heard: Heard) -> None:
    file = tmp_path / "log"
    lines = [b"%c%s\n" % (33 if i % 100 == 0 else 46, random.randbytes(60).hex().encode()) for i in range(30_000)]
    file.write_bytes(b"".join(lines))
    result, moved = run_on_node(there(tmp_path, SELECT, "line", file), heard.out, heard.listen)
    assert bytes(heard.output) == b"".join(line for line in lines if line[:1] == b"!")
    assert moved <= file.stat().st_size * 0.02
    same(result, here(SELECT, "line", file)[0])


def test_maps_faults_and_counts_are_those_of_a_run_here(tmp_path: Path, heard: Heard) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(bytes(64) * 5000)
    two.write_bytes((bytes(63) + b"\1") * 3000 + bytes(10))
    options = {"shard_bytes": 64 * 1024, "engine": "interpreter"}
    wild = program(
        "ldxdw r2, [r1+0]\nldxb r3, [r2+63]\nmov r0, 1\nlddw r4, value 0 + 0\nlock add [r4+8], r0\nexit", COUNTS
    )
    for what in (COUNT, wild):
        result, _ = run_on_node(there(tmp_path, what, "packet", one, two, **options), heard.out, heard.listen)
        same(result, here(what, "packet", one, two, **options)[0])
    assert result.faulted == 1
    assert result.faults[0].file == str(two)


@pytest.mark.parametrize(
    ("files", "records", "words"),
    [
        (("/nowhere/x",), "line", "no such file"),
        (("-",), "line", "files that lie there"),
        ((), "line", "files that lie there"),
        (("/dev/zero",), "line", "not pipes"),
        (("a\0b",), "line", "files that lie there"),
        (("/etc/passwd",), "fixed:0", "a record has"),
        (("/etc/passwd",), "pages", "records are"),
    ],
)
def test_what_the_far_side_cannot_do_it_says(
    tmp_path: Path, heard: Heard, files: tuple[str, ...], records: str, words: str
) -> None:
    with pytest.raises(FarSideFailed) as caught:
        run_on_node(there(tmp_path, COUNT, records, *files), heard.out, heard.listen)
    assert words in caught.value.message


def test_the_far_side_ends_when_the_near_side_goes_away(tmp_path: Path) -> None:
    """A program that never ends, told nothing: only the closed connection can end it."""
    file = tmp_path / "zeros"
    with file.open("wb") as made:
        made.truncate(1 << 30)
    endless = program("again: ja again")
    request = request_of(there(tmp_path, endless, "packet", file, fuel=1 << 56))
    far = subprocess.Popen(
        [sys.executable, "-m", "packetfs", "serve", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert far.stdin is not None
    assert far.stdout is not None
    FrameChannel(PipeStream(far.stdout.fileno(), far.stdin.fileno()), "far").send(request)
    with pytest.raises(subprocess.TimeoutExpired):
        far.wait(1)
    far.stdin.close()
    assert far.wait(60) == 20
    far.stdout.close()


# a far side that lies


@pytest.fixture
def channel() -> Iterator[FrameChannel]:
    """A channel that reads what was said into it."""
    file = os.memfd_create("said")
    yield FrameChannel(PipeStream(file, file), "far")
    os.close(file)


def say(channel: FrameChannel, *messages: Message) -> FrameChannel:
    for message in messages:
        channel.send(message)
    os.lseek(channel._stream._reading, 0, os.SEEK_SET)  # type: ignore[attr-defined]
    return channel


def of_maps(*maps: MapDefinition) -> Program:
    return program("mov r0, 0\nexit", *maps)


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def test_an_honest_far_side_is_heard(channel: FrameChannel, heard: Heard) -> None:
    entries = ((key(0), bytes(8)), (key(3), b"\1" * 8))
    fault = Faulted(1, 2, b"f", 4096, 3, 1, 7, 0x10, b"exit")
    messages = (Output(b"out"), Told(b"f", 1, b"text"), Told(b"f", 0, b"cut off"), fault, Mapped(0, entries))
    result = collect(of_maps(COUNTS, RING), heard.out, heard.listen, say(channel, *messages, replace(RAN, faulted=1)))
    assert heard.output == b"out"
    assert heard.events == [Traced("f", 1, "text"), Trouble(b"f", "cut off")]
    assert [(found.definition, found.entries) for found in result.maps] == [(COUNTS, entries)]
    assert (result.faults[0].packet, result.faults[0].slot) == (2, 1)
    assert (result.records, result.verdicts, result.seconds) == (10, (0, 0, 10, 0, 0, 0), 0.0009)


@pytest.mark.parametrize(
    "messages",
    [
        (Ready(0),),
        (Mapped(9, ()),),
        (Mapped(0, ((b"", bytes(8)),)),),
        (Mapped(0, ((key(0), bytes(9)),)),),
        (Mapped(0, ((key(4), bytes(8)),)),),
        (Mapped(0, ((key(0), bytes(8)), (key(0), bytes(8)))),),
        (Mapped(1, ((key(7), bytes(8)),)), Mapped(1, ((key(7), bytes(8)),))),
        (Mapped(2, ((key(0), bytes(8)),)),),
        (Mapped(3, ((b"", b""),)),),
        (Faulted(0, 1, b"f", 0, 0, 0, 0, 0, b""),),
        (Faulted(0, 1, b"f", 0, 0, 99, 0, 0, b""),),
        (Faulted(0, 1, b"f", 0, 0, 1, 0, 0, b""), RAN),
        (Faulted(0, 1, b"f", 0, 0, 1, 0, 0, b""),) * (FAULTS_MAX + 1),
        (replace(RAN, verdicts=(1,)),),
        (replace(RAN, timings=()),),
        (replace(RAN, engine=b"\x1b[2J"),),
        (replace(RAN, remembered=2),),
        (replace(RAN, why=b"x" * 1001),),
        (replace(RAN, ways=(b"\x1b[2J",), ran=(1,)),),
        (replace(RAN, ways=(b"lanes",), ran=()),),
        (replace(RAN, ways=(b"lanes", b"lanes"), ran=(1, 2)),),
        (Run(b"", 1, b"", b"", b"", b"", (), ()),),
        (Done(NO_DIGEST, (), (), b""),),
    ],
)
def test_a_far_side_that_lies_is_refused(channel: FrameChannel, heard: Heard, messages: tuple[Message, ...]) -> None:
    with pytest.raises(BadMessage):
        collect(of_maps(COUNTS, WORDS, FIXED, RING), heard.out, heard.listen, say(channel, *messages))


def test_keys_of_all_shards_may_be_more_than_one_table_holds(
    channel: FrameChannel, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = tuple((key(number), bytes(8)) for number in range(7))
    result = collect(of_maps(WORDS), heard.out, heard.listen, say(channel, Mapped(0, entries), RAN))
    assert result.maps[0].entries == entries
    monkeypatch.setattr(tables, "UNION_ENTRIES_MAX", 6)
    with pytest.raises(MapTooLarge, match="words"):
        collect(of_maps(WORDS), heard.out, heard.listen, say(channel, Mapped(0, entries), RAN))


def test_a_far_side_that_fails_says_why(channel: FrameChannel, heard: Heard) -> None:
    with pytest.raises(FarSideFailed, match="no room") as caught:
        collect(of_maps(), heard.out, heard.listen, say(channel, Output(b"x"), Failed(12, b"no room", b"")))
    assert caught.value.exit_code == 12


# a near side that lies


def request(tmp_path: Path, **changes: object) -> Run:
    return replace(request_of(there(tmp_path, COUNT, "packet", "/dev/null")), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "limits",
    [
        (),
        (0, 0, 0, 1, 0, 4096),
        (len(ENGINES), 0, 0, 1, 0, 4096, 1, 1),
        (0, 65_536, 0, 1, 0, 4096, 1, 1),
        (0, 0, 1 << 40, 1, 0, 4096, 1, 1),
        (0, 0, 0, 0, 0, 4096, 1, 1),
        (0, 0, 0, 1 << 57, 0, 4096, 1, 1),
        (0, 0, 0, 1, 0, 0, 1, 1),
        (0, 0, 0, 1, 0, 1 << 50, 1, 1),
        (0, 0, 0, 1, 0, 4096, 0, 1),
        (0, 0, 0, 1, 0, 4096, 1 << 60, 1),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: tuple[int, ...]) -> None:
    with pytest.raises(BadMessage):
        options_of(limits, "/nowhere")


def test_workers_are_at_most_the_cores() -> None:
    assert options_of((0, 0, 1000, 1, 0, 4096, 1, 1), "/nowhere").workers == os.cpu_count()
    assert options_of((0, 0, 0, 1, 0, 4096, 1, 1), "/nowhere").workers is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"program": b""}, BadProgram),
        ({"program": bytes(128)}, (BadProgram, BadPacket)),
        ({"program": encode_program(COUNT)[:-1]}, BadProgram),
        ({"program": encode_program(program("ja -1"))}, None),
        ({"records": b"\xff"}, BadMessage),
        ({"records": b"fixed:999999999"}, UsageError),
        ({"limits": (9,) * 8}, BadMessage),
        ({"program": encode_program(Program(b"\xff" * 8))}, IllegalInstruction),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    tmp_path: Path, changes: dict[str, object], error: type[Exception] | None
) -> None:
    reading, writing = os.pipe()
    try:
        channel = FrameChannel(PipeStream(reading, writing), "near")
        with nullcontext() if error is None else pytest.raises(error):
            answer_run(channel, request(tmp_path, **changes), lambda _: nullcontext(Opened([])), str(tmp_path))
    finally:
        os.close(reading)
        os.close(writing)


def test_a_near_side_that_goes_away_interrupts_the_run() -> None:
    reading, writing = os.pipe()
    channel, called = FrameChannel(PipeStream(reading, writing), "near"), threading.Event()
    with watched(channel, called.set):
        os.close(writing)
        assert called.wait(60)
    os.close(reading)


def test_a_near_side_that_waits_interrupts_nothing() -> None:
    reading, writing = os.pipe()
    called: list[None] = []
    with watched(FrameChannel(PipeStream(reading, writing), "near"), lambda: called.append(None)):
        pass
    assert not called
    os.close(reading)
    os.close(writing)
