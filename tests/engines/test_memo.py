"""What is remembered is what a run would give: after any edit, for any program, framing and size of shards."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.engines.input import cuts
from packetfs.engines.input.outline import outline
from packetfs.engines.input.records import parse_records
from packetfs.engines.input.shards import Stretch
from packetfs.engines.input.source import PoolFile, Source
from packetfs.engines.jobs import scheduler, work
from packetfs.engines.jobs.job import resume_job, run_job
from packetfs.engines.jobs.scheduler import ALONE, Scheduler
from packetfs.engines.jobs.steering import list_jobs
from packetfs.engines.jobs.turn import Turns
from packetfs.engines.memo import emitted
from packetfs.engines.memo.known import Keys, Span
from packetfs.engines.options import JobOptions
from packetfs.limits import MEMO_OUTPUT_INLINE, NODE_LEAVES_MAX, STRETCH_MAX
from packetfs.packet import tree
from packetfs.packet.digest import Digest
from packetfs.packet.execute import run_leaf
from packetfs.packet.layout import Buffer, Mark
from packetfs.packet.tree import split
from packetfs.pool.outputs import Place
from packetfs.pool.pool import Pool
from packetfs.vm.layout import Reducer
from packetfs.vm.program import Program
from tests.engines.rig import (
    ENGINES,
    NUMBERED,
    SLOW,
    Ran,
    counting,
    hashed,
    program,
    run,
    stored,
    text_of,
    write,
)

MEAN = 4096
DRAWN = """
    call 7
    and r0, 3
    exit
"""
"""Gives each record a random verdict."""
PLACED = """
    ldxw r2, [r1+{at}]
    stxdw [r10-8], r2
    mov r1, r10
    add r1, -8
    mov r2, 8
    call 4096
    mov r0, 1
    exit
"""
"""Emits a word of the record context: 32 is the offset, 40 the number of the file, 44 that of the microVM."""
PROGRAMS: dict[str, Program] = {
    "counting": counting(),
    "last": counting(Reducer.LAST),
    "hashed": hashed(),
    "slow": program(SLOW),
    "numbered": program(NUMBERED),
    "drawn": program(DRAWN),
    **{f"placed {at}": program(PLACED.format(at=at)) for at in (32, 40, 44)},
}
LONG = b"one line that is longer than any shard " * 60


@dataclass
class Recalling:
    """A memory that is a dict."""

    held: dict[bytes, bytes] = field(default_factory=dict)
    outputs: list[bytes] = field(default_factory=list)
    asked: int = 0

    def recall(self, key: Digest) -> bytes | None:
        self.asked += 1
        return self.held.get(key)

    def remember(self, key: Digest, value: bytes) -> None:
        self.held[key] = value

    def keep(self, output: Buffer) -> Place:
        self.outputs.append(bytes(output))
        return Place(len(self.outputs) - 1, 0, len(output))

    def find(self, place: Place) -> bytes | None:
        found = self.outputs[place.file] if place.file < len(self.outputs) else b""
        return found if len(found) == place.length else None


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool.create(os.fspath(tmp_path_factory.mktemp("memo") / "pool"), mean=MEAN) as opened:
        yield opened


SHARED = {inline: Recalling() for inline in (30, MEMO_OUTPUT_INLINE)}
"""One memory for all cases of each kind: what one program, framing or file left must never be taken for another's."""

EDIT = st.tuples(
    st.integers(0, 100),
    st.sampled_from((0, 1, 7, 64, 300, 6000)),
    st.sampled_from((b"", b"\n", b"x", b"a line\n", LONG, bytes(3000), b"0123456789abcdef" * 4)),
)


def without(ran: Ran) -> Ran:
    """What it answers, without how it came to that."""
    return Ran(replace(ran.result, remembered=0, ran=(), why=""), ran.output)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for where, gone, new in edits:
        at = len(data) * where // 100
        data = data[:at] + new + data[at + gone :]
    return data


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(PROGRAMS)),
    st.sampled_from(("packet", "fixed:7", "fixed:100", "fixed:5000", "line", "lines:300", "extent")),
    st.sampled_from((512, 600, 2048, 20_000)),
    st.lists(st.lists(EDIT, min_size=1, max_size=2), min_size=1, max_size=3),
    st.integers(0, 1),
    st.sampled_from((2, 3, NODE_LEAVES_MAX)),
    st.sampled_from((30, MEMO_OUTPUT_INLINE)),
    st.sampled_from((None, 2, 6)),
)
def test_a_run_with_a_memory_gives_what_one_without_gives(
    pool: Pool,
    name: str,
    framing: str,
    shard: int,
    steps: list[list[tuple[int, int, bytes]]],
    seed: int,
    leaves: int,
    inline: int,
    vms: int | None,
) -> None:
    """Over nodes of so many leaves: stretches, which have four shards here, begin and end anywhere in them; in batches
    of all that run together, or of few, of which more are remembered whole."""
    data, options = text_of(25_000), JobOptions(shard_bytes=shard, workers=2, seed=seed, vms=vms)
    with (
        patch.object(tree, "NODE_LEAVES_MAX", leaves),
        patch.object(cuts, "STRETCH_MEAN", 4),
        patch.object(emitted, "MEMO_OUTPUT_INLINE", inline),
    ):
        for edits in [[], *steps]:
            data = edited(data, edits)
            sources: list[Source] = [stored(pool, data), stored(pool, data[::-1][:9000])]
            wanted = without(run(PROGRAMS[name], sources, framing, options))
            for _ in range(2):
                assert without(run(PROGRAMS[name], sources, framing, options, SHARED[inline])) == wanted


def stretches_of(keys: Keys, source: PoolFile, shard: int) -> dict[bytes, tuple[Span, tuple[int, ...]]]:
    """Return the span of each stretch of a file and where its shards end in it, by its key."""
    found: dict[bytes, tuple[Span, tuple[int, ...]]] = {}
    start = 0
    for ends in cuts.stretches(source.program, source.root, shard):
        span = keys.span(source, Stretch(0, (start, *ends[:-1]), ends[-1]))
        part = keys.stretch(keys.begin(source, 0, 0, start), span)
        assert part is not None
        found[part.key] = span, tuple(end - start for end in ends)
        start = ends[-1]
    return found


@settings(max_examples=100)
@given(
    st.sampled_from(("packet", "fixed:5000", "line")),
    st.sampled_from((600, 20_000, 30_000)),
    st.lists(EDIT, min_size=1, max_size=6),
    st.sampled_from((2, 3, 9)),
)
def test_what_has_the_key_of_a_stretch_is_cut_as_that(
    pool: Pool, framing: str, shard: int, edits: list[tuple[int, int, bytes]], leaves: int
) -> None:
    """Also where the change is behind its end, but so near that it moves the end."""
    data, keys = text_of(300_000), Keys(Digest(bytes(32)), parse_records(framing), shard, 0, 0)
    with patch.object(tree, "NODE_LEAVES_MAX", leaves), patch.object(cuts, "STRETCH_MEAN", 2):
        known = stretches_of(keys, stored(pool, data), shard)
        source, start = stored(pool, edited(data, edits)), 0
        for ends in cuts.stretches(source.program, source.root, shard):
            begin = keys.begin(source, 0, 0, start)
            parts = [(keys.stretch(begin, span), lengths) for span, lengths in known.values()]
            found = [lengths for part, lengths in parts if part is not None and part.key in known]
            assert found in ([], [tuple(end - start for end in ends)])
            start = ends[-1]


@pytest.mark.parametrize("engine", ["cpu", "lanes"])
@pytest.mark.parametrize("name", ["counting", "numbered", "placed 32", "placed 44", "drawn"])
def test_what_one_engine_looked_at_is_known_to_the_others(pool: Pool, name: str, engine: str) -> None:
    """Results are kept by the fields that were read, so every engine must say which; here they use each other's."""
    before, memory = text_of(30_000), Recalling()
    after = before[:9_000] + b"0123456789abcdef" * 200 + before[9_000:]
    made = [JobOptions(shard_bytes=4096, engine=kind) for kind in (engine, "native")]
    for data, framing in ((before, "packet"), (after, "packet"), (before, "line"), (after, "line")):
        wanted = without(run(PROGRAMS[name], [stored(pool, data)], framing, made[1]))
        assert all(without(run(PROGRAMS[name], [stored(pool, data)], framing, o, memory)) == wanted for o in made)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "framing"), [("counting", "line"), ("slow", "fixed:100"), ("hashed", "packet")])
def test_what_did_not_change_is_not_run_again(pool: Pool, name: str, framing: str, engine: str) -> None:
    data, memory = text_of(400_000), Recalling()
    options = JobOptions(shard_bytes=8192, engine=engine)
    first = run(PROGRAMS[name], [stored(pool, data)], framing, options, memory)
    again = run(PROGRAMS[name], [stored(pool, data)], framing, options, memory)
    assert first.result.remembered == 0
    assert again.result.remembered == again.result.shards
    assert without(again) == without(first)
    for gone in (6400, 0):  # overwritten, and inserted: whole records of both kinds
        change = data[:200_000] + b"?" * 6400 + data[200_000 + gone :]
        ran = run(PROGRAMS[name], [stored(pool, change)], framing, options, memory)
        assert ran.result.shards - ran.result.remembered <= 12


@pytest.mark.parametrize(
    ("name", "framing", "kept"),
    [("placed 32", "line", True), ("placed 44", "line", True), ("numbered", "packet", True), ("drawn", "line", True)],
)
def test_where_records_lie_counts_for_programs_that_look_at_it(pool: Pool, name: str, framing: str, kept: bool) -> None:
    """An overwrite leaves the rest of such a program's results, an insertion none of those behind it."""
    data, memory, options = text_of(200_000), Recalling(), JobOptions(shard_bytes=8192)
    run(PROGRAMS[name], [stored(pool, data)], framing, options, memory)
    over = run(PROGRAMS[name], [stored(pool, data[:90_000] + b"!!!" + data[90_003:])], framing, options, memory)
    into = run(PROGRAMS[name], [stored(pool, data[:300] + bytes(64 * 999) + data[300:])], framing, options, memory)
    assert (over.result.shards - over.result.remembered <= 8) is kept
    assert into.result.remembered <= 2


def test_what_is_not_a_result_is_not_taken_for_one(pool: Pool) -> None:
    """Values of any bytes: each is refused, or the run goes on as if there were none."""
    data, options, random = text_of(60_000), JobOptions(shard_bytes=4096), Random(3)
    good = Recalling()
    wanted = run(counting(), [stored(pool, data)], "line", options, good)
    for _ in range(30):
        bad = Recalling({key: damaged(value, random) for key, value in good.held.items()})
        ran = run(counting(), [stored(pool, data)], "line", options, bad)
        assert ran.result.shards == wanted.result.shards


@pytest.mark.parametrize("gone", [0, 3, -1])
def test_a_result_whose_output_is_gone_is_none(pool: Pool, gone: int) -> None:
    """That of its stretch neither; the other shards of this are still remembered."""
    data, memory, options = text_of(200_000), Recalling(), JobOptions(shard_bytes=8192)
    wanted = run(program(SLOW), [stored(pool, data)], "fixed:16", options, memory)
    assert len(memory.outputs) == wanted.result.shards
    memory.outputs[gone] = b""
    again = run(program(SLOW), [stored(pool, data)], "fixed:16", options, memory)
    assert without(again) == without(wanted)
    assert again.result.remembered == again.result.shards - 1
    assert len(memory.outputs) == wanted.result.shards + 1


def damaged(value: bytes, random: Random) -> bytes:
    kind = random.randrange(4)
    if kind == 0:
        return value[: random.randrange(len(value))]
    if kind == 1:
        return b"\1" + value
    return struct.pack("<QQB", random.getrandbits(64), random.getrandbits(20), 1) if kind == 2 else value + b"\0"


def test_nothing_is_remembered_of_faults_and_files_of_the_host(tmp_path: Path, pool: Pool) -> None:
    memory = Recalling()
    fault = program("ldxb r0, [r2+0]\nexit")
    ran = run(fault, [stored(pool, text_of(50_000))], "line", JobOptions(shard_bytes=4096), memory)
    assert ran.result.faulted == ran.result.shards
    run(counting(), [write(tmp_path / "data", text_of(50_000))], "line", JobOptions(shard_bytes=4096), memory)
    assert not memory.held


@pytest.mark.parametrize("held", [0, 40])
@pytest.mark.parametrize("name", ["counting", "hashed", "last"])
def test_stretches_that_did_not_change_are_one_question_each(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, name: str, held: int
) -> None:
    """Also where shards are reduced on the way, as maps of `held` microVMs fit: then parts of a stretch are."""
    if held:
        monkeypatch.setattr(work, "MAPS_HELD", held * 256 * 8)
    data, memory, options = text_of(8_000_000), Recalling(), JobOptions(shard_bytes=4096)
    wanted = run(PROGRAMS[name], [stored(pool, data)], "line", options)
    assert without(run(PROGRAMS[name], [stored(pool, data)], "line", options, memory)) == without(wanted)
    memory.asked = 0
    again = run(PROGRAMS[name], [stored(pool, data)], "line", options, memory)
    assert without(again) == without(wanted)
    assert again.result.remembered == again.result.shards
    assert memory.asked <= again.result.shards // 4
    memory.asked, change = 0, data[:5_000_000] + b"one more\n" + data[5_000_000:]
    other = run(PROGRAMS[name], [stored(pool, change)], "line", options, memory)
    assert without(other) == without(run(PROGRAMS[name], [stored(pool, change)], "line", options))
    assert memory.asked <= other.result.shards // 4 + 2 * STRETCH_MAX


@dataclass
class Counting:
    """A pool that counts what is read of it."""

    pool: Pool
    count: int = 0

    def put(self, payload: bytes, digest: Digest | None = None, *, mark: int = 0) -> Digest:
        return self.pool.put(payload, digest, mark=Mark(mark))

    def read(self, digest: Digest) -> bytes:
        self.count += 1
        return self.pool.read(digest)

    def read_range(self, digest: Digest, offset: int, length: int) -> bytes:
        self.count += 1
        return self.pool.read_range(digest, offset, length)

    def read_into(self, digest: Digest, offset: int, out: memoryview) -> None:
        self.count += 1
        self.pool.read_into(digest, offset, out)


@pytest.mark.parametrize("framing", ["packet", "fixed:5000", "line", "lines:300"])
def test_of_what_did_not_change_no_node_is_read(pool: Pool, framing: str) -> None:
    """The file has some sixteen nodes of 128 extents, and the answer comes from its root and what is kept."""
    data, memory, options = text_of(8_000_000), Recalling(), JobOptions(shard_bytes=16_384)
    root = stored(pool, data).root
    first = run(hashed(), [PoolFile(pool, root, "data")], framing, options, memory)
    counting_reads = Counting(pool)
    again = run(hashed(), [PoolFile(counting_reads, root, "data")], framing, options, memory)
    assert without(again) == without(first)
    assert counting_reads.count == 1


@pytest.mark.parametrize("vms", [None, 2])
@pytest.mark.parametrize("keep_output", [False, True])
@pytest.mark.parametrize("after", [0, 400, 30_000])
def test_a_job_that_recalled_stretches_and_batches_goes_on_without_a_memory(
    tmp_path: Path, pool: Pool, after: int, keep_output: bool, vms: int | None
) -> None:
    data, memory, out = text_of(600_000), Recalling(), bytearray()
    change = data[:300_000] + b"one more\n" + data[300_000:]
    parent = os.fspath(tmp_path)
    options = JobOptions(shard_bytes=2048, workers=2, vms=vms, keep=True, keep_output=keep_output, parent=parent)
    wanted = run(PROGRAMS["slow"], [stored(pool, change)], "line", options)
    run(PROGRAMS["slow"], [stored(pool, data)], "line", options, memory)

    def take(part: Buffer) -> None:
        if len(out) + len(part) > after:
            raise KeyboardInterrupt
        out.extend(part)

    with pytest.raises(KeyboardInterrupt):
        run_job(
            PROGRAMS["slow"], [stored(pool, change)], parse_records("line"), out=take, options=options, memory=memory
        )
    (info,) = list_jobs(os.fspath(tmp_path))
    if keep_output:
        out.clear()
    result = resume_job(info.directory, out=out.extend, store=pool)
    assert bytes(out) == wanted.output
    assert without(Ran(replace(result, seconds=0.0, engine="", timings=()), b"")).result == without(wanted).result


@settings(max_examples=60)
@given(st.data())
def test_an_outline_is_the_bytes_of_its_stretch(pool: Pool, data: st.DataObject) -> None:
    content = text_of(9000) + bytes(70_000) + b"end" * 5
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    found = outline(stored(pool, content), start, stop)
    assert b"".join(piece for leaf in split(found) for piece in run_leaf(pool, leaf)) == content[start:stop]


def test_one_worker_runs_a_small_change_alone(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others begin where nothing was remembered first, or as soon as there is more to run."""
    workers: list[Turns] = []
    take_turns = Scheduler.work

    def look(scheduler: Scheduler, taker: Turns, *rest: Any) -> None:
        workers.append(taker)
        take_turns(scheduler, taker, *rest)

    monkeypatch.setattr(Scheduler, "work", look)
    text, memory, options = text_of(3_000_000), Recalling(), JobOptions(shard_bytes=8192, workers=3)
    changed = text[:2_900_000] + b"x" + text[2_900_000:]
    for data, alone, wanted in ((text, ALONE, 3), (changed, ALONE, 1), (text + changed[::-1], 8192, 3)):
        monkeypatch.setattr(scheduler, "ALONE", alone)
        workers.clear()
        run(program("mov r0, 2\n exit"), [stored(pool, data)], "line", options, memory=memory)
        assert len(workers) == wanted
