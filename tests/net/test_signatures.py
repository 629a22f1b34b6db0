"""Signatures of stale content: rules of both sides, and syncs that remember nothing."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.limits import BLOCKS_MAX, FINDS_MAX
from packetfs.net.receiving.stale import StaleContent
from packetfs.net.sending.seeking import Finds, Seeker
from packetfs.net.wire.listing import Bits
from packetfs.net.wire.messages import Signatures
from packetfs.net.wire.signatures import COARSE, Layout, Plan, Run, plan_first, plan_second, read_runs, write_runs
from packetfs.packet.blocks import BLOCK_MAX, BLOCK_MIN, WIDTH_MAX, block_find, block_sums
from tests.net.rig import Rig, describe

MIB = 1 << 20
RUNS = st.lists(st.integers(1, 1000), max_size=20).map(lambda lengths: read_runs(write_runs(_runs(lengths))))


def _runs(lengths: list[int]) -> list[Run]:
    return [(sum(lengths[:number]), length) for number, length in enumerate(lengths)]


@given(RUNS, st.binary(max_size=30))
def test_what_matched_and_what_did_not_are_the_runs(runs: list[Run], bitmap: bytes) -> None:
    layout, bits = Layout(runs, 64), Bits(bitmap)
    left = layout.unmatched(bits)
    gone = [run for number in range(layout.count) if bits[number] for run in layout.stretches(number, 1)]
    covered = sorted([*left, *gone])
    total = sum(length for _, length in runs)
    assert sum(length for _, length in covered) == total
    assert all(a + n <= b for (a, n), (b, _) in pairwise(covered))


@given(RUNS)
def test_blocks_that_follow_each_other_lie_where_each_lies(runs: list[Run]) -> None:
    layout = Layout(runs, 64)
    singly = [run for number in range(layout.count) for run in layout.stretches(number, 1)]
    together = list(layout.stretches(0, layout.count))
    assert sum(length for _, length in together) == 64 * layout.count
    assert [at for start, length in together for at in range(start, start + length, 64)] == [at for at, _ in singly]


@given(st.lists(st.integers(1, 1 << 34), min_size=1, max_size=9), st.integers(0, 1 << 44))
def test_a_plan_is_within_all_bounds(lengths: list[int], lacking: int) -> None:
    runs = _runs(lengths)
    for plan in (plan_first(runs, lacking), plan_second(runs, lacking, 100, 50)):
        if plan is not None:
            assert BLOCK_MIN <= plan.block <= BLOCK_MAX
            assert 1 <= plan.width <= WIDTH_MAX
            blocks = Layout(runs, plan.block).count
            assert blocks <= BLOCKS_MAX
            assert blocks * plan.width <= lacking / 8


def test_little_is_signed_finely_at_once_and_much_in_two_rounds() -> None:
    assert plan_first([(0, 1000)] * 100, 100_000) == Plan(64, 6, last=True)
    assert plan_first(_runs([65536] * 1600), 100 * MIB) == Plan(COARSE, 7, last=False)
    assert plan_first(_runs([1000] * 10_000), 10_000_000) == Plan(64, 7, last=True)
    assert plan_second(_runs([2048] * 4000), 8 * MIB, 50_000, 46_000) == Plan(128, 7, last=True)


def test_no_sums_are_sent_that_find_nothing() -> None:
    assert plan_first([], 1000) is None
    assert plan_first([(0, 100 * MIB)], 0) is None
    assert plan_first([(0, 100 * MIB)], 500) is None
    assert plan_second(_runs([100 * MIB]), 100 * MIB, 50_000, 10) is None


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=8),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=8),
)
def test_finds_of_two_rounds_cover_a_file(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    """The second round finds only where the first did not."""
    finds, at, known = Finds(), 0, dict[int, int]()
    for gap, length in first:
        finds.add(at := at + gap, 10_000 + at * 3, length)
        known |= {at + byte: 10_000 + at * 3 + byte for byte in range(length)}
        at += length
    finds.close(b"f")
    end = at + 20
    free = [byte for byte in range(end) if byte not in known]
    for gap, _ in second:
        del free[: gap % 5]
        if free:
            finds.add(free[0], 50_000, 1)
            known[free.pop(0)] = 50_000
    finds.close(b"f")
    cover = finds.cover(b"f")
    parts = [*cover.parts(0, end // 2), *cover.parts(end // 2, end)]
    assert {
        byte: part.stale + byte - part.start for part in parts if part.stale >= 0 for byte in range(*part[:2])
    } == known
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert finds.bytes == len(known)


def test_finds_without_end_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.net.sending.seeking.FINDS_MAX", 100)
    finds = Finds()
    for at in range(0, 3000, 3):
        finds.add(at, at * 7, 1)
    assert finds.bytes == 100 < FINDS_MAX


@pytest.mark.parametrize("step", [100, 4096, 3 * MIB])
def test_blocks_are_found_across_pieces_and_windows(step: int) -> None:
    old = random.Random(1).randbytes(64 * 100)
    new = b"?" * 17 + old[: 64 * 40] + random.Random(2).randbytes(2 * MIB) + old[64 * 50 :]
    runs = [(0, len(old))]
    said = Signatures(64, 7, 99, 1, write_runs(runs), block_sums(old, 64, 7, 99))
    finds = Finds()
    seeker = Seeker(said, Layout(runs, 64), finds)
    for at in range(0, len(new), step):
        seeker.feed(at, new[at : at + step])
    seeker.close(b"f")
    found = [part for part in finds.cover(b"f").parts(0, len(new)) if part.stale >= 0]
    assert found == [(17, 17 + 64 * 40, 0), (17 + 64 * 40 + 2 * MIB, len(new), 64 * 50)]
    assert [seeker.matched[number] for number in (0, 39, 40, 49, 50, 99)] == [True, True, False, False, True, True]


def test_runs_of_stale_content_are_joined_and_read_within_a_file() -> None:
    files = [b"0123456789", b"abcdefghij"]
    content = StaleContent(lambda number, offset, length: files[number][offset : offset + length])
    for number, offset, length in ((0, 0, 2), (0, 2, 3), (0, 7, 1), (1, 8, 2), (1, 0, 1)):
        content.add(number, offset, length)
    assert content.runs == [(0, 5), (5, 1), (6, 2), (8, 1)]
    assert [content.read(at, 4) for at in (0, 3, 5, 6, 7, 8, 9)] == [b"0123", b"34", b"7", b"ij", b"j", b"a", b""]
    assert list(content.pieces(0, 5, 2)) == [b"01", b"23", b"4"]


# syncs that remember nothing


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.make_pool()
    return rig


def scatter(path: Path, edits: int, rng: random.Random) -> None:
    """Overwrite single bytes, and insert some."""
    data = bytearray(path.read_bytes())
    for at in sorted((rng.randrange(len(data)) for _ in range(edits)), reverse=True):
        data[at] ^= 1
        if at % 2:
            data[at:at] = b"+"
    path.write_bytes(bytes(data))


def forget(rig: Rig) -> None:
    shutil.rmtree(rig.base / "history", ignore_errors=True)
    shutil.rmtree(rig.base / "far", ignore_errors=True)


@pytest.mark.parametrize("end", ["dst", "far:dst", "pfs:dst"])
def test_scattered_edits_cost_blocks_and_not_extents(rig: Rig, end: str) -> None:
    rng, src = random.Random(3), rig.base / "src"
    src.mkdir()
    (src / "data").write_bytes(rng.randbytes(6 * MIB))
    target = end.replace("dst", str(rig.base / "dst")) if "pfs" not in end else end
    rig.sync(f"{src}/", target)
    scatter(src / "data", 60, rng)
    forget(rig)
    summary = rig.sync(f"{src}/", target)
    assert summary.sent.wire + summary.received.wire < 50_000
    assert summary.sent.copied > 5.9 * MIB
    if "pfs" in end:
        rig.sync(target + "/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)


def test_a_pull_costs_blocks_too(rig: Rig) -> None:
    rng, src, dst = random.Random(4), rig.base / "src", rig.base / "dst"
    src.mkdir()
    (src / "data").write_bytes(rng.randbytes(3 * MIB))
    shutil.copytree(src, dst)
    scatter(src / "data", 30, rng)
    summary = rig.sync(f"far:{src}/", dst)
    assert summary.sent.wire + summary.received.wire < 40_000
    assert describe(dst) == describe(src)


@pytest.mark.parametrize("end", ["host", "pool"])
def test_a_file_that_was_renamed_and_edited_is_found(rig: Rig, end: str) -> None:
    rng, src = random.Random(5), rig.base / "src"
    target = str(rig.base / "dst") if end == "host" else "pfs:dst"
    src.mkdir()
    (src / "old name").write_bytes(rng.randbytes(2 * MIB))
    (src / "stays").write_bytes(b"stays")
    rig.sync(f"{src}/", target)
    (src / "old name").rename(src / "new name")
    scatter(src / "new name", 20, rng)
    forget(rig)
    summary = rig.sync(f"{src}/", target, delete=True)
    assert summary.sent.wire + summary.received.wire < 40_000
    if end == "pool":
        rig.sync("pfs:dst/", rig.base / "dst")
    assert describe(rig.base / "dst") == describe(src)


def test_old_content_of_a_file_that_is_replaced_already_is_still_the_old_one(rig: Rig) -> None:
    """`b` copies from what `a` was, after `a` has its new content."""
    rng, src, dst = random.Random(6), rig.base / "src", rig.base / "dst"
    src.mkdir()
    first, second = rng.randbytes(MIB), rng.randbytes(MIB)
    (src / "a").write_bytes(first)
    (src / "b").write_bytes(second)
    shutil.copytree(src, dst)
    (src / "a").write_bytes(second[:-1])
    (src / "b").write_bytes(first[:-1])
    summary = rig.sync(f"{src}/", dst)
    assert summary.sent.literal < 400_000
    assert summary.sent.wire < 300_000
    assert not rig.troubles
    assert describe(dst) == describe(src)


def test_a_file_that_shrinks_while_it_is_signed_counts_as_zeros() -> None:
    content = StaleContent(lambda _number, _offset, _length: b"")
    content.add(0, 0, 100)
    assert list(content.pieces(0, 100, 64)) == [bytes(64), bytes(36)]


def test_sums_that_lie_cost_a_second_time_and_nothing_else(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks of one sum: the root tells, and the file is asked for whole."""
    rng, src, dst = random.Random(7), rig.base / "src", rig.base / "dst"
    src.mkdir()
    (src / "data").write_bytes(rng.randbytes(300_000))
    shutil.copytree(src, dst)
    scatter(src / "data", 4, rng)
    monkeypatch.setattr(
        "packetfs.net.sending.seeking.block_find", lambda *said: [(at, 0, 1) for at, _, _ in block_find(*said)]
    )
    rig.sync(f"{src}/", dst)
    assert not rig.troubles
    assert describe(dst) == describe(src)


def test_what_has_nothing_in_common_is_sent_once(rig: Rig) -> None:
    src, dst = rig.base / "src", rig.base / "dst"
    src.mkdir()
    dst.mkdir()
    (src / "data").write_bytes(random.randbytes(4 * MIB))
    (dst / "data").write_bytes(random.randbytes(4 * MIB))
    summary = rig.sync(f"{src}/", dst)
    assert summary.sent.wire + summary.received.wire < 4 * MIB * 1.02
    assert describe(dst) == describe(src)
