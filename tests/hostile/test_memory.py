"""Programs that reach for what is not theirs: edges of every region, sums that wrap, forged headers, scribbled maps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.vm.image import load
from packetfs.vm.layout import HEADROOM, REGION_SHIFT, Fault, Framing, MapFlag, Region, State
from packetfs.vm.machine import MACHINES, Machine
from tests.vm.rig import RING, Rig, array, every_machine, fault, program, result, rig, table

SIZES = {1: "b", 2: "h", 4: "w", 8: "dw"}
RECORD = bytes(range(64))
READ_ONLY = array(1, 16, flags=int(MapFlag.READ_ONLY), initial=b"\1" * 16)
RESERVED = "lddw r1, map 2\n mov r2, 8\n mov r3, 0\n call 131\n"
"""Makes RESERVE 16 bytes long: a header and room for 8 bytes."""

EDGES = {
    Region.NULL: (0, 0),
    Region.CTX: (0, 64),
    Region.STACK: (0, 4096),
    Region.DATA: (HEADROOM, HEADROOM + len(RECORD)),
    Region.MAPS: (0, 64),
    Region.MAP: (0, 0),
    Region.SHARED: (0, 16),
    Region.RESERVE: (0, 16),
    Region.CODE: (0, 0),
}
"""What is mapped in each region, for a program with `array(4)`, READ_ONLY and RING, behind RESERVED."""
STORABLE = (Region.STACK, Region.DATA, Region.MAPS, Region.RESERVE)


def _access(instruction: str, address: int) -> str:
    return f"{RESERVED} lddw r1, {address:#x}\n mov r3, 0\n mov r0, 0\n {instruction}\n mov r0, 7\n exit"


def _ends(machine: Machine, text: str) -> tuple[State, Fault, int]:
    ran = Rig(machine, load(program(text, array(4), READ_ONLY, RING)), RECORD).finish()
    context = ran.context()
    return State(context.state), Fault(context.fault), context.fault_address


@every_machine
@pytest.mark.parametrize("region", EDGES, ids=lambda region: region.name)
def test_each_edge_of_each_region_holds_to_the_byte(machine: Machine, region: Region) -> None:
    low, high = EDGES[region]
    for size, letter in SIZES.items():
        for at in {low - size, low - 1, low, high - size, high - size + 1, high - 1, high, high + 1}:
            address = ((region << REGION_SHIFT) + at) & (1 << 64) - 1
            inside = low <= at and at + size <= high
            state, why, where = _ends(machine, _access(f"ldx{letter} r2, [r1+0]", address))
            assert (state is State.DONE) == inside, (size, hex(address))
            assert inside or (why, where) == (Fault.ADDRESS, address)
            state, why, where = _ends(machine, _access(f"stx{letter} [r1+0], r3", address))
            fixed = inside and region not in STORABLE
            assert (state is State.DONE) == (inside and not fixed), (size, hex(address))
            assert state is State.DONE or why is (Fault.READ_ONLY if fixed else Fault.ADDRESS)


@every_machine
@pytest.mark.parametrize("high", [1 << 32, 1 << 36, 1 << 63, 0xFFFFFFFF << 32], ids=hex)
def test_an_address_is_all_of_its_64_bits(machine: Machine, high: int) -> None:
    for region in (Region.STACK, Region.DATA, Region.MAPS, Region.SHARED):
        address = high | region << REGION_SHIFT | EDGES[region][0]
        for text in ("ldxdw r2, [r1+0]", "stxdw [r1+0], r3", "lock add [r1+0], r3", "lock fetch add [r1+0], r3"):
            assert _ends(machine, _access(text, address))[1:] == (Fault.ADDRESS, address)


@every_machine
def test_offsets_do_not_reach_across_regions_or_wrap(machine: Machine) -> None:
    assert _ends(machine, _access("ldxdw r2, [r1-8]", 0))[1:] == (Fault.ADDRESS, (1 << 64) - 8)
    assert _ends(machine, _access("ldxdw r2, [r1+8]", (1 << 64) - 8))[1:] == (Fault.ADDRESS, 0)
    assert _ends(machine, _access("ldxdw r2, [r1+32767]", (2 << 28) - 32767))[0] is State.DONE  # STACK + 0
    assert _ends(machine, _access("ldxdw r2, [r1-32768]", (2 << 28) + 32768 + 4089))[1] is Fault.ADDRESS


@every_machine
@pytest.mark.parametrize("size", [-1, 1 << 63, 1 << 32, (1 << 28) + 1, 4097])
@pytest.mark.parametrize(
    "call",
    [
        "mov r1, r10\n add r1, -512\n mov r2, r9\n call 4096",
        "mov r2, r10\n add r2, -512\n mov r3, r9\n lddw r1, map 2\n call 130",
    ],
    ids=["emit", "ringbuf_output"],
)
def test_sizes_of_emissions_do_not_wrap(machine: Machine, size: int, call: str) -> None:
    text = f"lddw r9, {size & (1 << 64) - 1:#x}\n mov r4, 0\n {call}\n exit"
    ran = rig(machine, text, array(4), READ_ONLY, RING).finish()
    assert ran.fault()[0] is Fault.ADDRESS
    assert ran.output == b""


@every_machine
@pytest.mark.parametrize("call", [189, 190])
@pytest.mark.parametrize(
    ("offset", "size"), [(1, -1), (-1, 1), (-1, 2), (1 << 63, 1 << 63), (0, 65), (64, 1), (65, 0xFFFFFFFF)]
)
def test_parts_of_a_record_do_not_wrap(machine: Machine, call: int, offset: int, size: int) -> None:
    mask = (1 << 64) - 1
    text = f"lddw r2, {offset & mask:#x}\n mov r3, r10\n add r3, -512\n lddw r4, {size & mask:#x}\n call {call}\n exit"
    assert result(machine, text, data=RECORD) == -22 & mask


@every_machine
@pytest.mark.parametrize("size", [-1, 4097, 1 << 32, (1 << 64) - 7, 4089])
def test_a_reservation_that_is_too_large_is_none(machine: Machine, size: int) -> None:
    text = f"lddw r1, map 0\n lddw r2, {size & (1 << 64) - 1:#x}\n mov r3, 0\n call 131\n exit"
    assert result(machine, text, RING) == 0


FORGED = "lddw r1, map 0\n mov r2, 64\n mov r3, 0\n call 131\n mov r6, r0\n"
"""r6 = RESERVE + 8; the reserve has 72 bytes."""


@every_machine
@pytest.mark.parametrize("call", [132, 133])
@pytest.mark.parametrize(
    "forge",
    [
        "stw [r6-8], 65",  # one byte more than there is
        "stw [r6-8], -1",
        "stw [r6-4], 2",
        "stw [r6-4], 0",
        "add r6, 64",  # at the end: no header that is open
        "add r6, 4",
        "add r6, -8",
        "mov r6, 0",
        "lddw r6, 0x100070000008",
        "lddw r6, 0x70001008",
        "lddw r6, 0x6ffffff8",
    ],
)
def test_forged_reservations_fault(machine: Machine, call: int, forge: str) -> None:
    ran = rig(machine, f"{FORGED} {forge}\n mov r1, r6\n call {call}\n exit", RING).finish()
    assert ran.fault()[0] is Fault.ADDRESS
    assert ran.output == b""


@every_machine
def test_a_reservation_forged_within_another_gives_its_own_bytes_only(machine: Machine) -> None:
    forge = "stw [r6+8], 48\n stw [r6+12], 1\n add r6, 16\n"  # 8 + 16 + 48 = all 72 bytes
    assert rig(machine, f"{FORGED} {forge} mov r1, r6\n call 132\n exit", RING).finish().output == bytes(48)
    assert fault(machine, f"{FORGED} {forge} stw [r6-8], 49\n mov r1, r6\n call 132\n exit", RING)[0] is Fault.ADDRESS


MAPS_CALLS = """
    mov r2, r10
    add r2, -8
    mov r3, r10
    add r3, -16
    mov r4, 0
    ldxdw r9, [r1+0]
    ldxdw r8, [r9+0]
    stxdw [r10-8], r8
    lddw r1, map 0
    call 2
    mov r7, r0
    call 1
    jeq r0, 0, gone
    stdw [r0+0], 5
    gone: call 3
    call 2
    call 1
    lsh r7, 32
    xor r0, r7
    exit
"""


@settings(max_examples=60)
@given(st.data())
def test_both_interpreters_survive_any_content_of_a_hash_table(data: st.DataObject) -> None:
    image = load(program(MAPS_CALLS, table(4)))
    words = st.sampled_from([0, 1, 2, 4, 5, 6, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 0xFFFFFFFF)
    count = image.maps_bytes // 4
    scribbled = data.draw(st.lists(words, min_size=count, max_size=count))
    left = []
    for machine in MACHINES:
        ran = Rig(machine, image, RECORD * 4)
        ran.maps[:] = b"".join(word.to_bytes(4, "little") for word in scribbled)
        left.append(ran.finish().remains())
    assert all(one == left[0] for one in left)


@settings(max_examples=40)
@given(st.lists(st.tuples(*[st.integers(0, (1 << 64) - 1) | st.integers(0, 80)] * 2), min_size=1, max_size=6))
def test_lists_of_records_may_say_anything(pairs: list[tuple[int, int]]) -> None:
    bounds = b"".join(low.to_bytes(8, "little") + high.to_bytes(8, "little") for low, high in pairs)
    text = "mov r0, 0\n jeq r2, 0, out\n ldxdw r3, [r1+0]\n ldxb r0, [r3+0]\n add r3, r2\n ldxb r4, [r3-1]\n out: exit"
    left = []
    for machine in MACHINES:
        ran = Rig(machine, load(program(text)), RECORD, Framing.LIST, 0, bounds)
        ran.run()
        left.append(ran.remains())
    assert all(one == left[0] for one in left)
