"""What is known of addresses before a program runs: no check is left out that could fail."""

from __future__ import annotations

import pytest

from packetfs.accel import native
from packetfs.engines.compiled.machine import CPU
from packetfs.engines.compiled.records import many_records
from packetfs.vm.image import load
from packetfs.vm.layout import REGION_SHIFT, STACK_BYTES, Region
from packetfs.vm.machine import NATIVE
from tests.vm.rig import Rig, program, rig

TOP = (Region.STACK << REGION_SHIFT) + STACK_BYTES
DATA = bytes(range(128))
KNOWN = """ldxdw r2, [r1+0]\nldxb r3, [r2+63]\nmov r4, r10\nadd r4, -16\nstxdw [r4+0], r3\nldxdw r0, [r10-16]
    mov32 r5, r4\nldxb r5, [r5+0]\nadd r0, r5\nexit"""
PAST_RECORD = "ldxdw r2, [r1+0]\nldxb r0, [r2+64]\nexit"
PAST_STACK = "mov r2, r10\nadd r2, -8\nldxdw r0, [r2+8]\nexit"
END = "ldxdw r2, [r1+8]\nldxb r0, [r2+0]\nexit"
WRAPPED = f"mov r2, r10\nadd r2, {-TOP - 16}\nadd32 r2, 0\nadd r2, {TOP - 100}\nldxb r0, [r2+16]\nexit"
CALLED = "call local f\nldxdw r0, [r10-8]\nexit\nf: stdw [r10-8], 7\nmov r2, r10\nldxdw r3, [r2-8]\nexit"
JOINED = """ldxdw r2, [r1+0]\nldxb r3, [r2+0]\nmov r4, r10\njeq r3, 0, on\nadd r4, 1024\non: ldxb r0, [r4-8]\nexit"""
WRITTEN = "ldxdw r2, [r1+0]\nstb [r2+0], 9\nldxb r0, [r2+0]\nadd r0, 1\nexit"


def both(text: str) -> Rig:
    """Run a program in the C core and in machine code; all that remains is the same."""
    assert NATIVE is not None
    rigs = [rig(machine, text, data=DATA) for machine in (NATIVE, CPU)]
    for one in rigs:
        one.finish()
    assert rigs[0].remains() == rigs[1].remains()
    return rigs[1]


@pytest.mark.parametrize(
    "text", [KNOWN, PAST_RECORD, PAST_STACK, END, WRAPPED, CALLED, JOINED, WRITTEN],
    ids=["known", "past-record", "past-stack", "end", "wrapped", "called", "joined", "written"],
)  # fmt: skip
def test_machine_code_does_what_the_interpreter_does(text: str) -> None:
    both(text)


def test_what_is_known_needs_no_check() -> None:
    text = many_records(load(program(KNOWN)), native.vm_places(), 64)  # type: ignore[union-attr]
    assert "slow" not in text
    assert "slow" in many_records(load(program(PAST_STACK)), native.vm_places(), 64)  # type: ignore[union-attr]
