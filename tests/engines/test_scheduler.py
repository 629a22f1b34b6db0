"""What is under way at once: as many microVMs as may live, batches claimed while they begin, reduced on the way."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from packetfs.engines.input.source import HostFile
from packetfs.engines.jobs import work
from packetfs.engines.jobs.scheduler import Scheduler
from packetfs.engines.jobs.turn import Live, Turns
from packetfs.engines.live.columns import ENDED, states
from packetfs.engines.live.table import Table
from packetfs.engines.options import JobOptions
from packetfs.engines.results import outcome as outcomes
from packetfs.engines.results.outcome import Outcome
from packetfs.vm.layout import State
from tests.engines.rig import counting, run, text_of, write

DATA = text_of(300_000)


@pytest.mark.parametrize("workers", [1, 3])
def test_shards_are_reduced_on_the_way_where_maps_take_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    source, options = write(tmp_path / "data", DATA), JobOptions(shard_bytes=1024, vms=10, workers=workers)
    wanted, reduced = run(counting(), [source], "line", options), list[int]()

    def save(directory: str, outcome: Outcome, *rest: Any) -> None:
        reduced.append(outcome.totals.shards)
        outcomes.save(directory, outcome, *rest)

    monkeypatch.setattr(work, "MAPS_HELD", 40 * 256 * 8)  # the maps of 40 microVMs
    monkeypatch.setattr(work, "save", save)
    assert run(counting(), [source], "line", options) == wanted
    steps = pairwise([0, *reduced, wanted.result.shards])
    assert len(reduced) >= wanted.result.shards // 40
    assert all(0 < after - before <= 40 for before, after in steps)


def test_what_is_not_handed_over_is_not_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would look for its output again if the process died."""
    source, options = write(tmp_path / "data", DATA), JobOptions(shard_bytes=1024, vms=10, workers=2)
    wanted, settled = run(counting(), [source], "line", options), [0]

    def hand_over(_: object) -> int:
        settled[0] += 1
        return settled[0]

    def save(directory: str, outcome: Outcome, *rest: Any) -> None:
        assert outcome.totals.shards <= settled[0]
        outcomes.save(directory, outcome, *rest)

    monkeypatch.setattr(work, "MAPS_HELD", 40 * 256 * 8)  # the maps of 40 microVMs
    monkeypatch.setattr(work, "save", save)
    monkeypatch.setattr(work.JobCare, "settled", hand_over)
    assert run(counting(), [source], "line", options) == wanted


def test_a_batch_is_claimed_while_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one whose process dies there begins again: its contexts may be half written."""
    claimed: list[int] = []
    allocate = Table.allocate

    def look(table: Table, slot: int, count: int) -> None:
        claimed.append(table.ledger.claims[slot])
        allocate(table, slot, count)

    monkeypatch.setattr(Table, "allocate", look)
    ran = run(counting(), [write(tmp_path / "data", DATA)], "line", JobOptions(shard_bytes=4096, vms=8))
    assert claimed == [1] * len(claimed)
    assert 8 * len(claimed) >= ran.result.shards


def test_the_place_of_what_has_ended_is_taken_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight may live: four and four, as there are two workers. So it is also when half of the file is done."""
    living: list[tuple[int, int]] = []
    take = Turns.take

    def look(turns: Turns, live: Live) -> None:
        found = states(turns._work.table.words, 1, 40)
        alive = sum(state not in (State.FREE, *ENDED) for state in found)
        living.append((live.batch.shard, alive))
        take(turns, live)

    monkeypatch.setattr(Turns, "take", look)
    options = JobOptions(shard_bytes=8192, vms=8, workers=2, slice_slots=400)
    shards = run(counting(), [write(tmp_path / "data", DATA)], "line", options).result.shards
    assert max(alive for _, alive in living) <= 8
    assert max(alive for shard, alive in living if 8 <= shard < shards - 8) > 4


class Asked(HostFile):
    """A file that counts how often it is asked what it is."""

    asked = 0

    @property
    def is_pipe(self) -> bool:  # type: ignore[override]
        Asked.asked += 1
        return False


def test_each_file_of_many_costs_as_much_as_one_of_few(tmp_path: Path) -> None:
    """No turn looks at all of them."""

    def asked(count: int) -> float:
        Asked.asked = 0
        sources = [Asked(write(tmp_path / str(number), b"one\ntwo\n").path) for number in range(count)]
        assert run(counting(), sources, "line", JobOptions(vms=count)).result.records == 2 * count
        return Asked.asked / count

    assert asked(200) <= asked(5)


def test_the_first_shard_that_has_not_ended_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, needed = list[bool](), Scheduler._needed

    def look(scheduler: Scheduler) -> tuple[int, int]:
        if scheduler._open:
            seen.append(min(scheduler._open) == scheduler._front)
        return needed(scheduler)

    monkeypatch.setattr(Scheduler, "_needed", look)
    options = JobOptions(shard_bytes=1024, vms=40, workers=3, slice_slots=400)
    run(counting(), [write(tmp_path / "data", DATA)], "line", options)
    assert len(seen) > 10
    assert all(seen)
