"""When new pages of the page cache count as dear."""

from __future__ import annotations

import time

import pytest

from packetfs.limits import MIB
from packetfs.pool.dear import Dear

STEP = MIB // 2


class Machine:
    """Its writes cost CPU seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(time, "thread_time", lambda: self.seconds)

    def write(self, dear: Dear, size: int, cost: float) -> None:
        """Write so many bytes; `cost`: CPU seconds of a MiB."""

        def spend() -> None:
            self.seconds += cost * STEP / MIB

        for _ in range(0, size, STEP):
            dear.watch(spend, STEP)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_pages_at_hand_are_not(machine: Machine) -> None:
    dear = Dear()
    machine.write(dear, 512 * MIB, 0.3e-3)
    assert not dear.is_so


def test_pages_that_cost_much_for_a_while_are(machine: Machine) -> None:
    dear = Dear()
    machine.write(dear, 16 * MIB, 2e-3)
    assert not dear.is_so
    machine.write(dear, 16 * MIB, 2e-3)
    assert dear.is_so


def test_by_chance_they_are_not(machine: Machine) -> None:
    dear = Dear()
    for _ in range(8):
        machine.write(dear, 16 * MIB, 2e-3)
        machine.write(dear, 48 * MIB, 0.3e-3)
    assert not dear.is_so
