"""Pipes that stay open: what is complete is run while they are quiet, and nothing waits for what it does not need."""

from __future__ import annotations

import os
import threading
from queue import Queue
from random import Random

import pytest

from packetfs.engines.input import pipe
from packetfs.engines.input.pipe import Pipe
from packetfs.engines.input.records import parse_records
from packetfs.engines.input.source import HostFile, is_made_up
from packetfs.engines.jobs.job import drop, run_job
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import RunResult
from packetfs.limits import WINDOW_TAIL
from packetfs.packet.layout import Buffer
from tests.engines.rig import counting, program

EMIT = program("""
    ldxdw r2, [r1+8]
    ldxdw r1, [r1+0]
    sub r2, r1
    call 4096
    mov r0, 2
    exit
""")
SECONDS = 60
"""How long a test waits for what must come at once; more than a loaded machine needs."""


class Open:
    """A job over a pipe that the test writes to."""

    def __init__(self, records: str, **options: int | str) -> None:
        reading, self._writing = os.pipe()
        self._got: Queue[bytes] = Queue()
        self.results: list[RunResult] = []
        framing = parse_records(records)
        made = JobOptions(**options)  # type: ignore[arg-type]

        def work() -> None:
            source = Pipe(reading, records=framing)
            self.results.append(run_job(EMIT, [source], framing, out=self._take, options=made))

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def _take(self, data: Buffer) -> None:
        self._got.put(bytes(data))

    def write(self, data: bytes) -> None:
        os.write(self._writing, data)

    def read(self, size: int) -> bytes:
        """Return the next output, of exactly `size` bytes."""
        data = b""
        while len(data) < size:
            data += self._got.get(timeout=SECONDS)
        assert len(data) == size
        return data

    def end(self) -> tuple[RunResult, bytes]:
        os.close(self._writing)
        self._thread.join(SECONDS)
        rest = b"".join(self._got.get() for _ in range(self._got.qsize()))
        return self.results[0], rest


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "FLOW_SECONDS", 0.02)
    monkeypatch.setattr(pipe, "LOOK_MS", 5)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("engine", ["interpreter", "auto"])
def test_lines_come_out_while_the_pipe_is_open(engine: str, workers: int) -> None:
    job = Open("line", engine=engine, workers=workers)
    for number in range(5):
        line = b"line %d\n" % number
        job.write(line + b"the next, not")
        assert job.read(len(line)) == line
        job.write(b" yet\n")
        assert job.read(18) == b"the next, not yet\n"
    job.write(b"no newline")
    result, rest = job.end()
    assert rest == b"no newline"
    assert (result.records, result.faulted) == (11, 0)


def test_records_of_a_fixed_size_flow_too() -> None:
    job = Open("fixed:10", workers=1)
    job.write(b"0123456789abcdefghijXYZ")
    assert job.read(20) == b"0123456789abcdefghij"
    job.write(b"-------")
    assert job.read(10) == b"XYZ-------"
    assert job.end()[0].records == 3


@pytest.mark.parametrize("shard", [4096, 64 * 1024])
def test_a_line_across_a_shard_does_not_hold_up_those_before_it(shard: int) -> None:
    job = Open("line", shard_bytes=shard, workers=2)
    whole = b"%063d\n" % 7 * (3 * shard // 64) + b"short\n"
    job.write(whole[:40_000])
    for at in range(40_000, len(whole), 40_000):
        job.write(whole[at : at + 40_000])
    job.write(b"open")
    assert job.read(len(whole)) == whole
    result, rest = job.end()
    assert (rest, result.bytes) == (b"open", len(whole) + 4)


def test_a_line_longer_than_all_that_is_looked_at_comes_out_whole() -> None:
    job = Open("line", shard_bytes=4096)
    line = b"x" * (5 * WINDOW_TAIL) + b"\n"
    for at in range(0, len(line), 30_000):
        job.write(line[at : at + 30_000])
    assert job.read(len(line)) == line
    assert job.end()[0].records == 1


def test_however_the_bytes_come_the_result_is_that_of_the_file(tmp_path: os.PathLike[str]) -> None:
    draw = Random(3)
    lines = [b"x" * draw.choice((0, 5, 70, 3000)) + b"\n" for _ in range(3000)]
    data = b"".join(lines)
    path = os.path.join(tmp_path, "data")
    with open(path, "wb") as file:
        file.write(data)
    framing, kept = parse_records("line"), JobOptions(shard_bytes=4096)
    wanted = run_job(counting(), [HostFile(path)], framing, out=drop, options=kept)
    reading, writing = os.pipe()

    def fill() -> None:
        at = 0
        with os.fdopen(writing, "wb", buffering=0) as file:
            while at < len(data):
                at += file.write(data[at : at + draw.randrange(1, 20_000)])

    threading.Thread(target=fill, daemon=True).start()
    result = run_job(counting(), [Pipe(reading, records=framing)], framing, out=drop, options=kept)
    assert (result.records, result.bytes, result.maps) == (wanted.records, wanted.bytes, wanted.maps)


def test_what_was_read_is_given_up_however_long_the_pipe_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that would keep all would have no room for more in the end."""
    monkeypatch.setattr(pipe, "CHUNK", 4096)
    reading, writing = os.pipe()
    framing, source = parse_records("line"), Pipe(reading, records=parse_records("line"))
    got: Queue[int] = Queue()
    thread = threading.Thread(
        target=run_job,
        args=(EMIT, [source], framing),
        kwargs={"out": lambda data: got.put(len(data)), "options": JobOptions(workers=1)},
    )
    thread.start()
    for _ in range(20):
        os.write(writing, b"%09999d\n" % 1)
        left = 10_000
        while left:
            left -= got.get(timeout=SECONDS)
    os.close(writing)
    thread.join(SECONDS)
    assert source.held < 60_000


def test_files_that_are_made_while_they_are_read(tmp_path: os.PathLike[str]) -> None:
    plain, empty = os.path.join(tmp_path, "plain"), os.path.join(tmp_path, "empty")
    for path, content in ((plain, b"x" * 5000), (empty, b"")):
        with open(path, "wb") as file:
            file.write(content)
    told = {path: is_made_up(os.fsencode(path)) for path in (plain, empty, "/proc/self/status", os.fspath(tmp_path))}
    assert list(told.values()) == [False, False, True, False]
    assert not is_made_up(os.fsencode(os.path.join(tmp_path, "nothing")))
    with open("/proc/self/mounts", "rb") as file:
        mounts = file.read()
    if b"sysfs" in mounts:
        assert is_made_up(b"/sys/kernel/mm/transparent_hugepage/enabled") or not os.path.exists("/sys/kernel/mm")
