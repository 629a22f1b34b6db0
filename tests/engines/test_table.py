"""A job's directory: created fast, owned by one process, given back, never trusted; the spool and what it delivers."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest

from packetfs.engines.input.records import parse_records
from packetfs.engines.input.shards import Batch
from packetfs.engines.jobs.delivery import Delivery
from packetfs.engines.jobs.jobfile import JobFile
from packetfs.engines.jobs.moving import _ranges
from packetfs.engines.jobs.steering import microvms
from packetfs.engines.jobs.work import spill_need
from packetfs.engines.live.columns import begin, column, states, unfinished
from packetfs.engines.live.ledger import SLOTS, Control
from packetfs.engines.live.spool import Spool
from packetfs.engines.live.table import PAGE, Table, attach_table, create_table, is_running, look_at_table, remove_table
from packetfs.engines.options import JobOptions
from packetfs.engines.results.outcome import restore, save
from packetfs.engines.results.reduce import ArrayReduction
from packetfs.engines.results.totals import Totals
from packetfs.errors import BadJob, JobBusy, TableFull
from packetfs.packet.layout import Buffer
from packetfs.vm.context import GOLDEN, Context, begin_shard
from packetfs.vm.image import load
from packetfs.vm.layout import CONTEXT_BYTES, HEADROOM, RECORD_COPY_MAX, SPILL_STRIDE, TAILROOM, VMS_MAX, State
from tests.engines.rig import counting, hashed


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return create_table(os.fspath(tmp_path), 192)


def blocks(table: Table, name: str) -> int:
    return os.stat(f"{table.directory}/{name}").st_blocks * 512


def test_a_new_table_is_empty_and_sparse(table: Table) -> None:
    assert list(table.touched()) == []
    assert blocks(table, "contexts") == blocks(table, "spill") == 0
    assert len(table.contexts) == SLOTS * CONTEXT_BYTES
    assert len(table.spill) == SLOTS * SPILL_STRIDE
    assert len(table.maps) == SLOTS * 192


WRAPPING = ((1 << 64) - 2 - (VMS_MAX + 40)) * pow(GOLDEN, -1, 1 << 64) % (1 << 64)
"""A seed whose random numbers begin two before 2**64 at the first shard of the test."""


@pytest.mark.parametrize("seed", [7, WRAPPING])
@pytest.mark.parametrize("framing", ["line", "packet", "fixed:300"])
def test_columns_write_what_contexts_read(table: Table, framing: str, seed: int) -> None:
    batch = Batch(0, VMS_MAX + 40, range(40_000, 44_500, 1000), 44_500)
    begin(table.words, batch, parse_records(framing), seed)
    copy = bytearray(SLOTS * CONTEXT_BYTES)
    for index in range(5):
        got = Context(table.contexts, 41 + index)
        start, stop = batch.edges(index)
        fields = {"shard": batch.shard + index, "start": start, "stop": stop}
        begin_shard(copy, 41 + index, **fields, position=got.position, record_base=got.record_base, seed=seed)
    assert bytes(table.contexts) == bytes(copy)
    assert states(table.words, 40, 7) == [0, *[State.READY] * 5, 0]
    column(table.words, 41, 5, "state")[1] = State.DONE
    assert unfinished(table.words, 41, 5) == [41, 43, 44, 45]
    assert next(iter(table.touched()))[0] <= 41


def test_cleared_memory_is_zero_and_given_back(table: Table) -> None:
    slots = slice(100, 164)
    table.contexts[100 * 1024 : 164 * 1024] = b"\1" * 64 * 1024
    table.spill[slots.start * SPILL_STRIDE : slots.stop * SPILL_STRIDE] = b"\2" * 64 * SPILL_STRIDE
    table.maps[99 * 192 : 165 * 192] = b"\3" * 66 * 192
    table.clear(100, 64)
    assert not any(table.contexts)
    assert blocks(table, "spill") == 0
    assert bytes(table.maps[99 * 192 : 165 * 192]) == b"\3" * 192 + bytes(64 * 192) + b"\3" * 192


def test_large_maps_are_given_back(tmp_path: Path) -> None:
    table = create_table(os.fspath(tmp_path), 100_032)
    table.maps[100_032 : 5 * 100_032] = b"\3" * 4 * 100_032
    table.clear_maps(2, 2)
    assert bytes(table.maps[100_032 : 5 * 100_032]) == b"\3" * 100_032 + bytes(2 * 100_032) + b"\3" * 100_032
    assert blocks(table, "maps") < 3 * 100_032


def test_one_process_owns_a_table(table: Table) -> None:
    assert is_running(table.directory)
    assert table.ledger.owner == os.getpid()
    with pytest.raises(JobBusy, match=str(os.getpid())):
        attach_table(table.directory, 192)
    look_at_table(table.directory, 192).close()
    table.close()
    table.close()
    assert not is_running(table.directory)
    attach_table(table.directory, 192).close()


def test_a_table_of_other_sizes_is_refused(table: Table) -> None:
    table.close()
    with pytest.raises(BadJob):
        attach_table(table.directory, 256)
    os.truncate(f"{table.directory}/contexts", 1024)
    with pytest.raises(BadJob, match="contexts"):
        attach_table(table.directory, 192)
    os.unlink(f"{table.directory}/spill")
    assert not is_running(table.directory)


def test_a_table_that_is_refused_is_let_go_of(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = table.directory
    table.close()
    before = os.listdir("/proc/self/fd")
    os.truncate(f"{directory}/maps", 5)
    with pytest.raises(BadJob):
        attach_table(directory, 192)
    os.truncate(f"{directory}/maps", SLOTS * 192)
    monkeypatch.setattr(os, "posix_fallocate", _no_room)
    with pytest.raises(TableFull):
        attach_table(directory, 192)
    assert os.listdir("/proc/self/fd") == before


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no space")


def test_slots_that_follow_each_other_are_one_range() -> None:
    assert list(_ranges([1, 2, 3, 7, 8, 20])) == [(1, 3), (7, 2), (20, 1)]
    assert list(_ranges([])) == []


def test_what_turns_may_store_to_is_bounded() -> None:
    """Of each microVM a page of stack, reserve and copy each beside the copy; records of neighbours share bytes."""

    def need(records: str, batch: int, workers: int, shard: int = 1024) -> int:
        return spill_need(JobFile("", (), records, JobOptions(shard_bytes=shard), batch, 0), workers)

    fixed = 3 * PAGE + HEADROOM + TAILROOM
    assert need("packet", 10, 2) == 2 * 10 * (fixed + 64)
    assert need("fixed:5000", 10, 1) == 10 * fixed + 15 * 1024 + 5000
    assert need("line", 100, 1) == 100 * (fixed + 1536) + RECORD_COPY_MAX
    assert need("line", 16, 1, 1 << 20) == 16 * SPILL_STRIDE + PAGE


def test_microvms_of_a_job_without_contexts_are_an_error(table: Table) -> None:
    begin(table.words, Batch(0, 0, range(0, 3000, 1000), 3000), parse_records("line"), 7)
    assert [context.shard for context in microvms(table.directory)] == [0, 1, 2]
    os.unlink(f"{table.directory}/contexts")
    with pytest.raises(BadJob, match="contexts"):
        list(microvms(table.directory))


def test_removing_takes_known_files_only(table: Table) -> None:
    table.close()
    stranger = Path(table.directory, "stranger")
    stranger.write_text("mine")
    with pytest.raises(OSError, match="not empty"):
        remove_table(table.directory)
    assert stranger.read_text() == "mine"
    stranger.unlink()
    remove_table(table.directory)
    assert not os.path.exists(table.directory)


def test_the_ledger_remembers(table: Table) -> None:
    ledger = table.ledger
    ledger.control, ledger.delivered, ledger.claims[5], ledger.held[65_535] = Control.PAUSE, 1 << 40, 1, 1
    other = look_at_table(table.directory, 192).ledger
    assert (other.control, other.delivered, other.claims[5], other.held[65_535]) == (Control.PAUSE, 1 << 40, 1, 1)


# totals


def test_totals_are_saved_whole_and_damage_is_seen(tmp_path: Path) -> None:
    for code in (counting(), hashed()):
        image = load(code)
        outcome = restore(os.fspath(tmp_path / "none"), image)
        totals, found = outcome.totals, outcome.maps
        assert totals == Totals()
        (reduction,) = found.values()
        if isinstance(reduction, ArrayReduction):
            reduction.unpack(bytes(range(256)) * 8)
        else:
            reduction.unpack(b"k" * 8 + b"l" * 8 + b"v" * 8 + bytes(8))
        totals.records, totals.verdicts[2] = 17, 3
        save(os.fspath(tmp_path), outcome)
        again = restore(os.fspath(tmp_path), image)
        assert again.totals == totals
        assert [list(one.entries()) for one in again.maps.values()] == [list(one.entries()) for one in found.values()]
        good, random = (tmp_path / "reduced").read_bytes(), Random(1)
        for _ in range(100):
            at = random.randrange(len(good))
            (tmp_path / "reduced").write_bytes(good[:at] + bytes([random.randrange(256)]) + good[at + 1 :])
            try:
                restore(os.fspath(tmp_path), image)
            except BadJob:
                continue
        (tmp_path / "reduced").unlink()


# delivery


def test_output_comes_in_order_whatever_the_order_of_turns(table: Table) -> None:
    random = Random(2)
    for keep in (False, True):
        out, spool = bytearray(), Spool(table.directory, table.ledger, keep=keep)
        delivery = Delivery(out.extend, spool, table.ledger, keep=keep)
        turns, wanted, shard = [], [], 0
        for _ in range(60):
            count = random.choice((1, 1, 3))
            rounds = [[random.randbytes(random.choice((0, 9, 400))) for _ in range(count)] for _ in range(3)]
            turns.append([(shard, count, number == 2, parts) for number, parts in enumerate(rounds)])
            wanted += [parts[i] for i in range(count) for parts in rounds]
            shard += count
        while any(turns):
            shard, count, finished, parts = random.choice([rounds for rounds in turns if rounds][:8]).pop(0)
            delivery.add(shard, count, finished, list(map(len, parts)), parts)
        assert bytes(out) == b"".join(wanted)
        assert (delivery.held == 0) is not keep
        assert table.ledger.delivered == len(out)
        table.ledger.delivered = table.ledger.spooled = table.ledger.spool_low = 0


def test_output_that_was_remembered_waits_where_it_lies(table: Table) -> None:
    """But in the spool where all of the output is to be had again."""
    pieces = [bytes([number]) * (100_000 if number % 2 else 10) for number in range(6)]
    for keep in (False, True):
        out: list[Buffer] = []
        delivery = Delivery(out.append, Spool(table.directory, table.ledger, keep=keep), table.ledger, keep=keep)
        delivery.pass_on(1, 30, pieces)
        assert not out
        assert (delivery.held == 0) is not keep
        delivery.add(0, 1, True, [1], [b"a"])
        delivery.pass_on(31, 2, [])
        delivery.pass_on(33, 1, [b"z"])
        assert b"".join(out) == b"".join([b"a", *pieces, b"z"])
        assert keep or [memoryview(data).obj for data in out if len(data) == 100_000] == pieces[1::2]
        table.ledger.delivered = table.ledger.spooled = table.ledger.spool_low = 0


@pytest.mark.parametrize("keep", [False, True])
def test_output_is_settled_when_it_is_handed_over_and_not_before(table: Table, keep: bool) -> None:
    """Also while what lies behind it ends, with output and without."""
    seen: list[int | None] = []

    def out(_: Buffer) -> None:
        seen.append(delivery.settled)
        delivery.add(7 + len(seen), 1, True, [0], [])

    delivery = Delivery(out, Spool(table.directory, table.ledger, keep=keep), table.ledger, keep=keep)
    delivery.add(1, 2, True, [100_000, 3], [bytes(100_003)])
    delivery.add(3, 5, True, [0], [])
    assert delivery.settled == (None if keep else 0)
    delivery.add(0, 1, True, [1], [b"a"])
    assert len(seen) > 1
    assert set(seen) == {None if keep else 0}
    assert delivery.settled == (None if keep else 8 + len(seen))


def test_what_waits_survives_its_process(table: Table) -> None:
    out: list[bytes] = []
    spool = Spool(table.directory, table.ledger, keep=False)
    delivery = Delivery(lambda data: out.append(bytes(data)), spool, table.ledger, keep=False)
    delivery.add(1, 2, True, [2, 3], [b"bbccc"])
    delivery.add(3, 1, False, [1], [b"d"])
    delivery.add(3, 1, True, [1], [b"e"])
    assert not out
    spool.forget(3)
    again = Spool(table.directory, table.ledger, keep=False)
    found = [(batch, lengths) for batch, _, lengths in again.recover()]
    assert found == [(1, [2, 3]), (3, [1]), (3, [1]), (3, [])]
    delivery.add(0, 1, True, [1], [b"a"])
    assert b"".join(out) == b"abbcccde"


def test_a_damaged_spool_is_refused(table: Table) -> None:
    spool = Spool(table.directory, table.ledger, keep=False)
    spool.append(4, [3, 0, 2], [b"abcde"])
    good = Path(table.directory, "spool").read_bytes()
    for at in (8, 12, 16, 24, 40):
        Path(table.directory, "spool").write_bytes(good[:at] + b"\xff" + good[at + 1 :])
        with pytest.raises(BadJob):
            list(spool.recover())


def test_a_giant_output_of_a_batch_goes_piece_by_piece(table: Table) -> None:
    sizes: list[int] = []
    delivery = Delivery(
        lambda data: sizes.append(len(data)), Spool(table.directory, table.ledger, keep=False), table.ledger, keep=False
    )
    delivery.add(1, 2, True, [5 << 20, 7 << 20], [bytes(12 << 20)])
    delivery.add(0, 1, True, [0], [])
    assert sum(sizes) == 12 << 20
    assert max(sizes) <= 1 << 20
