"""Helper 4103: numbers at equal distances, counted in an array, as Python counts them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.vm.layout import Fault, MapFlag
from packetfs.vm.machine import MACHINES, Machine
from tests.vm.rig import Rig, array, every_machine, fault, result, rig, table

M64 = (1 << 64) - 1
RECORD = "ldxdw r2, [r1+0]\n mov r6, r2\n ldxdw r3, [r1+8]\n sub r3, r2\n lddw r1, map 0\n"


def tallied(machine: Machine, data: bytes, stride: int, width: int, entries: int) -> Rig:
    text = RECORD + f"mov r4, {stride}\n mov r5, {width}\n call tally\n exit"
    return rig(machine, text, array(entries), data=data, size=max(len(data), 1)).finish()


@settings(max_examples=60)
@given(
    data=st.one_of(
        st.binary(min_size=1, max_size=200), st.lists(st.sampled_from([b"\0", b"\1\0"]), min_size=1).map(b"".join)
    ),
    stride=st.integers(1, 20),
    width=st.sampled_from([1, 2, 4, 8, -1, -2, -4, -8]),
    entries=st.sampled_from([1, 2, 256, 300]),
)
def test_numbers_are_counted(data: bytes, stride: int, width: int, entries: int) -> None:
    size = abs(width)
    at = range(0, max(len(data) - size + 1, 0), stride)
    numbers = [int.from_bytes(data[i : i + size], "little" if width > 0 else "big") for i in at]
    wanted = Counter(number for number in numbers if number < entries)
    for machine in MACHINES:
        ran = tallied(machine, data, stride, width, entries)
        counts = [int.from_bytes(ran.maps[8 * i : 8 * i + 8], "little") for i in range(entries)]
        assert {i: count for i, count in enumerate(counts) if count} == wanted, machine.name
        assert ran.context().result == len(numbers) - sum(wanted.values())
        assert ran.context().executed == 10 + len(numbers)


@every_machine
def test_counts_wrap_and_may_be_the_data_themselves(machine: Machine) -> None:
    full = array(1, initial=b"\xff" * 8)
    text = RECORD + "mov r4, 1\n mov r5, 1\n call tally\n lddw r1, value 0 + 0\n ldxdw r0, [r1+0]\n exit"
    assert result(machine, text, full, data=b"\0") == 0
    text = "lddw r1, map 0\n lddw r2, value 0 + 0\n mov r3, 32\n mov r4, 8\n mov r5, 8\n call tally\n exit"
    ran = rig(machine, text, array(4, initial=b"\1" + bytes(7) + b"\2")).finish()  # 1, 3, 0, and 1 again
    assert ran.maps[:32] == b"".join(n.to_bytes(8, "little") for n in (2, 4, 0, 1))


@every_machine
@pytest.mark.parametrize(("stride", "width"), [(0, 1), (1, 0), (1, 3), (1, 16), (1, -3)])
def test_shapes_that_are_none(machine: Machine, stride: int, width: int) -> None:
    assert tallied(machine, b"abc", stride, width, 4).context().result == -22 & M64
    wide = f"lddw r1, map 0\n mov r2, 1\n mov r3, 1\n lddw r4, {M64}\n lddw r5, {1 << 63}\n call tally\n exit"
    assert result(machine, wide, array()) == -22 & M64


@every_machine
def test_what_is_no_array_of_counts(machine: Machine) -> None:
    call = "mov r4, 1\n mov r5, 1\n call tally\n exit"
    for wrong in (table(), array(4, 4), array(4, 16), array(1, 8, flags=MapFlag.READ_ONLY, initial=bytes(8))):
        assert result(machine, RECORD + call, wrong) == -22 & M64
    assert fault(machine, RECORD + "mov r1, 7\n" + call, array())[::2] == (Fault.MAP, 7)
    assert fault(machine, RECORD + "add r3, 1\n" + call, array())[0] is Fault.ADDRESS
    assert result(machine, RECORD + "mov r2, 5\n mov r3, 0\n" + call, array()) == 0
