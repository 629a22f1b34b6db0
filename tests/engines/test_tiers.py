"""Engine auto: the interpreter first, machine code once it pays; and code that all workers of a job share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from packetfs.engines.compiled import tiers
from packetfs.engines.compiled.machine import CPU, Prepared
from packetfs.engines.compiled.tiers import AUTO, Tiered
from packetfs.engines.lanes.machine import LANES
from packetfs.vm.image import load
from packetfs.vm.layout import ContextKind, Framing
from packetfs.vm.machine import TWIN
from tests.vm.rig import Rig, array, program, rig

WORK = """
    ldxdw r6, [r1+0]
    mov r7, 64
loop: ldxb r2, [r6+0]
    xor r0, r2
    mul32 r0, 16777619
    add r6, 1
    sub r7, 1
    jne r7, 0, loop
    and r0, 3
    exit
"""
DATA = bytes(range(256)) * 64


def test_workers_that_ask_at_once_share_one_code() -> None:
    prepared = CPU.prepare(load(program(WORK)))
    assert isinstance(prepared, Prepared)
    barrier = threading.Barrier(6)

    def ask(_: int) -> object:
        barrier.wait()
        return prepared.loaded(Framing.FIXED, 64)

    with ThreadPoolExecutor(6) as pool:
        assert len({id(given) for given in pool.map(ask, range(6))}) == 1


def _again(table: Rig) -> None:
    table.begin()
    table.run()


def test_a_busy_program_gets_code_and_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    table, twin = rig(AUTO, WORK, data=DATA), rig(TWIN, WORK, data=DATA).finish()
    assert isinstance(table.prepared, Tiered)
    table.run()
    making = table.prepared.making
    assert making is not None
    making.join(60)
    _again(table)
    assert table.remains() == twin.remains()
    assert table.prepared.ran() == {"compiled": 256, "interpreted": 256}


def test_what_spends_its_time_in_helpers_stays_in_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    monkeypatch.setattr(tiers, "SLOTS_A_MICROSECOND", 1 << 60)
    table = rig(AUTO, WORK, array(), data=DATA)
    _again(table)
    assert isinstance(table.prepared, Tiered)
    assert table.prepared.making is None
    assert table.prepared.ran() == {"compiled": 0, "interpreted": 256}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ContextKind.XDP, "ldxw r0, [r1+24]\nexit"),
        (ContextKind.XDP, "ldxw r0, [r1+32]\nexit"),
        (ContextKind.RAW, "lddw r8, 0x10000008\nldxw r0, [r8+8]\nexit"),
    ],
)
def test_fields_that_a_record_context_lacks_fault_in_every_engine(kind: ContextKind, text: str) -> None:
    data = bytes(64 * 20)
    twin = rig(TWIN, text, kind=kind, data=data).finish()
    for machine in (CPU, LANES):
        assert rig(machine, text, kind=kind, data=data).finish().remains() == twin.remains()
