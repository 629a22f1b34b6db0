"""Drafts: code that is made in a hurry does what good code does, and gives way to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packetfs.engines.compiled import cache, machine
from packetfs.engines.compiled.cache import CodeCache
from packetfs.engines.compiled.machine import CPU, Prepared
from packetfs.vm.image import load
from packetfs.vm.layout import Fault, Framing
from packetfs.vm.machine import TWIN
from packetfs.vm.single import run_single
from tests.engines.test_tiers import DATA, WORK
from tests.vm.conformance_cases import case_files, read_cases
from tests.vm.rig import Rig, array, program, rig

FOREVER = 1 << 62
"""Nanoseconds that no draft runs for."""
COUNT = """
    stw [r10-4], 0
    lddw r1, map 0
    mov r2, r10
    add r2, -4
    call 1
    jeq r0, 0, out
    ldxdw r3, [r0+0]
    add r3, 1
    stxdw [r0+0], r3
out: mov r0, 2
    exit
"""


@pytest.fixture(autouse=True)
def every_program_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGE", -1)
    monkeypatch.setattr(machine, "DRAFT_NS", FOREVER)


def test_drafts_run_all_conformance_cases() -> None:
    for case in (case for path in case_files() for case in read_cases(path) if not case.refused):
        ended = run_single(CPU, load(case.program()), case.memory, fuel=case.fuel)
        assert (ended.fault, ended.output) == (case.fault, case.output), case.name
        assert case.fault is not Fault.NONE or ended.result == case.result, case.name


@pytest.mark.parametrize("text", [WORK, COUNT, "ldxdw r6, [r1+0]\nldxb r0, [r6+64]\nexit"])
def test_loops_over_records_do_the_same(text: str) -> None:
    for framing in (Framing.FIXED, Framing.LINE):
        draft, twin = (rig(which, text, array(), data=DATA, framing=framing).finish() for which in (CPU, TWIN))
        assert isinstance(draft.prepared, Prepared)
        assert all(code.draft for _, code in draft.prepared._by_size.values())
        assert draft.remains() == twin.remains()


def test_a_draft_that_is_busy_gives_way_to_good_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DRAFT_NS", 0)
    table, twin = rig(CPU, WORK, data=DATA), rig(TWIN, WORK, data=DATA).finish()
    prepared = _improved(table)
    (made,) = prepared._by_size.values()
    assert not made[1].draft
    table.begin()
    table.run()
    assert prepared.ran() == {"compiled": 512, "interpreted": 0}
    assert table.remains() == twin.remains()


def test_a_draft_goes_on_where_good_code_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DRAFT_NS", 0)
    table = rig(CPU, WORK, data=DATA)
    assert isinstance(table.prepared, Prepared)
    table.prepared.loaded(Framing.FIXED, 64)
    monkeypatch.setattr(cache, "_make", lambda *_, **__: 1 / 0)
    prepared = _improved(table)
    assert all(code.draft for _, code in prepared._by_size.values())


def test_what_was_made_well_is_found_before_its_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_used", CodeCache(os.fspath(tmp_path / "code")))
    image = load(program(WORK))
    assert not Prepared(image).find(Framing.FIXED, 64)
    Prepared(image).loaded(Framing.FIXED, 64)
    assert _found(Prepared(image)).draft
    machine.one_by_one(image, 64)
    monkeypatch.setattr(cache, "_make", lambda *_, **__: pytest.fail("it was made again"))
    assert not _found(Prepared(image)).draft


def _improved(table: Rig) -> Prepared:
    table.run()
    prepared = table.prepared
    assert isinstance(prepared, Prepared)
    assert prepared.improving is not None
    prepared.improving.join(60)
    return prepared


def _found(prepared: Prepared) -> cache.Code:
    assert prepared.find(Framing.FIXED, 64)
    (made,) = prepared._by_size.values()
    return made[1]
