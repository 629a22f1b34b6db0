"""Helpers: output, reservations, the record's ends, clocks, checksums, traces, and answers from Python."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.vm.helpers import TRACED_MAX, answer
from packetfs.vm.layout import ContextFlag, ContextKind, Fault, Region, State, Stop
from packetfs.vm.machine import MACHINES, Machine
from tests.vm.rig import RING, array, every_machine, fault, result, rig

CTX, STACK, DATA, MAP, RESERVE = (
    region << 28 for region in (Region.CTX, Region.STACK, Region.DATA, Region.MAP, Region.RESERVE)
)
INVALID = (1 << 64) - 22
RECORD = "mov r6, r1\n ldxdw r7, [r6+0]\n"


@every_machine
def test_helpers_keep_r1_to_r5(machine: Machine) -> None:
    text = (
        "mov r1, 1\n mov r2, 2\n mov r3, 3\n mov r4, 4\n mov r5, 5\n call 8\n lsh r2, 4\n lsh r3, 8\n lsh r4, 12\n"
        "lsh r5, 16\n or r0, r1\n or r0, r2\n or r0, r3\n or r0, r4\n or r0, r5\n exit"
    )
    assert result(machine, text) == 0x54321


@every_machine
def test_clock_counts_slots(machine: Machine) -> None:
    assert result(machine, "call 5\n exit") == 0
    assert result(machine, "mov r6, 1\n ja on\n on: mov r6, 2\n call 5\n exit") == 3
    assert result(machine, "call 5\n exit", data=bytes(128)) == 2
    slow = "again: add r6, 1\n jne r6, 30, again\n call 5\n exit"
    assert rig(machine, slow).finish([1]).context().result == result(machine, slow) == 60


@every_machine
def test_random_numbers_are_splitmix64(machine: Machine) -> None:
    ran = rig(machine, "call 7\n mov r6, r0\n call 7\n lsh r6, 32\n or r0, r6\n exit")
    ran.context().random = 1234567
    ran.finish()
    assert ran.context().result == (6457827717110365317 & 0xFFFFFFFF) << 32 | 3203168211198807973 & 0xFFFFFFFF
    ran.begin(shard=1)
    assert ran.context().random == (7 * 0x9E3779B97F4A7C15 + 1) % (1 << 64)


@every_machine
def test_emit(machine: Machine) -> None:
    text = (
        RECORD + "mov r1, r7\n mov r2, 5\n call 4096\n jne r0, 0, end\n mov r1, 0\n mov r2, 0\n call 4096\n end: exit"
    )
    ran = rig(machine, text, data=b"hello world").finish()
    assert (ran.output, ran.context().emitted, ran.context().result) == (b"hello", 5, 0)
    assert fault(machine, "mov r1, r10\n mov r2, 1\n call 4096\n exit") == (Fault.ADDRESS, 2, STACK | 4096)
    assert fault(machine, RECORD + "mov r1, r7\n lddw r2, 0x100000001\n call 4096\n exit")[0] is Fault.ADDRESS


@every_machine
def test_emit_reads_every_region(machine: Machine) -> None:
    text = "call 4096\n lddw r1, value 0 + 1\n mov r2, 2\n call 4096\n stb [r10-1], 0x21\n mov r1, r10\n sub r1, 1\n"
    text += "mov r2, 1\n call 4096\n exit"
    ran = rig(machine, "mov r2, 64\n" + text, array(1, 4, initial=b"abcd")).finish()
    assert len(ran.output) == 67
    assert ran.output[64:] == b"bc!"
    assert ran.output[:8] == (DATA | 256).to_bytes(8, "little")
    assert ran.context().fields_read == (1 << 64) - 1


@every_machine
def test_emissions_that_do_not_fit_are_repeated(machine: Machine) -> None:
    text = RECORD + "mov r1, r7\n mov r2, 6\n call 4096\n mov r2, 3\n call 4096\n exit"
    ran = rig(machine, text, data=b"abcdefgh", room=8)
    assert ran.run() == (0, Stop.OUTPUT)
    context = ran.context()
    assert (context.pc, context.executed, context.emitted, context.fault_address) == (6, 6, 6, 3)
    assert ran.run() == (1, Stop.DONE)
    assert ran.output == b"abcdefabc"
    assert (ran.context().executed, ran.context().fault_address) == (8, 0)


@every_machine
def test_output_before_a_fault_stays(machine: Machine) -> None:
    ran = rig(machine, RECORD + "mov r1, r7\n call 4096\n mov r1, 0\n call 4096\n exit", data=b"abc").finish()
    assert (ran.output, ran.context().emitted, ran.fault()) == (b"abc", 3, (Fault.ADDRESS, 5, 0))


@every_machine
def test_ringbuf_output(machine: Machine) -> None:
    text = RECORD + "lddw r1, map 0\n mov r2, r7\n mov r3, 3\n mov r4, 0\n call 130\n exit"
    assert rig(machine, text, RING, data=b"abcd").finish().output == b"abc"
    assert fault(machine, text, array(), data=b"abcd") == (Fault.MAP, 7, MAP)


RESERVED = "lddw r1, map 0\n mov r2, {size}\n mov r3, 0\n call 131\n mov r6, r0\n "


@every_machine
def test_reserve_and_submit(machine: Machine) -> None:
    text = RESERVED.format(size=5) + "stw [r6+0], 0x64636261\n stb [r6+4], 0x65\n mov r1, r6\n call 132\n exit"
    ran = rig(machine, text, RING).finish()
    assert (ran.output, ran.context().result, ran.context().emitted) == (b"abcde", 0, 5)
    ran = rig(machine, text.replace("call 132", "call 133"), RING).finish()
    assert (ran.output, ran.context().result, ran.context().emitted) == (b"", 0, 0)


@every_machine
def test_reservations_are_zero_and_aligned(machine: Machine) -> None:
    dirty = RESERVED.format(size=9) + "stdw [r6+0], -1\n stdw [r6+8], -1\n"
    show = "mov r1, r6\n call 132\n" + RESERVED.format(size=9) + "mov r1, r6\n call 132\n mov r0, r6\n exit"
    ran = rig(machine, dirty + show, RING, data=bytes(128)).finish()
    assert ran.output == (b"\xff" * 9 + bytes(9)) * 2
    assert ran.context().result == RESERVE + 24 + 8


@every_machine
def test_reserve_that_is_full(machine: Machine) -> None:
    assert result(machine, RESERVED.format(size=4088) + "exit", RING) == RESERVE + 8
    assert result(machine, RESERVED.format(size=4089) + "exit", RING) == 0
    assert result(machine, RESERVED.format(size=-1) + "exit", RING) == 0
    twice = RESERVED.format(size=4000) + RESERVED.format(size=80)
    assert result(machine, twice + "exit", RING) == RESERVE + 4016
    assert result(machine, twice.replace("80", "81") + "exit", RING) == 0
    assert result(machine, twice + RESERVED.format(size=0) + "exit", RING) == 0


@every_machine
@pytest.mark.parametrize("number", [132, 133])
def test_what_is_no_open_reservation(machine: Machine, number: int) -> None:
    for change in (
        "add r1, 8",
        "mov r1, 0",
        "sub r1, 8",
        "add r1, 1",
        "mov r1, r10",
        "stw [r1-8], 17",
        "stw [r1-4], 3",
    ):
        text = RESERVED.format(size=16) + f"mov r1, r6\n {change}\n call {number}\n exit"
        assert fault(machine, text, RING)[0] is Fault.ADDRESS, change
    twice = RESERVED.format(size=16) + f"mov r1, r6\n call 132\n call {number}\n exit"
    assert fault(machine, twice, RING) == (Fault.ADDRESS, 8, RESERVE + 8)


@every_machine
def test_submit_that_does_not_fit_is_repeated(machine: Machine) -> None:
    text = (
        RESERVED.format(size=6)
        + "mov r1, r6\n call 132\n call 8\n"
        + RESERVED.format(size=4)
        + ("mov r1, r6\n call 132\n exit")
    )
    ran = rig(machine, text, RING, room=8)
    assert ran.run() == (0, Stop.OUTPUT)
    assert ran.context().reserved == 32
    ran.finish()
    assert ran.output == bytes(10)


@every_machine
def test_reservations_survive_a_pause_and_end_with_the_record(machine: Machine) -> None:
    text = RESERVED.format(size=8) + "stdw [r6+0], 9\n again: add r7, 1\n jne r7, 4, again\n ldxdw r0, [r6+0]\n exit"
    ran = rig(machine, text, RING, data=bytes(128))
    ran.run(1)
    assert ran.context().reserved == 16
    ran.finish([1])
    assert (ran.context().result, ran.context().records, ran.output) == (9, 2, b"")


ADJUST = (
    RECORD
    + "mov r2, {delta}\n call {number}\n jne r0, 0, end\n"
    + "ldxdw r1, [r6+0]\n ldxdw r2, [r6+8]\n sub r2, r1\n call 4096\n end: exit"
)
DATA32 = bytes(range(1, 33))


@every_machine
@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        (0, DATA32),
        (4, DATA32[4:]),
        (18, DATA32[18:]),
        (-3, bytes(3) + DATA32),
        (-256, bytes(256) + DATA32),
        (19, None),
        (-257, None),
    ],
)
def test_adjust_head(machine: Machine, delta: int, shown: bytes | None) -> None:
    for kind in (ContextKind.PACKETFS, ContextKind.XDP):
        text = ADJUST.format(delta=delta, number=44)
        if kind is ContextKind.XDP:
            text = text.replace("ldxdw r2, [r6+8]", "ldxw r2, [r6+4]").replace("ldxdw", "ldxw")
        ran = rig(machine, text, data=DATA32, kind=kind).finish()
        assert (ran.output, ran.context().result) == ((b"", INVALID) if shown is None else (shown, 0))


@every_machine
@pytest.mark.parametrize(
    ("delta", "shown"),
    [(0, DATA32), (-18, DATA32[:14]), (-19, None), (3, DATA32 + bytes(3)), (256, DATA32 + bytes(256)), (257, None)],
)
def test_adjust_tail(machine: Machine, delta: int, shown: bytes | None) -> None:
    ran = rig(machine, ADJUST.format(delta=delta, number=65), data=DATA32).finish()
    assert (ran.output, ran.context().result) == ((b"", INVALID) if shown is None else (shown, 0))


@every_machine
def test_a_tail_that_grows_again_is_zero(machine: Machine) -> None:
    text = (
        RECORD
        + "mov r1, r6\n mov r2, -8\n call 65\n mov r2, 16\n call 65\n"
        + ADJUST.format(delta=-2, number=44)[len(RECORD) :]
    )
    ran = rig(machine, text, data=DATA32).finish()
    assert ran.output == bytes(2) + DATA32[:24] + bytes(16)


@every_machine
def test_headroom_of_a_copy_is_zero(machine: Machine) -> None:
    text = (
        RECORD + "mov r1, r6\n mov r2, -8\n call 44\n ldxdw r1, [r6+0]\n mov r2, 9\n call 4096\n stdw [r1+0], -1\n exit"
    )
    ran = rig(machine, text, data=DATA32 * 2, size=32).finish()
    assert ran.output == (bytes(8) + b"\1") * 2


@every_machine
def test_an_adjusted_record_survives_a_pause(machine: Machine) -> None:
    text = (
        RECORD + "mov r2, 3\n call 44\n again: add r8, 1\n jne r8, 3, again\n ldxdw r1, [r6+0]\n ldxb r0, [r1+0]\n exit"
    )
    ran = rig(machine, text, data=DATA32)
    ran.step(1)
    assert (ran.context().data, ran.context().data_end) == (259, 288)
    assert ran.context().flags == ContextFlag.IN_RECORD | ContextFlag.COPIED
    assert ran.finish([1]).context().result == 4


@every_machine
def test_what_cannot_be_adjusted(machine: Machine) -> None:
    text = RECORD + "mov r2, 1\n call {}\n exit"
    for number in (44, 65):
        assert fault(machine, text.format(number), data=bytes(65_537), size=1 << 20) == (Fault.RECORD, 3, 0)


MOVE = RECORD + "mov r2, {offset}\n mov r3, r10\n sub r3, 16\n mov r4, {size}\n call {number}\n mov r9, r0\n "


@every_machine
def test_xdp_load_bytes(machine: Machine) -> None:
    show = "mov r1, r10\n sub r1, 16\n mov r2, 16\n call 4096\n mov r0, r9\n exit"
    ran = rig(machine, MOVE.format(offset=30, size=2, number=189) + show, data=DATA32).finish()
    assert (ran.output, ran.context().result) == (DATA32[30:] + bytes(14), 0)
    for offset, size, wanted in ((30, 3, INVALID), (-1, 1, INVALID), (33, 0, 0), (0, -1, INVALID), (32, 1, INVALID)):
        text = MOVE.format(offset=offset, size=size, number=189) + show
        assert rig(machine, text, data=DATA32).finish().context().result == wanted
    assert fault(machine, MOVE.format(offset=0, size=17, number=189) + show, data=DATA32) == (
        Fault.ADDRESS,
        6,
        STACK + 4080,
    )


@every_machine
def test_xdp_store_bytes(machine: Machine) -> None:
    show = "ldxdw r1, [r6+0]\n mov r2, 32\n call 4096\n mov r0, r9\n exit"
    ran = rig(machine, "stdw [r10-16], -1\n" + MOVE.format(offset=4, size=3, number=190) + show, data=DATA32).finish()
    assert (ran.output, ran.context().result) == (DATA32[:4] + b"\xff" * 3 + DATA32[7:], 0)
    text = MOVE.format(offset=32, size=1, number=190) + show
    assert rig(machine, text, data=DATA32).finish().context().result == INVALID
    assert fault(machine, MOVE.format(offset=0, size=17, number=190) + show, data=DATA32) == (
        Fault.ADDRESS,
        6,
        STACK + 4080,
    )


@every_machine
@pytest.mark.parametrize(("flags", "action"), [(0, 0), (2, 2), (3, 3), (4, 0), (14, 0), (-1, 0), (1 << 30, 0)])
def test_redirect_map(machine: Machine, flags: int, action: int) -> None:
    assert result(machine, f"mov r3, {flags}\n call 51\n exit") == action


def linux_csum_diff(old: bytes, new: bytes, seed: int) -> int:
    """The kernel's chain, word by word."""

    def partial(data: bytes, total: int) -> int:
        for at in range(0, len(data), 4):
            total += int.from_bytes(data[at : at + 4], "little")
            total = (total & 0xFFFFFFFF) + (total >> 32)
        return total

    if old and new:
        a, b = partial(new, seed), ~partial(old, 0) & 0xFFFFFFFF
        seed = (a + b & 0xFFFFFFFF) + (a + b >> 32)
    elif new:
        seed = partial(new, seed)
    elif old:
        seed = ~partial(old, ~seed & 0xFFFFFFFF) & 0xFFFFFFFF
    for _ in range(2):
        seed = (seed & 0xFFFF) + (seed >> 16)
    return seed


@settings(max_examples=30)
@given(old=st.binary(max_size=40), new=st.binary(max_size=40), seed=st.integers(0, (1 << 32) - 1))
def test_csum_diff(old: bytes, new: bytes, seed: int) -> None:
    text = (
        RECORD
        + f"mov r1, r7\n mov r2, {len(old)}\n mov r3, r7\n add r3, r2\n mov r4, {len(new)}\n"
        + f"lddw r5, {seed}\n call 28\n exit"
    )
    whole = not len(old) % 4 and not len(new) % 4
    for machine in MACHINES:
        data = old + new + b"."
        assert result(machine, text, data=data, size=len(data)) == (
            linux_csum_diff(old, new, seed) if whole else INVALID
        )


@every_machine
def test_csum_diff_of_what_cannot_be_read(machine: Machine) -> None:
    for address, wanted in (("mov r1, r10", STACK | 4096), ("mov r1, r6", CTX)):
        ran = rig(machine, RECORD + address + "\n mov r2, 4\n mov r4, 0\n call 28\n exit", fuel=100).finish()
        assert ran.fault() == (Fault.ADDRESS, 5, wanted)
        assert (ran.context().executed, ran.context().fuel, ran.context().helper_pc) == (5, 95, 0)


TRACE = """
    lddw r1, value 0 + 0
    mov r2, {size}
    mov r3, 77
    mov r4, -5
    lddw r5, value 0 + {string}
    call 6
    add r0, 100
    exit
"""


def trace(text: bytes, string: bytes = b"text\0") -> tuple[str, bytes]:
    return TRACE.format(size=len(text), string=len(text)), text + string


@every_machine
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"plain\0", "plain"),
        (b"plain\n\0", "plain"),
        (b"%d %d %s\0", "77 -5 text"),
        (b"%u %x %%\0", "77 fffffffb %"),
        (b"%llu %lx\0", "77 fffffffffffffffb"),
        (b"%5d|%-5d|\0", "   77|-5   |"),
        (b"%05d %#x\0", "00077 0xfffffffb"),
        (b"%c %lld %p\0", "M -5 0x40000"),
        (b"%s\0", "(fault)"),
        (b"%d %d %d %d\0", None),
        (b"%q\0", None),
        (b"%\0", None),
    ],
)
def test_trace(machine: Machine, text: bytes, line: str | None) -> None:
    code, memory = trace(text)
    ran = rig(machine, code, array(1, 64, initial=memory))
    assert ran.run() == (0, Stop.HELPER)
    context = ran.context()
    assert (context.state, context.pc, context.helper_pc, context.fault_address) == (State.PAUSED, 9, 9, 6)
    assert context.executed == 9
    said = ran.answer()
    assert said == line or (line is not None and line.endswith("0x40000") and (said or "").startswith(line[:7]))
    assert (ran.context().traced, ran.context().helper_pc, ran.context().fault_address) == (1, 0, 0)
    ran.finish()
    assert ran.context().result == (100 + len(said) if said is not None else (INVALID + 100) % (1 << 64))
    assert ran.context().executed == 11


@every_machine
def test_calls_are_not_forgotten_when_nobody_answers(machine: Machine) -> None:
    code, memory = trace(b"hello\0")
    ran = rig(machine, code, array(1, 64, initial=memory))
    ran.run()
    before = bytes(ran.contexts)
    assert ran.run() == (0, Stop.HELPER)
    assert bytes(ran.contexts) == before
    assert ran.run(window=(1, 64)) == (0, Stop.WINDOW)
    assert bytes(ran.contexts) == before
    assert ran.answer() == "hello"
    with pytest.raises(ValueError, match="waits for no answer"):
        ran.answer()


@every_machine
def test_answers_need_the_record(machine: Machine) -> None:
    ran = rig(machine, RECORD + "mov r1, r7\n mov r2, 3\n call 6\n exit", data=b"abc")
    ran.run()
    before = bytes(ran.contexts)
    with pytest.raises(ValueError, match="not in the window"):
        answer(ran.image, ran.contexts, ran.spill, ran.maps, 0, b"ab", 0, 3)
    assert bytes(ran.contexts) == before
    assert ran.answer() == "abc"


@every_machine
def test_traces_are_limited(machine: Machine) -> None:
    code, memory = trace(b"x\0")
    ran = rig(machine, code, array(1, 64, initial=memory), data=bytes(3), size=1)
    ran.context().traced = TRACED_MAX - 1
    ran.finish()
    assert ran.lines == ["x"]
    assert ran.context().result == 100


@every_machine
def test_traces_of_what_cannot_be_read(machine: Machine) -> None:
    ran = rig(machine, "mov r2, 4\n call 6\n exit", fuel=9).finish()
    assert ran.fault() == (Fault.ADDRESS, 1, CTX)
    assert (ran.context().executed, ran.context().fuel, ran.context().traced) == (1, 8, 0)
