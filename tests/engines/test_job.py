"""Jobs: whatever the shards, the live microVMs, the engine and the kind of source, the bytes are those that Python
works out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import packetfs.threading
from packetfs.engines.input.pipe import Pipe
from packetfs.engines.input.records import parse_records
from packetfs.engines.input.source import HostFile, PoolFile
from packetfs.engines.jobs.job import run_job
from packetfs.engines.options import JobOptions
from packetfs.engines.results.result import JobEvent, Traced
from packetfs.errors import JobCancelled, SourceChanged, SourceUnavailable, UsageError
from packetfs.fs.streams.ingest import ingest
from packetfs.limits import SLOTS_A_CALL
from packetfs.packet.layout import Buffer
from packetfs.pool.pool import Pool
from packetfs.vm.layout import Fault, Reducer
from tests.engines.rig import (
    ENGINES,
    NUMBERED,
    SLOW,
    Ran,
    counting,
    fixed_of,
    hashed,
    lines_of,
    program,
    run,
    text_of,
    write,
)

DATA = text_of(300_000)


def piped(data: bytes) -> Pipe:
    """A pipe that another thread fills in uneven pieces."""
    reading, writing = os.pipe()

    def fill() -> None:
        random, at = Random(1), 0
        with os.fdopen(writing, "wb") as file:
            while at < len(data):
                size = random.randrange(1, 100_000)
                file.write(data[at : at + size])
                at += size

    threading.Thread(target=fill, daemon=True).start()
    return Pipe(reading)


def expected(records: list[bytes]) -> tuple[bytes, dict[bytes, int], int]:
    output = b"".join(record for record in records if record and not record[0] & 3)
    counts = Counter(record[0] for record in records if record)
    return output, {key.to_bytes(4, "little"): count for key, count in counts.items()}, len(records)


def assert_counted(ran: Ran, records: list[bytes]) -> None:
    output, counts, number = expected(records)
    assert ran.output == output
    assert ran.result.records == number
    assert {key: int.from_bytes(value, "little") for key, value in ran.result.maps[0].entries} == counts
    assert sum(ran.result.verdicts) == number
    assert not ran.result.faults


FRAMINGS = ("line", "packet", "fixed:100", "fixed:5000")


def split(framing: str, data: bytes) -> list[bytes]:
    return lines_of(data) if framing == "line" else fixed_of(data, parse_records(framing).size)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("shard", [512, 4096, 1 << 20])
def test_records_across_shards_are_seen_once(tmp_path: Path, framing: str, shard: int) -> None:
    ran = run(counting(), [write(tmp_path / "data", DATA)], framing, JobOptions(shard_bytes=shard))
    assert_counted(ran, split(framing, DATA))
    assert ran.result.shards == -(-len(DATA) // shard)
    assert ran.result.bytes == len(DATA)


@pytest.mark.parametrize("vms", [1, 2, 7, 65_535])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_number_of_live_microvms_changes_nothing(tmp_path: Path, vms: int, engine: str) -> None:
    data = DATA[:60_000]
    source = write(tmp_path / "data", data)
    options = JobOptions(engine=engine, vms=vms, shard_bytes=1024, slice_slots=vms % 500 + 40, workers=2)
    assert_counted(run(counting(), [source], "line", options), lines_of(data))


def test_two_engines_give_one_result(tmp_path: Path) -> None:
    data = DATA[:30_000]
    source = write(tmp_path / "data", data)
    for code in (counting(), hashed(), program(SLOW), program(NUMBERED)):
        ran = [run(code, [source], "line", JobOptions(engine=engine, shard_bytes=2048)) for engine in ENGINES]
        assert ran[0] == ran[1]


def test_pool_files_host_files_and_pipes_are_alike(tmp_path: Path) -> None:
    data = DATA + bytes(200_000) + DATA[::-1]
    pool = Pool.create(os.fspath(tmp_path / "pool"))
    root = ingest(pool, lambda at, room: _read_into(data, at, room)).root
    for framing in (*FRAMINGS, "extent"):
        options = JobOptions(shard_bytes=65_536)
        on_host = run(counting(), [write(tmp_path / "data", data)], framing, options)
        in_pool = run(counting(), [PoolFile(pool, root, "data")], framing, options)
        in_pipe = run(counting(), [piped(data)], framing, options)
        assert on_host == in_pipe
        assert in_pool.shardless == on_host.shardless
        assert in_pool.output == on_host.output
        assert on_host.result.bytes == len(data)


def _read_into(data: bytes, at: int, room: memoryview) -> int:
    part = data[at : at + len(room)]
    room[: len(part)] = part
    return len(part)


def test_files_follow_each_other(tmp_path: Path) -> None:
    parts = [DATA[:5000], b"", DATA[5000:5001], b"\n", DATA[6000:90_000]]
    sources = [write(tmp_path / str(i), part) for i, part in enumerate(parts)]
    ran = run(counting(), sources, "line", JobOptions(shard_bytes=4096))
    assert_counted(ran, [line for part in parts for line in lines_of(part)])


def test_threads_that_cannot_begin_are_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun = packetfs.threading.Thread.start, list[object]()

    def start_one(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(packetfs.threading.Thread, "start", start_one)
    source = write(tmp_path / "data", DATA)
    assert_counted(run(counting(), [source], "line", JobOptions(shard_bytes=4096, workers=3)), lines_of(DATA))
    assert len(begun) == 1


def test_numbers_of_records_are_counted_when_they_are_asked_for(tmp_path: Path) -> None:
    lines = lines_of(DATA)
    numbers, at = bytearray(), 0
    for number, line in enumerate(lines):
        numbers += at.to_bytes(8, "little") + number.to_bytes(8, "little")
        at += len(line)
    for source in (write(tmp_path / "data", DATA), piped(DATA)):
        for shard in (512, 70_000) if source.size else (4096,):
            ran = run(program(NUMBERED), [source], "line", JobOptions(shard_bytes=shard, slice_slots=50))
            assert ran.output == numbers


def test_fixed_records_know_their_number(tmp_path: Path) -> None:
    source = write(tmp_path / "data", DATA)
    numbers = b"".join(
        (at).to_bytes(8, "little") + (at // 100).to_bytes(8, "little") for at in range(0, len(DATA), 100)
    )
    assert run(program(NUMBERED), [source], "fixed:100", JobOptions(shard_bytes=777)).output == numbers


def test_a_line_longer_than_any_window(tmp_path: Path) -> None:
    data = b"a\n" + b"b" * 5_000_000 + b"\nc\n" + b"d" * 3_000_000
    source = write(tmp_path / "data", data)
    for shard in (65_536, 1 << 20, 1 << 23):
        ran = run(counting(), [source], "line", JobOptions(shard_bytes=shard))
        assert_counted(ran, lines_of(data))


def test_one_shard_larger_than_the_window_is_paused_and_goes_on(tmp_path: Path) -> None:
    data = DATA * 12
    source = write(tmp_path / "data", data)
    options = JobOptions(shard_bytes=1 << 30, slice_slots=10_000)
    assert_counted(run(counting(), [source], "line", options), lines_of(data))


@pytest.mark.parametrize("reducer", [Reducer.SUM, Reducer.MIN, Reducer.MAX, Reducer.LAST, Reducer.FIRST])
def test_hash_maps_are_reduced_in_shard_order(tmp_path: Path, reducer: Reducer) -> None:
    source = write(tmp_path / "data", DATA)
    shard, held = 10_000, dict[int, list[dict[int, int]]]()
    shards: list[dict[int, int]] = [{} for _ in range(-(-len(DATA) // shard))]
    at = 0
    for line in lines_of(DATA):
        shards[at // shard][line[0] & 15] = len(line)
        at += len(line)
    del held
    wanted: dict[int, int] = {}
    for found in shards:
        for key, length in found.items():
            before = wanted.get(key, length)
            values = {
                Reducer.SUM: wanted.get(key, 0) + length,
                Reducer.MIN: min(before, length),
                Reducer.MAX: max(before, length),
                Reducer.LAST: length,
                Reducer.FIRST: before,
            }
            wanted[key] = values[reducer]
    ran = run(hashed(reducer), [source], "line", JobOptions(shard_bytes=shard))
    got = {key[0]: int.from_bytes(value, "little") for key, value in ran.result.maps[0].entries}
    assert got == wanted


@settings(max_examples=25)
@given(data=st.binary(max_size=4000), shard=st.integers(512, 2000), slots=st.integers(1, 300), vms=st.integers(1, 9))
def test_any_lines_any_slices(tmp_path: Path, data: bytes, shard: int, slots: int, vms: int) -> None:
    source = write(tmp_path / "data", data)
    for framing in ("line", "fixed:7"):
        options = JobOptions(shard_bytes=shard, slice_slots=slots, vms=vms)
        assert_counted(run(counting(), [source], framing, options), split(framing, data))
    source.close()


def test_a_long_microvm_does_not_hold_up_short_ones(tmp_path: Path) -> None:
    """The first shard is one long record; the others end while it is paused, and their output waits for it."""
    data = b"x" * 60_000 + b"\n" + b"y\n" * 30_000
    source = write(tmp_path / "data", data)
    whole = run(program(SLOW), [source], "line", JobOptions(shard_bytes=1 << 20))
    parts = run(program(SLOW), [source], "line", JobOptions(shard_bytes=1024, slice_slots=1000, vms=60))
    assert whole.output == parts.output
    assert whole.shardless == parts.shardless


# what can go wrong


def test_an_endless_loop_ends_its_microvm_and_no_other(tmp_path: Path) -> None:
    text = "ldxdw r6, [r1+0]\nldxb r2, [r6+0]\nloop:\njeq r2, 33, loop\nmov r0, 2\nexit"
    data = bytearray(b"." * 64 * 64)
    data[64 * 37] = 33
    source = write(tmp_path / "data", bytes(data))
    for engine in ENGINES:
        options = JobOptions(engine=engine, shard_bytes=512, fuel=1000)
        ran = run(program(text), [source], "packet", options)
        (fault,) = ran.result.faults
        assert (fault.fault, fault.shard, fault.vm, fault.records) == (Fault.FUEL, 37 // 8, 1 + 37 // 8, 37 % 8)
        assert (fault.record_start, fault.pc, fault.packet, fault.slot) == (64 * 37, 2, 1, 2)
        assert fault.instruction.startswith("jeq")
        assert "fuel" in str(fault)
        assert ran.result.records == 64 - 3
        assert ran.result.faulted == 1


def test_faults_are_named_in_order_and_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "data", bytes(64 * 100))
    ran = run(program("mov r1, 0\nldxdw r0, [r1+0]\nexit"), [source], "packet", JobOptions(shard_bytes=640))
    assert [fault.shard for fault in ran.result.faults] == list(range(10))
    assert {fault.fault for fault in ran.result.faults} == {Fault.ADDRESS}
    assert ran.result.records == 0


def test_output_before_a_fault_stays(tmp_path: Path) -> None:
    text = "mov r6, r1\nldxdw r1, [r6+0]\nmov r2, 4\ncall 4096\nldxdw r1, [r6+0]\nldxb r2, [r1+0]\njeq r2, 49, bad\n"
    text += "mov r0, 2\nexit\nbad:\nldxb r0, [r10+1]\nexit"
    data = b"".join(b"%04d" % i for i in range(3000))
    source = write(tmp_path / "data", data)
    ran = run(program(text), [source], "fixed:4", JobOptions(shard_bytes=512))
    shards = [data[at : at + 512] for at in range(0, len(data), 512)]
    kept = [shard[: 4 + next((i for i in range(0, 512, 4) if shard[i : i + 1] == b"1"), 512)] for shard in shards]
    assert ran.output == b"".join(kept)


def test_a_file_that_becomes_shorter_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "data", bytes(5_000_000))
    os.truncate(tmp_path / "data", 1_500_000)
    with pytest.raises(SourceChanged, match="data"):
        run(counting(), [source], "packet")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="nowhere"):
        HostFile(os.fspath(tmp_path / "nowhere"))
    with pytest.raises(SourceUnavailable, match="it is a directory"):
        HostFile(os.fspath(tmp_path))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_output_that_fails_ends_the_job_and_leaves_nothing(tmp_path: Path, engine: str) -> None:
    def refuse(data: Buffer) -> None:
        raise BrokenPipeError(len(data))

    source, parent = write(tmp_path / "data", DATA), tmp_path / "jobs"
    options, before = JobOptions(engine=engine, parent=os.fspath(parent), shard_bytes=4096), set(threading.enumerate())
    with pytest.raises(BrokenPipeError):
        run_job(counting(), [source], parse_records("line"), out=refuse, options=options)
    assert list(parent.iterdir()) == []
    assert set(threading.enumerate()) <= before


def test_no_job_leaves_anything(tmp_path: Path) -> None:
    parent = tmp_path / "jobs"
    run(counting(), [write(tmp_path / "data", DATA)], "line", JobOptions(parent=os.fspath(parent)))
    assert list(parent.iterdir()) == []


def test_an_emission_longer_than_any_buffer(tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    text = "ldxdw r6, [r1+0]\nldxdw r2, [r1+8]\nsub r2, r6\nmov r1, r6\ncall 4096\nexit"
    source = write(tmp_path / "data", data)
    for framing in ("fixed:5000000", "extent", "packet"):
        assert run(program(text), [source], framing).output == data


def test_traces_are_told_in_order_of_each_microvm(tmp_path: Path) -> None:
    text = "lddw r1, 0x6425203a6120\nstxdw [r10-8], r1\nmov r3, r2\nmov r1, r10\nadd r1, -8\nmov r2, 7\ncall 6\nexit"
    told: list[JobEvent] = []
    source = write(tmp_path / "data", bytes(640))
    for engine in ENGINES:
        run_job(
            program(text), [source], parse_records("packet"), out=bytearray().extend, listener=told.append,
            options=JobOptions(engine=engine),
        )  # fmt: skip
    lines = [event for event in told if isinstance(event, Traced)]
    assert [line.text for line in lines] == [" a: 64"] * 20
    assert {line.vm for line in lines} == {1}


def test_an_empty_file_is_no_records(tmp_path: Path) -> None:
    ran = run(counting(), [write(tmp_path / "data", b"")], "line")
    assert (ran.result.records, ran.result.shards, ran.output) == (0, 0, b"")
    assert run(counting(), [], "line").result.records == 0


def test_repeats_are_timed_and_emit_once(tmp_path: Path) -> None:
    out, source = bytearray(), write(tmp_path / "data", DATA)
    result = run_job(counting(), [source], parse_records("line"), out=out.extend, options=JobOptions(repeat=3))
    assert len(result.timings) == 3
    assert 0 < result.best_ns <= result.median_ns
    assert out == expected(lines_of(DATA))[0]


def test_options_that_cannot_be(tmp_path: Path) -> None:
    source = write(tmp_path / "data", b"x")
    for options in (
        JobOptions(shard_bytes=1),
        JobOptions(vms=65_536),
        JobOptions(vms=0),
        JobOptions(workers=0),
        JobOptions(fuel=0),
        JobOptions(repeat=0),
        JobOptions(engine="magic"),
    ):
        with pytest.raises(UsageError):
            run(counting(), [source], "line", options)
    reading, writing = os.pipe()
    os.close(writing)
    for options in (JobOptions(repeat=2), JobOptions(shard_bytes=1 << 30)):
        with pytest.raises(UsageError, match="pipe"):
            run(counting(), [Pipe(reading)], "line", options)


def test_a_job_that_waits_for_a_pipe_can_be_ended(tmp_path: Path) -> None:
    from packetfs.engines.jobs.steering import control, list_jobs
    from packetfs.engines.live.ledger import Control

    reading, writing = os.pipe()
    ended: list[BaseException] = []
    options, before = JobOptions(parent=os.fspath(tmp_path)), set(threading.enumerate())

    def work() -> None:
        try:
            run(counting(), [Pipe(reading)], "line", options)
        except JobCancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not list_jobs(os.fspath(tmp_path)):
        pass
    control(list_jobs(os.fspath(tmp_path))[0].directory, Control.CANCEL)
    thread.join(60)
    os.close(writing)
    assert ended
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) <= before


# mapped files


@pytest.mark.parametrize("left", [0, 5000, 70_000])
def test_a_file_that_is_cut_while_it_is_looked_at(tmp_path: Path, left: int) -> None:
    """The core looks at mapped bytes: that they vanish ends the job with a sentence, and nothing else."""
    path = tmp_path / "data"
    path.write_bytes(b"line\n" * 200_000)

    class Cut(HostFile):
        def map(self, start: int, stop: int) -> memoryview | None:
            mapped = super().map(start, stop)
            os.truncate(path, left)
            return mapped

    with pytest.raises(SourceChanged, match=f"ends now at {left}"):
        run(program(COUNTED), [Cut(os.fspath(path))], "lines")


def test_a_bus_error_elsewhere_ends_the_process(tmp_path: Path) -> None:
    """What is not a look at records is not ours: the signal keeps its meaning."""
    path = tmp_path / "data"
    path.write_bytes(bytes(8192))
    code = (
        "import mmap, os, sys\n"
        "from packetfs.engines.input.source import HostFile\n"
        "from tests.engines.rig import counting, run\n"
        "run(counting(), [HostFile(sys.argv[1])], 'packet')\n"
        "mapped = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 8192, prot=mmap.PROT_READ)\n"
        "os.truncate(sys.argv[1], 0); print(mapped[5000])"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGBUS


COUNTED = "ldxdw r6, [r1+0]\nldxdw r2, [r1+8]\nsub r2, r6\nmov r1, r6\nmov r3, 10\ncall count_byte\nmov r0, 2\nexit"


@pytest.mark.parametrize("count", [8, 300])
def test_a_slice_is_no_smaller_as_more_shards_have_their_turn_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """What a slice cuts off goes on in the interpreter: here no record is, of 4 a shard and 20,000 slots each."""
    monkeypatch.setitem(SLOTS_A_CALL, "cpu", 32 * 100_000)
    code = program("mov r7, 5000\nloop: sub r7, 1\nadd r0, 1\njne r7, 0, loop\nmov r0, 1\nexit")
    source = write(tmp_path / "data", bytes(count * 4 * 1024))
    options = JobOptions(engine="cpu", shard_bytes=4096, vms=count, workers=1)
    ran = run(code, [source], "fixed:1024", options)
    assert dict(ran.result.ran) == {"compiled": count * 4, "interpreted": 0}
