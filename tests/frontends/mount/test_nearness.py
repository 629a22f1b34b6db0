"""Where a server runs: beside the one thread that asks, and anywhere when several do."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection

import pytest

from packetfs.frontends.mount import nearness, slices
from packetfs.frontends.mount.nearness import Nearness, processor_of

HERE = min(os.sched_getaffinity(0))
ENOUGH = 40


@pytest.fixture
def stays() -> list[set[int]]:
    return []


@pytest.fixture
def near(stays: list[set[int]]) -> Nearness:
    def stay(processors: Collection[int]) -> None:
        stays.append(set(processors))

    return Nearness(lambda _: HERE, stay)


def _ask(near: Nearness, *threads: int) -> None:
    for _ in range(ENOUGH):
        for thread in threads:
            near.asked(thread)


def test_one_that_asks_often_is_followed_until_another_asks(near: Nearness, stays: list[set[int]]) -> None:
    _ask(near, 7, 0)
    assert stays == [{HERE}]
    near.asked(8)
    assert stays == [{HERE}, near.everywhere]


def test_several_that_ask_are_not_followed(near: Nearness, stays: list[set[int]]) -> None:
    _ask(near, 7, 8)
    assert stays == []


def test_large_reads_end_it(near: Nearness, stays: list[set[int]]) -> None:
    _ask(near, 7)
    near.part()
    near.part()
    assert stays == [{HERE}, near.everywhere]


def test_it_gives_way_while_requests_are_quick() -> None:
    now, ways = [0.0], list[bool]()
    near = Nearness(lambda _: HERE, lambda _: None, ways.append, lambda: now[0])

    def ask(count: int, pause: float = 0.0001) -> None:
        for _ in range(count):
            now[0] += pause
            near.asked(7)

    ask(ENOUGH, 0.1)
    assert ways == []
    ask(2 * ENOUGH)
    assert ways == [True]
    ask(1, 0.002)
    assert ways == [True, False]
    ask(ENOUGH)
    assert ways == [True, False], "it did not last: more is wanted"
    ask(3 * ENOUGH)
    assert ways == [True, False, True]
    near.asked(8)
    assert ways == [True, False, True, False]


def test_a_thread_that_gave_way_comes_back() -> None:
    found = []

    def attempt() -> None:
        slices.give_way(True)
        found.append(os.sched_getscheduler(0))
        slices.give_way(False)
        found.append(os.sched_getscheduler(0))

    if slices.can_give_way():
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        assert found == [os.SCHED_IDLE, os.SCHED_OTHER]
    assert os.sched_getscheduler(0) != os.SCHED_IDLE


@pytest.mark.parametrize("fault", [OSError, ValueError])
def test_a_thread_that_cannot_be_seen_is_not_followed(stays: list[set[int]], fault: type[Exception]) -> None:
    def where(_: int) -> int:
        raise fault

    near = Nearness(where, lambda processors: stays.append(set(processors)))
    _ask(near, 7)
    assert stays == []


def test_the_processor_of_a_thread_is_found() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {HERE})
        assert processor_of(threading.get_native_id()) == HERE
    finally:
        os.sched_setaffinity(0, before)
    with pytest.raises(OSError, match="No such file"):
        nearness.processor_of(1 << 22)
