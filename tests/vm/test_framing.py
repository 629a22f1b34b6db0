"""Records: fixed sizes, lines and lists, in windows that hold them or not."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.vm.framing import RECORD_MAX, Records, Window
from packetfs.vm.layout import Fault, Framing, State, Stop
from packetfs.vm.machine import MACHINES, Machine
from tests.vm.rig import every_machine, rig

EMIT = "ldxdw r1, [r1+0]\n call 4096\n mov r0, 2\n exit"
"""Emits each record as it is."""
MARK = "ldxdw r1, [r1+0]\n call 4096\n stb [r10-1], 0x7c\n mov r1, r10\n sub r1, 1\n mov r2, 1\n call 4096\n exit"
"""Emits each record with a bar behind it."""


@every_machine
@pytest.mark.parametrize(
    ("framing", "data", "shown"),
    [
        (Framing.FIXED, b"abcdefgh", b"abc|def|gh|"),
        (Framing.FIXED, b"abcdef", b"abc|def|"),
        (Framing.FIXED, b"", b""),
        (Framing.LINE, b"one\ntwo\n", b"one\n|two\n|"),
        (Framing.LINE, b"one\ntwo", b"one\n|two|"),
        (Framing.LINE, b"\n\n", b"\n|\n|"),
        (Framing.LINE, b"x" * 3000 + b"\ny", b"x" * 3000 + b"\n|y|"),
        (Framing.LINES, b"1\n2\n33\n4444\n55\n\n\n\n6", b"1\n2\n|33\n|4444\n|55\n|\n\n\n|6|"),
        (Framing.LINES, b"x" * 3000 + b"\ny", b"x" * 3000 + b"\n|y|"),
        (Framing.LINES, b"", b""),
    ],
)
def test_records(machine: Machine, framing: Framing, data: bytes, shown: bytes) -> None:
    ran = rig(machine, MARK, framing=framing, data=data, size=3).finish()
    assert ran.output == shown
    assert ran.context().position == len(data)


@every_machine
def test_lists(machine: Machine) -> None:
    bounds = struct.pack("<8Q", 1, 3, 3, 3, 0, 4, 6, 99)
    ran = rig(machine, MARK, framing=Framing.LIST, data=b"abcdefgh", bounds=bounds).finish()
    assert ran.output == b"bc||abcd|gh|"
    assert (ran.context().position, ran.context().record_start, ran.context().record_stop) == (4, 6, 8)


@every_machine
@pytest.mark.parametrize("pair", [(5, 4), (0, RECORD_MAX + 1)])
def test_impossible_pairs(machine: Machine, pair: tuple[int, int]) -> None:
    ran = rig(machine, EMIT, framing=Framing.LIST, data=b"abc", bounds=struct.pack("<4Q", 0, 2, *pair))
    window = (0, 3) if pair[0] > pair[1] else (0, 2)
    _, stop = ran.run(window=window)
    if pair[0] > pair[1]:
        assert ran.fault() == (Fault.RECORD, 0, 0)
        assert (ran.context().position, ran.context().records) == (1, 1)
    else:
        assert stop is Stop.WINDOW  # what the file's end may still cut is not too long yet


@every_machine
def test_index_beyond_the_list(machine: Machine) -> None:
    ran = rig(machine, EMIT, framing=Framing.LIST, data=b"abc", bounds=struct.pack("<2Q", 0, 2))
    ran.begin(stop=2)
    ran.run()
    assert ran.fault() == (Fault.RECORD, 0, 0)
    assert ran.output == b"ab"


@every_machine
def test_records_longer_than_a_region(machine: Machine) -> None:
    ran = rig(machine, EMIT, framing=Framing.FIXED, data=bytes(RECORD_MAX + 2), size=RECORD_MAX + 1)
    assert ran.run(window=(0, RECORD_MAX)) == (0, Stop.WINDOW)
    assert ran.run(window=(0, RECORD_MAX + 1)) == (1, Stop.DONE)
    assert ran.fault() == (Fault.RECORD, 0, 0)


@every_machine
def test_a_window_that_ends_inside_a_record(machine: Machine) -> None:
    ran = rig(machine, EMIT, framing=Framing.LINE, data=b"one\ntwo\nthree")
    assert ran.run(window=(0, 6)) == (0, Stop.WINDOW)
    assert (ran.context().state, ran.context().position, ran.context().flags) == (State.PAUSED, 4, 0)
    assert ran.run(window=(5, 13)) == (0, Stop.WINDOW)
    assert ran.run(window=(0, 2)) == (0, Stop.WINDOW)
    assert ran.run(window=(4, 8)) == (0, Stop.WINDOW)
    assert ran.run(window=(8, 13)) == (1, Stop.DONE)
    assert ran.output == b"one\ntwo\nthree"


@every_machine
def test_a_resumed_record_needs_its_window(machine: Machine) -> None:
    text = "ldxdw r1, [r1+0]\n again: add r6, 1\n jne r6, 4, again\n call 4096\n exit"
    ran = rig(machine, text, framing=Framing.FIXED, data=b"abcdefgh", size=4)
    ran.begin(start=4)
    ran.run(1)
    before = bytes(ran.contexts)
    for window in ((5, 8), (0, 7), (0, 0)):
        assert ran.run(window=window) == (0, Stop.WINDOW)
        assert bytes(ran.contexts) == before
    assert ran.run(window=(4, 8)) == (1, Stop.DONE)
    assert ran.output == b"efgh"


@every_machine
def test_shards_take_the_records_that_begin_in_them(machine: Machine) -> None:
    ran = rig(machine, MARK, framing=Framing.LINE, data=b"aa\nbbbbbbbb\ncc\ndd\n", count=2)
    ran.begin(0, stop=6)
    ran.begin(1, shard=1, start=12)
    ran.run()
    assert ran.output == b"aa\n|bbbbbbbb\n|cc\n|dd\n|"
    assert [ran.context(slot).records for slot in range(2)] == [2, 2]


def test_records_are_found_in_python() -> None:
    records = Records(Framing.LINE, 0, memoryview(b""))
    window = Window(memoryview(b"ab\ncd"), 10, final=False)
    assert records.find(window, 10, 99) == (10, 13)
    assert records.find(window, 13, 99) is Stop.WINDOW
    assert records.find(window, 15, 99) is Stop.WINDOW
    assert records.find(Window(window.data, 10, final=True), 13, 99) == (13, 15)
    assert records.find(Window(window.data, 10, final=True), 15, 99) is Stop.DONE
    assert records.find(window, 9, 99) is Stop.WINDOW


@settings(max_examples=40)
@given(
    data=st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\n\n", b"x" * 300]), max_size=12).map(b"".join),
    framing=st.sampled_from([Framing.FIXED, Framing.LINE, Framing.LINES]),
    size=st.integers(1, 70),
    cuts=st.lists(st.integers(0, 700), max_size=6),
)
def test_windows_never_change_what_records_are(data: bytes, framing: Framing, size: int, cuts: list[int]) -> None:
    lines = data.splitlines(keepends=True) if framing is not Framing.FIXED else []
    if framing is Framing.LINES:
        lines = grouped(lines, size)
    wanted = lines or [data[at : at + size] for at in range(0, len(data), size)]
    for machine in MACHINES:
        ran = rig(machine, MARK, framing=framing, data=data, size=size)
        for start, stop in pairwise(sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})):
            at = min(start, ran.context().position)
            ran.run(window=(at, stop))
        ran.finish()
        assert ran.output == b"".join(record + b"|" for record in wanted)
        assert ran.context().records == len(wanted)


def grouped(lines: list[bytes], size: int) -> list[bytes]:
    """Return the lines in groups of those that begin within `size` bytes."""
    groups, begun = list[bytes](), 0
    for line in lines:
        if groups and begun < size:
            groups[-1] += line
        else:
            groups.append(line)
            begun = 0
        begun += len(line)
    return groups


@every_machine
def test_lines_of_the_next_shard_are_left_to_it(machine: Machine) -> None:
    ran = rig(machine, MARK, framing=Framing.LINES, data=b"aa\nbbbbbbbb\ncc\ndd\n", count=2, size=100)
    ran.begin(0, stop=6)
    ran.begin(1, shard=1, start=12)
    ran.run()
    assert ran.output == b"aa\nbbbbbbbb\n|cc\ndd\n|"


@every_machine
def test_several_slots_stop_at_the_first_that_needs_the_caller(machine: Machine) -> None:
    ran = rig(machine, EMIT, data=bytes(256), count=4)
    for slot in range(4):
        ran.begin(slot, shard=slot, start=64 * slot, stop=64 * (slot + 1))
    assert ran.run(window=(0, 160)) == (2, Stop.WINDOW)
    assert [State(ran.context(slot).state).name for slot in range(4)] == ["DONE", "DONE", "PAUSED", "READY"]
    assert ran.run(window=(128, 256)) == (4, Stop.DONE)
    assert [ran.context(slot).records for slot in range(4)] == [1, 1, 1, 1]
