"""Engine auto: the interpreter first, machine code once it pays; and code that all workers of a job share."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import packetfs.threading
from packetfs.engines import tiers
from packetfs.engines.compiled.machine import CPU, Prepared
from packetfs.engines.lanes.machine import LANES, does_all
from packetfs.engines.tiers import AUTO, Tiered
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


class Clock:
    """A clock on which each run takes `step` nanoseconds."""

    def __init__(self) -> None:
        self.now, self.step = 0, 1000

    def __call__(self) -> int:
        self.now += self.step
        return self.now


def _timed(table: Rig) -> tuple[Tiered, Clock]:
    """Return the program behind a table, and the clock that it goes by from now on."""
    prepared, clock = table.prepared, Clock()
    assert isinstance(prepared, Tiered)
    prepared.clock = clock
    return prepared, clock


def _again(table: Rig) -> None:
    table.begin()
    table.run()


def _run_and_make(table: Rig, prepared: Tiered) -> None:
    """Run once, which earns code, and wait for that."""
    table.run()
    assert prepared.making is not None
    prepared.making.join(60)


def test_a_busy_program_gets_code_and_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    table, twin = rig(AUTO, WORK, data=DATA), rig(TWIN, WORK, data=DATA).finish()
    prepared, _ = _timed(table)
    _run_and_make(table, prepared)
    _again(table)
    assert table.remains() == twin.remains()
    ran = prepared.ran()
    assert (sum(ran.values()), ran["interpreted"]) == (512, 256)


@pytest.mark.parametrize("module", ["compiled.machine.one_by_one", "lanes.machine._blocks"])
def test_a_job_goes_on_where_llvm_fails(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise RuntimeError("LLVM ERROR:\n\x1b[31mout of registers" + "x" * 1000)

    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    monkeypatch.setattr(f"packetfs.engines.{module}", fail)
    table, twin = rig(AUTO, WORK, data=DATA), rig(TWIN, WORK, data=DATA).finish()
    prepared, _ = _timed(table)
    _run_and_make(table, prepared)
    _again(table)
    assert table.remains() == twin.remains()
    why = prepared.why()
    assert "RuntimeError: LLVM ERROR:[31mout of registers" in why
    assert why.isprintable()
    assert len(why) < 500


def test_a_job_goes_on_where_no_thread_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    monkeypatch.setattr(packetfs.threading.Thread, "start", fail)
    table, twin = rig(AUTO, WORK, data=DATA), rig(TWIN, WORK, data=DATA).finish()
    prepared, _ = _timed(table)
    table.run()
    assert prepared.making is not None
    _again(table)
    assert table.remains() == twin.remains()
    assert prepared.ran()["interpreted"] == 512


ENDING = """
import sys, threading
from packetfs.engines import beside
begun = threading.Event()
def work():
    begun.set()
    beside._ending.wait(60)
    print("began", beside.is_ending(), flush=True)
beside.begin(work)
begun.wait(60)
beside.begin(lambda: None).join()
sys.exit(7)
"""


def test_a_process_that_ends_waits_for_what_is_in_llvm() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "began True\n", "")


def test_what_spends_its_time_in_helpers_stays_in_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    table = rig(AUTO, WORK, array(), data=DATA)
    prepared, clock = _timed(table)
    clock.step = 10**9
    _again(table)
    assert prepared.making is None
    assert prepared.ran() == {"lanes": 0, "compiled": 0, "interpreted": 256}
    assert "helpers" in prepared.why()


@pytest.mark.parametrize(("one", "sixteen", "best"), [(1000, 5, "lanes"), (5, 1000, "compiled")])
def test_the_shape_that_takes_less_time_is_chosen(
    monkeypatch: pytest.MonkeyPatch, one: int, sixteen: int, best: str
) -> None:
    monkeypatch.setattr(tiers, "BUSY_NS", 0)
    monkeypatch.setattr(tiers, "TRIAL_NS", 0)
    table = rig(AUTO, WORK, data=DATA)
    prepared, clock = _timed(table)
    assert prepared.why() == "too short to compile for"
    _run_and_make(table, prepared)
    for clock.step in (one, sixteen, 1, 1):
        _again(table)
    assert prepared.chosen == best
    assert prepared.ran() == {"lanes": 256, "compiled": 256, "interpreted": 256} | {best: 3 * 256}
    assert prepared.why().startswith(f"{best}, as it took least: interpreted 3.9 ns a record")


def test_a_program_with_maps_is_not_tried_in_lanes() -> None:
    counts = "lddw r1, map 0\nmov r2, r10\nadd r2, -4\nstw [r10-4], 0\ncall 1\nmov r0, 2\nexit"
    assert not does_all(load(program(counts, array())), 64)
    assert does_all(load(program(WORK)), 64)
    assert not does_all(load(program(WORK)), 4096)


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
