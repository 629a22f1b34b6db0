"""Control: registers at the start, charging, fuel, slices, calls, verdicts, and what a context says afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from packetfs.vm.image import load
from packetfs.vm.layout import ContextFlag, ContextKind, Fault, Region, State, Stop
from packetfs.vm.machine import Machine
from packetfs.vm.program import Program
from tests.vm.rig import Rig, every_machine, fault, program, result, rig

CTX, STACK, DATA, CODE = (region << 28 for region in (Region.CTX, Region.STACK, Region.DATA, Region.CODE))


def show(register: int) -> str:
    return f"mov r0, r{register}\n exit"


@every_machine
@pytest.mark.parametrize("register", [0, 3, 4, 5, 6, 7, 8, 9])
def test_other_registers_begin_as_zero(machine: Machine, register: int) -> None:
    assert result(machine, show(register)) == 0


@every_machine
def test_arguments(machine: Machine) -> None:
    assert result(machine, show(1)) == CTX
    assert result(machine, show(1), kind=ContextKind.XDP) == CTX
    assert result(machine, show(1), kind=ContextKind.RAW) == DATA | 256
    assert result(machine, show(2), data=bytes(50)) == 50
    assert result(machine, show(10)) == STACK | 4096


@every_machine
def test_registers_begin_anew_with_each_record(machine: Machine) -> None:
    ran = rig(machine, "add r6, 1\n add r0, r6\n mov r1, 9\n mov r2, 9\n exit", data=bytes(64 * 3)).finish()
    assert ran.context().records == 3
    assert ran.context().result == 1


@every_machine
def test_entry_need_not_be_the_first_slot(machine: Machine) -> None:
    code = program("mov r0, 1\n exit\n mov r0, 2\n exit").code
    ran = Rig(machine, load(Program(code, entry=2))).finish()
    assert ran.context().result == 2


@every_machine
@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("exit", 1),
        ("mov r0, 1\n mov r0, 2\n exit", 3),
        ("lddw r0, 5\n exit", 3),
        ("jeq r0, 1, over\n mov r0, 1\n over: exit", 3),
        ("jeq r0, 0, over\n mov r0, 1\n over: exit", 2),
        ("ja over\n mov r0, 1\n mov r0, 1\n over: mov r0, 2\n exit", 3),
        ("again: add r6, 1\n jlt r6, 10, again\n exit", 21),
        ("call local f\n exit\n f: mov r0, 1\n exit", 4),
        ("call 8\n call 8\n exit", 3),
        ("lddw r1, code f\n callx r1\n exit\n f: exit", 5),
    ],
)
def test_what_is_charged(machine: Machine, text: str, slots: int) -> None:
    ran = rig(machine, text, data=bytes(128), fuel=1000).finish()
    assert ran.context().state == State.DONE
    assert ran.context().executed == 2 * slots
    assert ran.context().fuel == 1000 - slots


@every_machine
def test_verdicts(machine: Machine) -> None:
    text = "ldxdw r1, [r1+0]\n ldxb r0, [r1+0]\n jlt r0, 9, on\n lddw r0, 0x100000000\n on: exit"
    values = bytes((0, 1, 1, 2, 3, 4, 4, 5, 6, 9))
    ran = rig(machine, text, data=b"".join(bytes([v]) * 8 for v in values), size=8).finish()
    assert ran.context().verdicts == (1, 2, 1, 1, 2, 3)
    assert ran.context().result == 1 << 32
    assert ran.context().records == len(values)


LOOP = "mov r0, 0\n again: add r0, 1\n jne r0, 10, again\n exit"


@every_machine
def test_fuel_is_tested_where_a_program_comes_back(machine: Machine) -> None:
    needed = 1 + 2 * 9  # the last test is at the ninth jump; what follows is straight
    assert rig(machine, LOOP, fuel=needed).finish().context().state == State.DONE
    ran = rig(machine, LOOP, fuel=needed - 1).finish()
    assert ran.fault() == (Fault.FUEL, 1, 0)
    assert ran.context().executed == needed
    assert ran.context().fuel == -1
    assert ran.context().registers[0] == 9


@every_machine
def test_fuel_is_not_tested_at_forward_jumps_and_helpers(machine: Machine) -> None:
    assert result(machine, "jeq r0, 0, over\n exit\n over: call 8\n mov r0, 6\n exit", fuel=0) == 6


@every_machine
def test_endless_loops_end(machine: Machine) -> None:
    assert fault(machine, "again: ja again\n exit", fuel=1000) == (Fault.FUEL, 0, 0)
    assert fault(machine, "mov r1, 1\n again: ja32 again\n exit", fuel=1000) == (Fault.FUEL, 1, 0)
    endless = "f: call local f\n exit"
    assert fault(machine, endless, fuel=4) == (Fault.FUEL, 0, 0)
    assert fault(machine, endless) == (Fault.DEPTH, 0, 0)


@every_machine
def test_fuel_is_for_each_record_and_the_slice_for_all(machine: Machine) -> None:
    ran = rig(machine, LOOP, data=bytes(64 * 3), fuel=19)
    for done in (1, 2):
        assert ran.run(22) == (1, Stop.DONE)
        assert (ran.context().state, ran.context().records, ran.context().flags) == (State.PAUSED, done, 0)
        assert ran.context().position == 64 * done
    assert ran.run(22) == (1, Stop.DONE)
    assert (ran.context().state, ran.context().records) == (State.DONE, 3)


@every_machine
def test_slice_pauses_at_the_target(machine: Machine) -> None:
    ran = rig(machine, LOOP)
    for turn in range(1, 10):
        assert ran.run(1) == (1, Stop.DONE)
        context = ran.context()
        assert (context.state, context.pc, context.registers[0]) == (State.PAUSED, 1, turn)
        assert context.executed == 1 + 2 * turn
        assert context.flags == ContextFlag.IN_RECORD
    assert ran.run(1) == (1, Stop.DONE)
    assert ran.context().state == State.DONE


@every_machine
def test_slice_of_nothing_still_goes_on(machine: Machine) -> None:
    ran = rig(machine, LOOP, data=bytes(128)).finish([0])
    assert ran.context().records == 2


@every_machine
def test_fuel_goes_before_the_slice(machine: Machine) -> None:
    ran = rig(machine, "again: ja again", fuel=0)
    ran.run(1)
    assert ran.fault()[0] is Fault.FUEL


@every_machine
def test_slice_ends_at_a_local_call_after_the_call(machine: Machine) -> None:
    ran = rig(machine, "mov r6, 5\n call local f\n add r0, r6\n exit\n f: mov r6, 9\n mov r0, 1\n exit")
    ran.run(1)
    context = ran.context()
    assert (context.pc, context.depth, context.executed) == (4, 1, 2)
    assert context.frames[:5] == (2, 5, 0, 0, 0)
    assert context.registers[10] == STACK | 3584
    assert ran.finish().context().result == 6


@every_machine
def test_shard_without_records(machine: Machine) -> None:
    ran = rig(machine, "exit", data=b"").finish()
    assert (ran.context().state, ran.context().records, ran.context().executed) == (State.DONE, 0, 0)


@every_machine
def test_local_calls_keep_callee_registers_and_return_slots(machine: Machine) -> None:
    text = """
      mov r6, 1
      mov r7, 2
      mov r8, 3
      mov r9, 4
      mov r1, 10
      call local f
      add r0, r6
      add r0, r7
      add r0, r8
      add r0, r9
      add r0, r1
      exit
    f: mov r6, 0
      mov r7, 0
      mov r8, 0
      mov r9, 0
      mov r1, 100
      mov r0, 1000
      exit
    """
    assert result(machine, text) == 1110


@every_machine
def test_frames(machine: Machine) -> None:
    text = """
      mov r6, r10
      stdw [r10-8], 7
      call local f
      ldxdw r0, [r10-8]
      sub r6, r10
      add r0, r6
      exit
    f: mov r3, r10
      stdw [r10-8], 5
      ldxdw r4, [r10+504]
      jeq r4, 7, fine
      mov r0, 99
      exit
    fine: exit
    """
    assert result(machine, text) == 7


@every_machine
def test_depth(machine: Machine) -> None:
    text = "mov r1, {n}\n call local f\n mov r0, r1\n exit\n f: jeq r1, 0, end\n sub r1, 1\n call local f\n end: exit"
    assert result(machine, text.format(n=6)) == 0
    assert fault(machine, text.format(n=7)) == (Fault.DEPTH, 6, 0)


@every_machine
def test_callx(machine: Machine) -> None:
    assert result(machine, "mov r2, 8\n callx r2\n add r0, 3\n exit") == 3
    assert result(machine, "lddw r6, code f\n callx r6\n add r0, 1\n exit\n f: mov r0, 41\n exit") == 42
    assert fault(machine, "mov r0, 1\n mov r2, 77\n callx r2\n exit") == (Fault.HELPER, 2, 77)
    assert fault(machine, "lddw r2, code f\n add r2, 1\n callx r2\n f: lddw r0, 1\n exit")[0] is Fault.TARGET
    assert fault(machine, "lddw r2, 0x80000100\n callx r2\n exit") == (Fault.TARGET, 2, CODE | 256)
    assert fault(machine, "lddw r2, 0x180000000\n callx r2\n exit") == (Fault.TARGET, 2, 0x180000000)
    assert fault(machine, "lddw r2, 0x100000005\n callx r2\n exit") == (Fault.TARGET, 2, 0x100000005)
    assert fault(machine, "mov r2, r10\n callx r2\n exit") == (Fault.TARGET, 1, STACK | 4096)


@every_machine
def test_faults_charge_up_to_their_instruction(machine: Machine) -> None:
    ran = rig(
        machine, "mov r0, 1\n mov r1, 0\n ja on\n on: mov r2, 2\n ldxdw r3, [r1+16]\n exit", data=bytes(128)
    ).finish()
    assert ran.fault() == (Fault.ADDRESS, 4, 16)
    context = ran.context()
    assert (context.executed, context.records, context.position, context.depth) == (4, 0, 0, 0)
    assert context.registers[:3] == (1, 0, 2)
    assert context.flags == ContextFlag.IN_RECORD
    assert ran.run() == (1, Stop.DONE)
    assert ran.fault() == (Fault.ADDRESS, 4, 16)


@every_machine
def test_only_ready_and_paused_ones_run(machine: Machine) -> None:
    ran = rig(machine, "mov r0, 4\n exit", count=6)
    for slot, state in enumerate(State):
        ran.begin(slot, shard=slot)
        ran.context(slot).state = state
    assert ran.run() == (6, Stop.DONE)
    assert [ran.context(slot).records for slot in range(6)] == [0, 1, 0, 1, 0, 0]
    assert [State(ran.context(slot).state) for slot in range(6)] == [
        State.FREE,
        State.DONE,
        State.RUNNING,
        State.DONE,
        State.DONE,
        State.FAULTED,
    ]


@every_machine
def test_a_fault_ends_one_microvm_and_no_other(machine: Machine) -> None:
    text = "ldxh r0, [r1+44]\n jne r0, 2, over\n mov r2, 0\n ldxb r0, [r2+0]\n over: exit"
    ran = rig(machine, text, count=4, data=bytes(256))
    for slot in range(4):
        ran.begin(slot, shard=slot, start=64 * slot, stop=64 * (slot + 1))
    assert ran.run() == (4, Stop.DONE)
    assert [State(ran.context(slot).state) for slot in range(4)] == [State.DONE, State.FAULTED, State.DONE, State.DONE]
    assert [ran.context(slot).result for slot in range(4)] == [1, 0, 3, 4]


@every_machine
def test_contexts_are_canonical(machine: Machine) -> None:
    """Equal microVMs are equal bytes: what only a running record has is zero outside of one."""
    text = "stdw [r10-8], 5\n call local f\n exit\n f: mov r6, 6\n again: add r6, 1\n jne r6, 20, again\n exit"
    ran = rig(machine, text)
    ran.run(1)
    ran.run(1)
    assert ran.context().depth == 1
    assert ran.context().store[56:64] == (5).to_bytes(8, "little")
    assert ran.context().stack_low == 4096 - 64
    ran.finish()
    context = ran.context()
    assert context.view[96:472] == bytes(376)
    assert context.view[560:1024] == bytes(464)


@every_machine
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pc", 2),
        ("pc", 999),
        ("pc", 0xFFFFFFFF),
        ("depth", 8),
        ("depth", 0xFFFFFFFF),
        ("stack_low", 4097),
        ("stack_low", 4095),
        ("stack_low", 0),
        ("reserved", 4104),
        ("reserved", 4),
        ("data", 255),
        ("data_end", 321),
        ("record_stop", 1 << 63),
    ],
)
def test_contexts_that_cannot_be_fault(machine: Machine, field: str, value: int) -> None:
    ran = rig(machine, "again: lddw r1, 5\n add r0, 1\n jne r0, 9, again\n exit")
    ran.run(1)
    pc = ran.context().pc
    setattr(ran.context(), field, value if field != "pc" or value != 2 else pc + 1)
    ran.run()
    assert ran.fault() == (Fault.INSTRUCTION, 0, 0)
    assert ran.context().flags == 0


@every_machine
def test_return_slots_are_checked(machine: Machine) -> None:
    ran = rig(machine, "call local f\n exit\n f: add r0, 1\n jne r0, 9, f\n exit")
    ran.run(1)
    frames = list(ran.context().frames)
    frames[0] = 5 << 40
    ran.context().frames = frames
    ran.run()
    assert ran.fault() == (Fault.INSTRUCTION, 0, 0)


def changed(arguments: list[Any], index: int, value: Any) -> list[Any]:
    return [value if i == index else argument for i, argument in enumerate(arguments)]


@every_machine
def test_arguments_of_run_are_checked(machine: Machine) -> None:
    ran = rig(machine, "exit", count=2)
    arguments: list[Any] = [
        ran.prepared, ran.contexts, ran.spill, ran.maps, 0, 2, ran.data, 0, True, 1, 64, b"", bytearray(8), 1, 1, 0
    ]  # fmt: skip
    assert machine.run(*arguments) == (2, Stop.DONE, 0)
    for index, wrong in (
        (1, ran.contexts[:-1]),
        (2, ran.spill[:-1]),
        (4, 1),
        (10, 0),
        (11, bytes(15)),
        (9, 5),
        (4, -1),
    ):
        with pytest.raises((ValueError, OverflowError)):
            machine.run(*changed(arguments, index, wrong))
    for index, readonly in ((1, bytes(ran.contexts)), (2, bytes(ran.spill)), (12, bytes(8))):
        with pytest.raises((TypeError, ValueError, BufferError)):
            machine.run(*changed(arguments, index, readonly))
