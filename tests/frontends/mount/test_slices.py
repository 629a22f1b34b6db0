"""Short slices are asked for, as far as the kernel has them, and change nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from packetfs.frontends.mount.slices import SHORT, USUAL, ask_for_slices


def _slice_of(thread: int) -> float | None:
    """Return the slice in ms that the kernel tells, None where it does not."""
    path = Path(f"/proc/{thread}/sched")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.rpartition(":")[2] for line in lines if line.startswith("se.slice")]
    return int(found[0]) / 1e6 if found else None


def _in_a_thread() -> tuple[list[bool], list[int], list[float | None]]:
    asked: list[bool] = []
    nice: list[int] = []
    slices: list[float | None] = []

    def run() -> None:
        own = threading.get_native_id()
        for length in (SHORT, USUAL):
            asked.append(ask_for_slices(length))
            nice.append(os.getpriority(os.PRIO_PROCESS, own))
            slices.append(_slice_of(own))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return asked, nice, slices


def test_a_thread_gets_short_slices_and_gives_them_back() -> None:
    asked, nice, slices = _in_a_thread()
    assert asked in ([True, True], [False, False])
    assert nice == [os.getpriority(os.PRIO_PROCESS, 0)] * 2
    if slices[0] is not None and slices[1] is not None and all(asked):
        assert slices[0] <= slices[1]


def test_a_machine_whose_numbers_are_unknown_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = os.uname_result(("Linux", "host", "6", "1", "pdp11"))
    monkeypatch.setattr(os, "uname", lambda: machine)
    assert not ask_for_slices(SHORT)
