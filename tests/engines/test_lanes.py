"""The engine `lanes`: blocks leave what the C core leaves, lanes part and meet, and what they do not do is counted."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from packetfs.engines.input.source import HostFile
from packetfs.engines.lanes.facts import Facts
from packetfs.engines.lanes.machine import LANES, lane
from packetfs.engines.lanes.shape import LANES as WIDTH
from packetfs.engines.lowering.graph import make_graph
from packetfs.engines.options import JobOptions
from packetfs.vm.image import load
from packetfs.vm.layout import ContextKind, Fault
from packetfs.vm.machine import NATIVE
from tests.engines.rig import run
from tests.vm.rig import Rig, array, fault, program, result, rig

DATA = Random(3).randbytes(64 * (3 * WIDTH + 5))
LOOP = """ldxdw r2, [r1+0]\nldxb r3, [r2+0]\nand r3, 31\nmov r0, 0
    again: add r0, r3\nadd r2, 1\nldxb r4, [r2+0]\nxor r0, r4\nsub r3, 1\njsgt r3, 0, again\nexit"""
CALLS = """ldxdw r2, [r1+0]\nldxb r1, [r2+0]\nmov r6, 5\njgt r1, 128, big\ncall local f\nbig: add r0, r6\nexit
    f: mov r6, r1\nstxdw [r10-8], r6\njgt r1, 64, out\nmov r1, 99\ncall local g\nout: ldxdw r0, [r10-8]\nexit
    g: stxdw [r10-8], r1\nexit"""
FIELDS = """ldxdw r2, [r1+8]\nldxdw r3, [r1+24]\nldxdw r4, [r1+32]\nldxw r5, [r1+40]\nldxh r0, [r1+44]
    add r0, r2\nadd r0, r3\nadd r0, r4\nadd r0, r5\nexit"""
MIXED = """ldxdw r2, [r1+0]\nldxdw r3, [r2+3]\nstxdw [r10-24], r3\nstxw [r10-13], r3\nldxdw r0, [r10-20]
    ldxh r4, [r2+61]\nadd r0, r4\nmov r5, 8\nlock fetch add [r10-24], r5\nadd r0, r5\nstxdw [r2+5], r0
    ldxb r5, [r2+12]\nadd r0, r5\nexit"""
FAULTS = "ldxdw r2, [r1+0]\nldxb r3, [r2+0]\nadd r2, r3\nldxb r0, [r2+0]\nexit"
COUNTER = """ldxdw r2, [r1+0]\nldxb r3, [r2+0]\nand r3, 3\nstxw [r10-4], r3\nlddw r1, map 0\nmov r2, r10\nadd r2, -4
    call 1\njeq r0, 0, out\nmov r1, 1\nlock add [r0+0], r1\nout: mov r0, 2\nexit"""


JOINS = """ldxdw r2, [r1+0]\nldxb r3, [r2+0]\nmov r0, 1\nmov r6, 9\njgt r3, 100, more\nmov r0, 2\njeq r3, 7, more
    add r6, r3\nmore: ldxb r4, [r2+1]\nand r4, 3\nagain: add r0, r6\nadd r6, 1\nsub r4, 1\njsgt r4, 0, again
    behind: xor r0, r6\nexit"""
EARLY = """ldxdw r2, [r1+0]\nldxb r3, [r2+0]\nmov r0, 1\njgt r3, 200, out\nmov r0, 2\njgt r3, 100, join\nmov r0, 3
    join: add r0, r3\nout: exit"""


def both(text: str, *slices: int, size: int = 64, fuel: int = 1 << 20, maps: tuple = ()) -> Rig:  # type: ignore[type-arg]
    """Run a program in lanes and in the C core; all that remains is the same. Returns the one in lanes."""
    assert NATIVE is not None
    rigs = [rig(machine, text, *maps, data=DATA, size=size, fuel=fuel) for machine in (NATIVE, LANES)]
    for one in rigs:
        one.finish(slices or (1 << 40,))
    assert rigs[0].remains() == rigs[1].remains()
    return rigs[1]


@pytest.mark.parametrize(
    "text", [LOOP, CALLS, FIELDS, MIXED, JOINS, EARLY], ids=["loop", "calls", "fields", "mixed", "joins", "early"]
)
@pytest.mark.parametrize("size", [64, 72, 128])
def test_whole_blocks_run_in_lanes(text: str, size: int) -> None:
    ran = both(text, size=size)
    assert LANES.ran(ran.prepared)["lanes"] == len(DATA) // size // WIDTH * WIDTH
    assert sum(LANES.ran(ran.prepared).values()) == ran.context().records


@pytest.mark.parametrize("records", [WIDTH, WIDTH + 1, 2 * WIDTH, 3 * WIDTH + 3])
def test_a_shard_ends_where_it_ends(records: int) -> None:
    ran = rig(LANES, LOOP, data=DATA)
    ran.begin(stop=64 * records)
    ran.finish()
    assert ran.context().records == records
    assert LANES.ran(ran.prepared)["lanes"] == records // WIDTH * WIDTH


@pytest.mark.parametrize("engine", ["native", "cpu", "lanes"])
def test_jobs_of_many_shards_count_each_record_once(tmp_path: Path, engine: str) -> None:
    file = tmp_path / "data"
    file.write_bytes(Random(5).randbytes(64 * 5000 + 7))
    code = program("ldxdw r2, [r1+0]\nldxb r0, [r2+0]\nand r0, 3\nexit")
    options = JobOptions(engine=engine, shard_bytes=4096, workers=2)
    ran = run(code, [HostFile(str(file))], "fixed:64", options).result
    assert (ran.records, sum(ran.verdicts)) == (5001, 5001)


def test_a_slice_that_ends_within_a_block_drops_it() -> None:
    assert 0 < LANES.ran(both(LOOP, 3000, 700).prepared)["lanes"] < len(DATA) // 64


@pytest.mark.parametrize(("text", "meetings"), [(JOINS, {8, 14}), (EARLY, {8}), (LOOP, {10})])
def test_lanes_meet_where_none_can_pass_by(text: str, meetings: set[int]) -> None:
    image = load(program(text))
    facts = Facts(make_graph(image), image, known_length=True)
    assert {slot for (slot,) in facts.meetings} == meetings
    assert not facts.meetings & facts.parted


def test_fuel_that_lanes_together_exceed_is_that_of_each() -> None:
    for fuel in (40, 150, 1000):  # each record takes 5 + 6 * (its first byte mod 32) slots and some
        both(LOOP, fuel=fuel)


def test_faults_are_those_of_one_record_after_the_other() -> None:
    ran = both(FAULTS)
    assert ran.fault()[0] is Fault.ADDRESS
    assert both(LOOP, fuel=40).fault()[0] is Fault.FUEL


def test_maps_are_left_to_code_for_one_record() -> None:
    ran = both(COUNTER, maps=(array(),))
    assert LANES.ran(ran.prepared) == {"lanes": 0, "compiled": len(DATA) // 64, "interpreted": 0}


def test_every_lane_answers_alone() -> None:
    for position in range(WIDTH):
        machine = lane(position)
        ran = rig(machine, "mov r6, 5\ncallx r6\nldxb r0, [r1+2]\nexit", data=b"abc", size=3, kind=ContextKind.RAW)
        ran.finish()
        assert ran.context().result == ord("c")
        assert machine.ran(ran.prepared) == {"lanes": 1, "compiled": 0, "interpreted": 0}


def test_division_in_lanes_is_that_of_the_rfc() -> None:
    least = "lddw r0, 0x8000000000000000\nmov r1, -1\n"
    assert result(lane(5), least + "sdiv r0, r1\nexit") == 1 << 63
    assert result(lane(5), least + "smod r0, r1\nexit") == 0
    assert result(lane(9), "mov r0, 7\nmov r1, 0\nmod r0, r1\nexit") == 7
    assert fault(lane(2), "ldxb r0, [r10+1]\nexit")[0] is Fault.ADDRESS
