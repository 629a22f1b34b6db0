"""What a cache takes in: what is let go of the page cache, and when."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from packetfs.limits import MIB, SEGMENT
from packetfs.pool import passing
from packetfs.pool.passing import Passing
from packetfs.pool.pool import Pool

STEP = MIB // 2


class Machine:
    """Its writes cost CPU seconds; it notes what is let go, by segment and offset."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.gone: list[tuple[int, int]] = []
        monkeypatch.setattr(time, "thread_time", lambda: self.seconds)
        monkeypatch.setattr(os, "posix_fadvise", self._let_go)

    def _let_go(self, *advised: int) -> None:
        self.gone.append((advised[0], advised[1]))

    def write(self, gone_by: Passing, start: int, end: int, cost: float) -> None:
        """Write from one position to another; `cost`: CPU seconds of a MiB."""

        def spend() -> None:
            self.seconds += cost * STEP / MIB

        for at in range(start, end, STEP):
            gone_by.write(spend, at + STEP)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_pages_at_hand_stay(machine: Machine) -> None:
    machine.write(Passing(int, 0), 0, 512 * MIB, 0.3e-3)
    assert machine.gone == []


def test_what_is_dear_by_chance_stays(machine: Machine) -> None:
    gone_by = Passing(int, 0)
    for start in range(0, 512 * MIB, 64 * MIB):
        machine.write(gone_by, start, start + 16 * MIB, 2e-3)
        machine.write(gone_by, start + 16 * MIB, start + 64 * MIB, 0.3e-3)
    assert machine.gone == []


def test_where_pages_are_dear_all_but_the_last_ones_go_twice(machine: Machine) -> None:
    gone_by = Passing(int, 0)
    machine.write(gone_by, 0, 64 * MIB, 0.3e-3)
    machine.write(gone_by, 64 * MIB, 96 * MIB, 2e-3)
    machine.write(gone_by, 96 * MIB, SEGMENT + 32 * MIB, 0.3e-3)
    windows = [segment * SEGMENT + start for segment, start in machine.gone]
    written = list(range(64 * MIB, SEGMENT + 32 * MIB, 16 * MIB))
    assert sorted(windows) == sorted(written + written[1:-1])


def test_what_was_there_before_is_left_alone(machine: Machine) -> None:
    machine.write(Passing(int, SEGMENT), SEGMENT, SEGMENT + 48 * MIB, 2e-3)
    assert all(segment == 1 for segment, _ in machine.gone)


@pytest.mark.parametrize("durable", [True, False])
def test_a_cache_alone_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    monkeypatch.setattr(passing, "_DEAR", -1.0)
    gone: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *advised: gone.append(advised))
    with Pool.create(os.fspath(tmp_path / "pool"), durable=durable) as pool:
        kept = [pool.put(os.urandom(MIB)) for _ in range(40)]
        assert all(len(pool.read(digest)) == MIB for digest in kept)
    assert bool(gone) is not durable
