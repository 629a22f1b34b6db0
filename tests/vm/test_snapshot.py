"""MicroVMs as packets: they go on elsewhere with the same bytes, and no packets hurt a table."""

from __future__ import annotations

import struct
from array import array as numbers_of
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.errors import BadMicroVM
from packetfs.packet.codec import decode, iterate
from packetfs.packet.head import Head, Kind
from packetfs.packet.layout import PACKET, Op
from packetfs.vm.context import Context
from packetfs.vm.layout import CONTEXT_BYTES, SPILL_STRIDE, ContextFlag, State
from packetfs.vm.machine import TWIN
from packetfs.vm.snapshot import chunks, freeze, freeze_python, thaw, thaw_python
from tests.vm.rig import RING, Rig, array, rig

CORE: Any = native
PAIRS: list[Any] = [(freeze_python, thaw_python)]
if native is not None:
    PAIRS.append((CORE.vm_freeze, CORE.vm_thaw))
every_pair = pytest.mark.parametrize(("frozen", "thawed"), PAIRS, ids=["twin", "native"][: len(PAIRS)])

BUSY = """
    mov r8, r1
    mov r6, r1
    ldxdw r9, [r6+0]
    stxdw [r10-{deep}], r2
    stb [r9+1], 0x55
    lddw r1, map 1
    mov r2, 20
    mov r3, 0
    call 131
    mov r7, r0
    stw [r7+4], 0x1234
    lddw r1, value 0 + 8
    stdw [r1+0], 99
  again: add r5, 1
    jlt r5, 9, again
    mov r1, r7
    call 132
    mov r1, r9
    mov r2, 4
    call 4096
    ldxdw r0, [r10-{deep}]
    exit
"""
"""Uses every part of a microVM before its first pause."""


def busy(deep: int = 8, count: int = 1) -> Rig:
    ran = rig(TWIN, BUSY.format(deep=deep), array(3), RING, data=bytes(range(64)) * count, count=count)
    for slot in range(count):
        ran.begin(slot, shard=slot, start=64 * slot, stop=64 * slot + 64)
    return ran


def empty(like: Rig) -> Rig:
    """Return a rig whose slots are FREE and whose memory is not what the other one has."""
    other = Rig(TWIN, like.image, like.data, like.framing, like.size, like.bounds, like.count, fuel=like.fuel)
    other.contexts[:] = bytes(len(other.contexts))
    other.spill[:] = b"\xee" * len(other.spill)
    other.maps[:] = b"\xee" * len(other.maps)
    return other


def packed(*slots: int) -> bytes:
    return struct.pack(f"<{len(slots)}I", *slots)


def freeze_all(ran: Rig, frozen: Any = freeze_python) -> bytes:
    return bytes(frozen(ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes, packed(*range(ran.count))))


@every_pair
@pytest.mark.parametrize("deep", [8, 64, 384, 385, 512])
@pytest.mark.parametrize("pauses", [0, 1, 2, 9])
def test_a_microvm_goes_on_elsewhere(frozen: Any, thawed: Any, deep: int, pauses: int) -> None:
    ran = busy(deep)
    for _ in range(pauses):
        ran.run(1)
    packets = freeze_all(ran, frozen)
    other = empty(ran)
    assert thawed(packets, other.contexts, other.spill, other.maps, ran.image.maps_bytes) == packed(0)
    assert freeze_all(other, frozen) == packets == freeze_all(other)
    other.output = ran.output
    assert other.finish().remains() == ran.finish().remains()
    assert ran.context().result == 64


def test_the_packets() -> None:
    ran = busy()
    ran.run(1)
    head, *rest = iterate(freeze_all(ran))
    said = Head.parse(head)
    assert (said.kind, said.identity) == (Kind.MICROVM, struct.pack("<HHIII", 1, 0, 0, ran.image.maps_bytes, 0))
    assert said.length == CONTEXT_BYTES + 32 + 320 + ran.image.maps_bytes
    assert {packet.op for packet in rest} == {Op.DATA, Op.FILL}
    assert sum(packet.length if packet.op is Op.DATA else packet.operand for packet in rest) == said.length
    assert all(packet.length == 48 for packet in rest[:-1] if packet.op is Op.DATA)
    assert len(rest) < 30


def test_a_fresh_microvm_is_few_packets() -> None:
    ran = rig(TWIN, "exit")
    assert len(freeze_all(ran)) <= 12 * PACKET
    assert freeze(ran.contexts, ran.spill, ran.maps, 0, [0]) == freeze_all(ran)


@every_pair
def test_tables(frozen: Any, thawed: Any) -> None:
    ran = busy(count=9)
    for slot in (1, 2, 3):
        ran.context(slot).state = State.FREE
    ran.run(1)
    for slot in (1, 2, 3):
        ran.begin(slot, shard=slot, start=64 * slot, stop=64 * slot + 64)
    packets = bytes(frozen(ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes, packed(7, 2, 0, 1, 8, 5, 3, 4, 6)))
    other = empty(ran)
    taken = thawed(packets, other.contexts, other.spill, other.maps, ran.image.maps_bytes)
    assert taken == packed(7, 2, 0, 1, 8, 5, 3, 4, 6)
    assert other.finish().remains() == ran.finish().remains()


@every_pair
@pytest.mark.parametrize("state", [State.FREE, State.RUNNING])
def test_what_cannot_be_frozen(frozen: Any, thawed: Any, state: State) -> None:
    del thawed
    ran = busy()
    ran.context().state = state
    with pytest.raises(ValueError, match="slot 0"):
        freeze_all(ran, frozen)
    with pytest.raises(BadMicroVM):
        freeze(ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes, [0])
    with pytest.raises(ValueError, match=r"slot"):
        frozen(ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes, packed(1))


@every_pair
def test_done_and_faulted_ones_move_too(frozen: Any, thawed: Any) -> None:
    for text in ("mov r0, 5\n exit", "stdw [r10-8], 3\n ldxdw r0, [r0+0]\n exit"):
        ran = rig(TWIN, text, array()).finish()
        other = empty(ran)
        thawed(freeze_all(ran, frozen), other.contexts, other.spill, other.maps, ran.image.maps_bytes)
        assert other.remains() == ran.remains()


def change(packets: bytes, field: str, value: int) -> bytes:
    """Return the packets of one microVM whose context says something else, its numbers being in DATA packets."""
    offset, codec = getattr(Context, field).offset, getattr(Context, field).codec
    stream = bytearray()
    for packet in list(iterate(packets))[1:]:
        stream += packet.body[: packet.length] if packet.op is Op.DATA else bytes(packet.operand)
    codec.pack_into(stream, offset, value)
    return packets[:PACKET] + b"".join(chunks(bytes(stream)))


@every_pair
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", State.FREE),
        ("state", State.RUNNING),
        ("state", 77),
        ("vm", 2),
        ("owner", 1),
        ("fault", 99),
        ("flags", 8),
        ("flags", 0),
        ("flags", int(ContextFlag.COPIED | ContextFlag.SPILLED)),
        ("stack_low", 0),
        ("stack_low", 5000),
        ("reserved", 1 << 31),
        ("reserved", 0),
        ("data_end", 0xFFFFFFFF),
        ("data_end", 100),
    ],
)
def test_contexts_that_do_not_fit(frozen: Any, thawed: Any, field: str, value: int) -> None:
    ran = busy(400)
    ran.run(1)
    packets = change(freeze_all(ran, frozen), field, value)
    other = empty(ran)
    before = other.remains(), bytes(other.spill)
    with pytest.raises(ValueError, match=r"."):
        thawed(packets, other.contexts, other.spill, other.maps, ran.image.maps_bytes)
    assert (other.remains(), bytes(other.spill)) == before


@every_pair
def test_tables_that_do_not_fit(frozen: Any, thawed: Any) -> None:
    ran = busy(count=2)
    packets, size = freeze_all(ran, frozen), ran.image.maps_bytes
    other = empty(ran)
    for wrong in (packets[:-64], packets[64:], packets[:-1], packets + packets[:64], packets + packets):
        with pytest.raises(ValueError, match=r"."):
            thawed(wrong, other.contexts, other.spill, other.maps, size)
        assert not any(Context(other.contexts, slot).state for slot in range(2))
    with pytest.raises(ValueError, match=r"."):
        thawed(packets, other.contexts[:1024], other.spill, other.maps, size)
    with pytest.raises(ValueError, match=r"."):
        thawed(packets, other.contexts, other.spill, other.maps, size + 64)
    thawed(packets, other.contexts, other.spill, other.maps, size)
    before = other.remains()
    with pytest.raises(ValueError, match=r"free"):
        thawed(packets, other.contexts, other.spill, other.maps, size)
    assert other.remains() == before


def test_errors_have_words() -> None:
    ran = busy()
    packets = freeze_all(ran)
    with pytest.raises(BadMicroVM, match=r"bytes of maps, this program 128"):
        thaw(packets, ran.contexts, ran.spill, ran.maps, 128)
    with pytest.raises(BadMicroVM, match="not free"):
        thaw(packets, ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes)
    newer = bytearray(packets)
    newer[20] = 9
    with pytest.raises(BadMicroVM, match="format version 9"):
        thaw(newer, ran.contexts, ran.spill, ran.maps, ran.image.maps_bytes)


@settings(max_examples=150)
@given(
    flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=6),
    cut=st.integers(0, 3),
    double=st.booleans(),
)
def test_damaged_packets_hurt_nobody(flips: list[tuple[int, int]], cut: int, double: bool) -> None:
    """They are refused, or they are microVMs, which then run, fault or wait as any others do: all machines alike."""
    ran = busy(400)
    ran.run(1)
    packets = bytearray(freeze_all(ran) * (1 + double))
    for at, bits in flips:
        packets[at % len(packets)] ^= bits
    packets = packets[: len(packets) - 64 * cut]
    outcomes: list[Any] = []
    for _, thawed in PAIRS:
        other = empty(ran)
        try:
            taken = thawed(packets, other.contexts, other.spill, other.maps, ran.image.maps_bytes)
        except ValueError:
            assert not other.context().state
            outcomes.append(None)
            continue
        outcomes.append((taken, other.remains()))
        if taken:
            other.fuel = 10_000
            other.run()
            assert other.context().state in State.__members__.values()
    assert all(outcome == outcomes[0] for outcome in outcomes)


@settings(max_examples=25)
@given(pauses=st.lists(st.integers(0, 30), max_size=6), deep=st.sampled_from([8, 300, 480]))
def test_moving_at_every_pause_changes_nothing(pauses: list[int], deep: int) -> None:
    wanted = busy(deep).finish().remains()
    ran, output = busy(deep), b""
    for slice_slots in pauses:
        ran.run(slice_slots)
        other = empty(ran)
        output += ran.output
        thaw(freeze_all(ran), other.contexts, other.spill, other.maps, ran.image.maps_bytes)
        ran = other
    contexts, maps, rest = ran.finish().remains()
    assert (contexts, maps, output + rest) == wanted


def test_sizes() -> None:
    assert SPILL_STRIDE % 4096 == 0
    assert numbers_of("I").itemsize == 4  # packed slots are native arrays
    assert decode(freeze_all(busy())).op is Op.HEAD
