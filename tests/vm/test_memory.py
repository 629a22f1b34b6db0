"""Regions: what is mapped, what may be stored to, private copies, the zeroed stack, the record context."""

from __future__ import annotations

import struct

import pytest

from packetfs.vm.context import BASE_UNKNOWN
from packetfs.vm.image import load
from packetfs.vm.layout import ContextFlag, ContextKind, Fault, MapFlag, Region, State, Stop
from packetfs.vm.machine import Machine
from packetfs.vm.memory import COPY_AT
from tests.vm.rig import Rig, array, every_machine, fault, program, result, rig, table

CTX, STACK, DATA, MAPS, MAP, SHARED, RESERVE, CODE = (region << 28 for region in list(Region)[1:])
SIZES = (("b", 1), ("h", 2), ("w", 4), ("dw", 8))


def at(address: int, instruction: str) -> str:
    return f"lddw r9, {address:#x}\n {instruction}\n mov r0, 1\n exit"


@every_machine
@pytest.mark.parametrize(("letter", "size"), SIZES)
@pytest.mark.parametrize(("low", "high"), [(STACK, STACK + 4096), (DATA + 256, DATA + 320), (MAPS, MAPS + 64)])
def test_edges_of_writable_regions(machine: Machine, letter: str, size: int, low: int, high: int) -> None:
    maps = (array(8),)
    for form in (f"ldx{letter} r3, [r9+0]", f"stx{letter} [r9+0], r3", f"st{letter} [r9+0], 1"):
        for address in (low, low + 1, high - size):
            assert result(machine, at(address, form), *maps) == 1
        for address in (low - 1, high - size + 1, high):
            assert fault(machine, at(address, form), *maps) == (Fault.ADDRESS, 2, address)


@every_machine
@pytest.mark.parametrize(
    "address", [0, 1, MAP, CODE, RESERVE, SHARED, 9 << 28, 15 << 28, 1 << 32 | STACK, (1 << 64) - 8]
)
def test_what_is_not_mapped(machine: Machine, address: int) -> None:
    for form in ("ldxb r3, [r9+0]", "stb [r9+0], 1", "lock add [r9+0], r3"):
        assert fault(machine, at(address, form), array()) == (Fault.ADDRESS, 2, address)


@every_machine
def test_addresses_wrap_at_64_bits_and_nowhere_else(machine: Machine) -> None:
    assert fault(machine, at(8, "ldxb r3, [r9-16]"))[2] == (1 << 64) - 8
    assert fault(machine, at(DATA, "ldxdw r3, [r9-4]"))[2] == DATA - 4
    assert fault(machine, at((1 << 64) - 1, "ldxb r3, [r9+9]"))[2] == 8


@every_machine
@pytest.mark.parametrize("address", [CTX, CTX + 56, SHARED, SHARED + 8])
def test_read_only(machine: Machine, address: int) -> None:
    rodata = array(1, 16, flags=int(MapFlag.READ_ONLY), initial=b"0123456789abcdef")
    assert result(machine, at(address, "ldxdw r3, [r9+0]"), rodata) == 1
    for form in ("stdw [r9+0], 1", "stxb [r9+7], r3", "lock fetch add [r9+0], r3", "lock cmpxchg [r9+0], r3"):
        assert fault(machine, at(address, form), rodata)[:2] == (Fault.READ_ONLY, 2)


@every_machine
def test_an_atomic_that_may_not_store_reads_nothing(machine: Machine) -> None:
    ran = rig(machine, at(CTX + 24, "lock fetch add [r9+0], r3"))
    ran.begin(base=BASE_UNKNOWN)
    assert ran.run()[1] == Stop.DONE
    assert ran.fault()[0] == Fault.READ_ONLY
    assert ran.context().fields_read == 0


@every_machine
def test_bounds_go_before_read_only(machine: Machine) -> None:
    assert fault(machine, at(CTX + 57, "stdw [r9+0], 1"))[0] is Fault.ADDRESS
    assert fault(machine, at(CTX + 64, "stb [r9+0], 1"))[0] is Fault.ADDRESS


@every_machine
def test_the_file_is_never_changed(machine: Machine) -> None:
    text = "ldxdw r1, [r1+0]\n ldxb r3, [r1+0]\n add r3, 1\n stxb [r1+0], r3\n ldxb r0, [r1+0]\n exit"
    data = bytes(range(8))
    ran = rig(machine, text, data=data, size=4)
    assert ran.finish().context().result == 5
    assert ran.data == bytes(range(8))
    assert bytes(ran.spill[COPY_AT + 256 : COPY_AT + 260]) == b"\5\5\6\7"
    assert ran.context().flags == 0


@every_machine
def test_a_private_copy_survives_a_pause(machine: Machine) -> None:
    text = """
      ldxdw r1, [r1+0]
      stb [r1+1], 0x77
    again: add r6, 1
      jne r6, 5, again
      ldxh r0, [r1+0]
      exit
    """
    ran = rig(machine, text, data=b"\x11" * 64)
    ran.run(1)
    assert ran.context().flags == ContextFlag.IN_RECORD | ContextFlag.COPIED
    assert ran.finish().context().result == 0x7711


@every_machine
def test_records_too_long_for_a_copy_can_be_read(machine: Machine) -> None:
    data = bytes(65_536) + b"\x05"
    read = "ldxdw r1, [r1+0]\n add r1, r2\n ldxb r0, [r1-1]\n exit"
    store = "ldxdw r1, [r1+0]\n stb [r1+0], 1\n ldxb r0, [r1+0]\n exit"
    assert result(machine, read, data=data, size=1 << 20) == 5
    assert fault(machine, store, data=data, size=1 << 20) == (Fault.RECORD, 1, DATA + 256)
    assert result(machine, store, data=data[:-1], size=1 << 20) == 1


@every_machine
def test_stack_is_zero_for_each_record(machine: Machine) -> None:
    text = """
      ldxdw r0, [r10-8]
      ldxdw r1, [r10-512]
      or r0, r1
      lddw r3, 0x20000000
      ldxdw r1, [r3+0]
      or r0, r1
      stdw [r10-8], -1
      stdw [r10-512], -1
      stdw [r3+0], -1
      exit
    """
    assert result(machine, text, data=bytes(64 * 3)) == 0


@every_machine
@pytest.mark.parametrize(
    ("offset", "low", "spilled"), [(-1, 4032, 0), (-64, 4032, 0), (-65, 3968, 0), (-384, 3712, 0), (-385, 3648, 2)]
)
def test_used_stack_of_a_paused_microvm(machine: Machine, offset: int, low: int, spilled: int) -> None:
    text = f"stb [r10{offset}], 9\n again: add r1, 1\n ldxb r0, [r10{offset}]\n add r6, 1\n jne r6, 3, again\n exit"
    ran = rig(machine, text)
    ran.run(1)
    context = ran.context()
    assert (context.stack_low, context.flags) == (low, ContextFlag.IN_RECORD | spilled)
    place = ran.spill[4096 + offset] if spilled else context.store[4096 + offset - low]
    assert place == 9
    if spilled:
        assert bytes(context.store) == bytes(384)
    assert ran.finish().context().result == 9


@every_machine
def test_deep_stacks_survive_a_pause(machine: Machine) -> None:
    text = """
      call local f
      exit
    f: stxdw [r10-8], r10
      add r1, 1
      jeq r6, 5, turn
      add r6, 1
      call local f
    turn: ldxdw r0, [r10-8]
      sub r0, r10
      jne r0, 0, bad
      mov r0, 12
      exit
    bad: mov r0, 13
      exit
    """
    ran = rig(machine, text, fuel=400)
    ran.finish([1])
    assert ran.context().state == State.DONE, ran.fault()
    assert ran.context().result == 12


CONTEXT_FIELDS = {0: DATA + 256, 8: DATA + 356, 16: DATA + 256, 24: 11, 32: 100, 48: RESERVE, 56: RESERVE + 4096}


@every_machine
@pytest.mark.parametrize(("offset", "value"), CONTEXT_FIELDS.items())
def test_record_context(machine: Machine, offset: int, value: int) -> None:
    ran = rig(machine, f"ldxdw r0, [r1+{offset}]\n exit", data=bytes(200), size=100)
    ran.begin(base=10)
    assert ran.finish().context().result == value
    assert ran.context().fields_read == 0xFF << offset


@every_machine
def test_numbers_in_the_record_context(machine: Machine) -> None:
    ran = rig(machine, "ldxdw r0, [r1+40]\n exit")
    ran.begin(shard=65_535 + 6)
    assert ran.finish().context().result == 3 | 7 << 32  # file 3, microVM 7
    assert rig(machine, "ldxh r0, [r1+63]\n exit").finish().fault() == (Fault.ADDRESS, 0, CTX + 63)


@every_machine
def test_xdp_context(machine: Machine) -> None:
    for offset, value in ((0, DATA + 256), (4, DATA + 306), (8, DATA + 256), (12, 1), (16, 0), (20, 0)):
        text = f"ldxw r0, [r1+{offset}]\n exit"
        ran = rig(machine, text, data=bytes(50), kind=ContextKind.XDP).finish()
        assert ran.context().result == value
        assert ran.context().fields_read == 0xF << offset
    assert fault(machine, "ldxdw r0, [r1+20]\n exit", kind=ContextKind.XDP) == (Fault.ADDRESS, 0, CTX + 20)


@every_machine
def test_raw_has_no_context(machine: Machine) -> None:
    assert result(machine, "ldxdw r0, [r1+0]\n exit", data=struct.pack("<Q", 77), kind=ContextKind.RAW) == 77
    assert fault(machine, at(CTX, "ldxb r0, [r9+0]"), kind=ContextKind.RAW) == (Fault.ADDRESS, 2, CTX)
    bounds = struct.pack("<QQ", 5, 5)
    ran = rig(machine, "add r1, r2\n mov r0, r1\n exit", kind=ContextKind.RAW, bounds=bounds, framing=3).finish()
    assert ran.context().result == 0


@every_machine
def test_record_index_waits_for_its_base(machine: Machine) -> None:
    text = "mov r6, 6\n ldxb r0, [r1+23]\n ldxh r0, [r1+23]\n exit"
    ran = rig(machine, text)
    ran.begin(base=BASE_UNKNOWN)
    assert ran.run() == (0, Stop.INDEX)
    context = ran.context()
    assert (context.state, context.pc, context.executed) == (State.PAUSED, 2, 2)
    assert context.fields_read == 1 << 23
    assert ran.run() == (0, Stop.INDEX)
    assert ran.context().executed == 2
    ran.context().record_base = 0xAB
    ran.finish()
    assert ran.context().result == 0xAB00
    assert ran.context().executed == 4
    assert ran.context().fields_read == 3 << 23


@every_machine
def test_atomics_count_as_stores(machine: Machine) -> None:
    text = "mov r0, 5\n mov r3, 9\n lock cmpxchg [r10-80], r3\n again: add r6, 1\n jne r6, 3, again\n exit"
    ran = rig(machine, text)
    ran.run(1)
    assert ran.context().stack_low == 4096 - 128
    assert ran.context().registers[0] == 0
    copied = rig(machine, "ldxdw r2, [r1+0]\n lock cmpxchg [r2+0], r3\n again: add r6, 1\n jne r6, 3, again\n exit")
    copied.run(1)
    assert copied.context().flags & ContextFlag.COPIED


@every_machine
def test_microvms_have_memory_of_their_own(machine: Machine) -> None:
    image = load(
        program("lddw r3, map 0\n lddw r3, value 0 + 0\n ldxh r4, [r1+44]\n stxdw [r3+8], r4\n exit", array(2), table())
    )
    ran = Rig(machine, image, data=bytes(256), count=4)
    for slot in range(4):
        ran.begin(slot, shard=slot, start=64 * slot, stop=64 * slot + 64)
    ran.run()
    for slot in range(4):
        memory = ran.maps[slot * image.maps_bytes :][: image.maps_bytes]
        assert memory == bytes(8) + struct.pack("<Q", slot + 1) + bytes(image.maps_bytes - 16)
