"""Our conformance cases on every interpreter: results, faults with their slot, refusals with their reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from packetfs.engines.machines import every_machine as find_machines
from packetfs.errors import IllegalInstruction
from packetfs.vm.assembly import assemble, pad
from packetfs.vm.image import load
from packetfs.vm.instruction import iterate_rows
from packetfs.vm.isa import OPCODES
from packetfs.vm.layout import ContextKind, Fault
from packetfs.vm.machine import Machine
from packetfs.vm.padding import padded_places
from packetfs.vm.program import Program
from packetfs.vm.single import run_single
from tests.vm.conformance_cases import Case, case_files, cases, read_cases
from tests.vm.golden.write import contents


@pytest.mark.parametrize("machine", find_machines(), ids=lambda machine: machine.name)
@pytest.mark.parametrize("path", case_files(), ids=lambda path: path.stem)
def test_conformance(path: Path, machine: Machine) -> None:
    failed = [said for case in read_cases(path) for said in [_judge(case, machine)] if said]
    assert not failed, "\n".join(failed)


def _judge(case: Case, machine: Machine) -> str:
    """Return what is wrong, or nothing. A case that is not refused runs as it is and, if that differs, padded."""
    try:
        image = load(case.program())
    except IllegalInstruction as error:
        wrong = not case.refused or error.fields["slot"] != case.slot or case.refused not in str(error)
        return f"{case.name}: {error}" if wrong else ""
    if case.refused:
        return f"{case.name}: it was not refused"
    ended = run_single(machine, image, case.memory, fuel=case.fuel)
    wanted = (
        case.result if not case.fault else ended.result,
        case.fault,
        case.slot if case.fault else ended.pc,
        case.output,
    )
    got = (ended.result, ended.fault, ended.pc, ended.output)
    return f"{case.name}: {got}, not {wanted}" if got != wanted else ""


@pytest.mark.parametrize("machine", find_machines(), ids=lambda machine: machine.name)
def test_padded_code_does_the_same(machine: Machine) -> None:
    """All cases whose lddw straddle packets, but those that tell addresses of their own code or count slots."""
    ran = 0
    for case in cases():
        if case.refused or case.fuel < 1 << 20 or "address of a function" in case.name or "no function:" in case.name:
            continue
        padded = pad(case.code)
        if padded != case.code:
            ended = run_single(machine, load(Program(padded, case.maps, case.program().context)), case.memory)
            slot = padded_places(case.code)[case.slot] if case.fault else ended.pc
            result = ended.result if case.fault else case.result
            assert (ended.result, ended.fault, ended.pc, ended.output) == (result, case.fault, slot, case.output), (
                case.name
            )
            ran += 1
    assert ran > 20


def test_every_instruction_has_a_case() -> None:
    """Run to its end: instructions that are only ever refused are not conformance."""
    seen = {row for case in cases() if not case.refused for _, _, row in iterate_rows(case.code)}
    refused = {"call btf"}
    assert {row.mnemonic for row in OPCODES if row not in seen and not (row.code == 0x18 and row.src == 3)} == refused


def test_there_are_enough() -> None:
    every = list(cases())
    assert len({(case.file, case.name) for case in every}) == len(every)
    kinds = [bool(case.refused) + 2 * (case.fault != Fault.NONE) for case in every]
    assert min(kinds.count(0) / 1000, kinds.count(1) / 400, kinds.count(2) / 100) > 1, [
        kinds.count(i) for i in range(3)
    ]


def test_files_are_what_the_formulas_say() -> None:
    assert dict(contents()) == {path: path.read_text() for path in case_files()}


@pytest.mark.parametrize("machine", find_machines(), ids=lambda machine: machine.name)
def test_targets_that_16_bits_do_not_reach(machine: Machine) -> None:
    skipped = "mov r0, 1\n" * 40_000
    code = assemble(f"ja32 far\nback: call local f\nexit\n{skipped}far: ja32 back\nf: mov r0, 7\nexit")
    ended = run_single(machine, load(Program(code, (), ContextKind.RAW)), b"")
    assert (ended.result, ended.fault, ended.executed) == (7, Fault.NONE, 6)
