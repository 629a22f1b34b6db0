"""Code, places of maps, snapshots and buffers of reduction that no toolchain made, handed to the C core as they are."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.errors import BadMicroVM, PacketFSError
from packetfs.vm.context import begin_shard
from packetfs.vm.image import load
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, MapType, State
from packetfs.vm.machine import MACHINES, NATIVE
from packetfs.vm.program import Program
from packetfs.vm.snapshot import freeze, thaw
from tests.vm.code import any_bytes
from tests.vm.rig import Rig, array, program, table

core: Any = native
needs_core = pytest.mark.skipif(NATIVE is None, reason="these are calls into the C core")
EXIT = bytes((0x95, 0, 0, 0, 0, 0, 0, 0))
PLACE = struct.Struct("<IIIIIIQQII")
WORDS = st.sampled_from([0, 1, 2, 4, 8, 63, 64, 4096, 1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
LONG = WORDS | st.sampled_from([1 << 32, 1 << 63, (1 << 64) - 64, (1 << 64) - 8, (1 << 64) - 1])
CALLS = """
    stdw [r10-8], 0
    stdw [r10-16], 0
    mov r2, r10
    add r2, -8
    mov r3, r10
    add r3, -16
    mov r4, 0
    lddw r1, 0x50000000
    call 2
    call 1
    jeq r0, 0, out
    ldxb r5, [r0+0]
    call 3
    out: exit
"""


@needs_core
@settings(max_examples=300)
@given(any_bytes, st.integers(0, (1 << 32) - 1) | st.integers(0, 8))
def test_any_code_is_refused_or_runs_within_its_bounds(code: bytes, entry: int) -> None:
    try:
        capsule = core.vm_load(code + EXIT, b"", b"", entry, 0)
    except ValueError:
        return
    contexts, spill, out = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(64)
    begin_shard(contexts, 0, shard=0, start=0, stop=64, position=0, record_base=0, seed=1)
    for _ in range(3):
        core.vm_run(capsule, contexts, spill, bytearray(), 0, 1, bytes(64), 0, True, 1, 64, b"", out, 5000, 5000, 0)


@needs_core
@settings(max_examples=300)
@given(
    st.tuples(
        st.sampled_from([*MapType, 0, 3, (1 << 32) - 1]),
        WORDS,
        WORDS,
        WORDS,
        st.sampled_from([0, 0x80]),
        WORDS,
        LONG,
        LONG,
        WORDS,
    )
)
def test_any_place_of_a_map_is_refused_or_lies_in_its_memory(fields: tuple[int, ...]) -> None:
    shared = bytearray(256)
    try:
        capsule = core.vm_load(program(CALLS).code, PLACE.pack(*fields, 0), shared, 0, 0)
    except ValueError:
        return
    contexts, spill, out = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(64)
    begin_shard(contexts, 0, shard=0, start=0, stop=64, position=0, record_base=0, seed=1)
    for room in (0, 64, 4096, 1 << 20):
        try:
            core.vm_run(
                capsule, contexts, spill, bytearray(room), 0, 1, bytes(64), 0, True, 1, 64, b"", out, 99, 5000, 0
            )
        except ValueError:
            continue
    assert shared == bytes(256)


@needs_core
@pytest.mark.parametrize(
    ("code", "places", "kind"),
    [
        (b"", b"", 0),
        (EXIT[:7], b"", 0),
        (EXIT * 65_537, b"", 0),
        (EXIT, bytes(47), 0),
        (EXIT, bytes(48 * 65), 0),
        (EXIT, b"", 3),
    ],
)
def test_sizes_of_code_and_places_are_checked(code: bytes, places: bytes, kind: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        core.vm_load(code, places, b"", 0, kind)


@needs_core
def test_a_capsule_of_somebody_else_is_refused() -> None:
    import unicodedata

    ran = Rig(MACHINES[-1], load(program("exit")))
    with pytest.raises(ValueError, match=r"."):
        core.vm_run(
            unicodedata._ucnhash_CAPI,  # type: ignore[attr-defined]
            ran.contexts,
            ran.spill,
            ran.maps,
            0,
            1,
            b"",
            0,
            True,
            1,
            64,
            b"",
            bytearray(),
            1,
            1,
            0,
        )


@pytest.mark.parametrize("code", [bytes(8 * 65_536), b"\x18" + bytes(7), b"\x05\0\xff\xff" + bytes(4), b"\x95\0"])
def test_programs_that_are_none_are_refused_in_words(code: bytes) -> None:
    try:
        load(Program(code))
    except PacketFSError:
        return
    assert code[0] == 5  # an endless loop is a program


def _frozen() -> bytes:
    ran = Rig(MACHINES[-1], load(program("mov r0, 0\n mov r2, 9\n a: add r2, -1\n jne r2, 0, a\n exit", array())))
    ran.run(slice_slots=5)
    return freeze(ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes, [0])


FROZEN = _frozen()


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(FROZEN) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 200),
)
def test_damaged_snapshots_are_refused_or_fit(changes: list[tuple[int, int]], cut: int) -> None:
    packets = bytearray(FROZEN)
    for at, value in changes:
        packets[at] = value
    ran = Rig(MACHINES[-1], load(program("mov r0, 0\n mov r2, 9\n a: add r2, -1\n jne r2, 0, a\n exit", array())))
    ran.contexts[:] = bytes(CONTEXT_BYTES)
    try:
        thaw(packets[: len(packets) - cut], ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes)
    except (BadMicroVM, PacketFSError):
        assert ran.context().state == State.FREE
    else:
        ran.run(slice_slots=100)


def test_a_microvm_in_a_slot_twice_takes_none() -> None:
    ran = Rig(MACHINES[-1], load(program("exit", array())))
    ran.contexts[:] = bytes(CONTEXT_BYTES)
    with pytest.raises(BadMicroVM):
        thaw(FROZEN * 2, ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes)
    assert ran.context().state == State.FREE


@pytest.mark.parametrize("at", [32, 33, 39, 52, 55, 56, 59])
def test_a_snapshot_that_claims_more_is_refused_before_memory_is_taken(at: int) -> None:
    packets = bytearray(FROZEN)
    packets[at] ^= 0xFF
    ran = Rig(MACHINES[-1], load(program("exit", array())))
    ran.contexts[:] = bytes(CONTEXT_BYTES)
    with pytest.raises((BadMicroVM, PacketFSError)):
        thaw(packets, ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes)


@needs_core
@pytest.mark.parametrize("maps_bytes", [-1, (1 << 28) + 1, 1 << 62])
def test_sizes_of_tables_are_checked(maps_bytes: int) -> None:
    one = bytearray(CONTEXT_BYTES)
    with pytest.raises((ValueError, OverflowError)):
        core.vm_freeze(one, bytearray(SPILL_STRIDE), bytearray(), maps_bytes, bytes(4))
    with pytest.raises((ValueError, OverflowError)):
        core.vm_thaw(FROZEN, one, bytearray(SPILL_STRIDE), bytearray(), maps_bytes)


@needs_core
@pytest.mark.parametrize("slot", [1, 1 << 16, (1 << 32) - 1])
def test_slots_outside_the_table_are_refused(slot: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        core.vm_freeze(bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE), bytearray(), 0, slot.to_bytes(4, "little"))


@needs_core
@settings(max_examples=200)
@given(
    st.integers(0, 40),
    st.integers(0, 80),
    st.sampled_from([-1, 0, 1, 2, 9, 1 << 31, 1 << 62]),
    st.sampled_from([-1, 0, 1, 8, 40, 1 << 31, 1 << 62, (1 << 63) - 1]),
    st.integers(0, 11),
    st.sampled_from([0, 1, 2, 3, 4, 8, 16]),
)
def test_reduction_never_reads_beyond_its_values(
    size: int, held: int, count: int, stride: int, reducer: int, width: int
) -> None:
    if count > 1000 and stride == 0:
        return  # so many times the same bytes: allowed, and long
    try:
        core.vm_reduce(bytearray(size), bytes(held), count, stride, reducer, width)
    except ValueError:
        return
    assert count <= 0 or size + (count - 1) * stride <= held


def test_a_hash_table_of_the_largest_size_is_still_checked() -> None:
    with pytest.raises(PacketFSError):
        load(program("exit", *[table(1 << 24, 512, 65_536)] * 64))
