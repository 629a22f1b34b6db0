"""Assembler and disassembler: text and code are the same; mistakes name their line. Padding moves every target."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadAssembly, IllegalInstruction
from packetfs.limits import CODE_SLOTS_MAX
from packetfs.vm.assembly import assemble, disassemble, line_of, pad
from packetfs.vm.check import check
from packetfs.vm.instruction import Instruction, encode, iterate_rows
from packetfs.vm.isa import JA, LDDW
from packetfs.vm.layout import SLOTS_A_PACKET
from packetfs.vm.padding import padded_places
from tests.vm.code import any_bytes, codes, instructions

_WORDS = ["r1", "%r2", ",", "[", "]", "+", "-", "7", "0x", "exit:", "mov", "ja", "lock", "add", "call", "map", "lddw"]

GOLDEN = {
    "mov32 r1, 5": "b401000005000000",
    "mov %r1, %r2": "bf21000000000000",
    "MOV64 R1, -1": "b7010000ffffffff",
    "mov r1, 0xffffffff": "b7010000ffffffff",
    "ldxdw r0, [r1+8]": "7910080000000000",
    "ldxdw %r0,[ %r1 - 0x10 ]": "7910f0ff00000000",
    "ldxb r0, [r1]": "7110000000000000",
    "stxw [r10-4], r2": "632afcff00000000",
    "stb [r10-1], 0xff": "720affffff000000",
    "jeq r1, 7, +2": "1501020007000000",
    "jeq64 r1, r2, -1": "1d21ffff00000000",
    "ja32 -1": "06000000ffffffff",
    "call 1": "8500000001000000",
    "call map_lookup_elem": "8500000001000000",
    "call helper 1": "8500000001000000",
    "call local +2": "8510000002000000",
    "call btf 9": "8520000009000000",
    "call runtime 9": "8520000009000000",
    "callx r2": "8d02000000000000",
    "call %r2": "8d02000000000000",
    "lddw r1, 0x1122334455667788": "18010000887766550000000044332211",
    "lddw r1, -1": "18010000ffffffff00000000ffffffff",
    "lddw r1, 18446744073709551615": "18010000ffffffff00000000ffffffff",
    "lddw r1, map 3": "18510000030000000000000000000000",
    "lddw r1, map_fd 3": "18110000030000000000000000000000",
    "lddw r1, value 3 + 8": "18610000030000000000000008000000",
    "lddw r1, value 3": "18610000030000000000000000000000",
    "lddw r1, value_fd 3 + -8": "182100000300000000000000f8ffffff",
    "lddw r1, var 2": "18310000020000000000000000000000",
    "lddw r1, code +1": "18410000010000000000000000000000",
    "lock fetch add32 [r1+0], r2": "c321000001000000",
    "lock cmpxchg [r10-8], r1": "db1af8fff1000000",
    "swap32 r4": "d704000020000000",
    "bswap32 r4": "d704000020000000",
    "movsx832 r1, r2": "bc21080000000000",
    "sdiv32 r1, r2": "3c21010000000000",
    "exit  // done": "9500000000000000",
    ".slot 00 11 22 33 44 55 66 77": "0011223344556677",
}

WRONG = {
    "frob r1": "there is no instruction frob",
    "lock": "there is no instruction lock",
    "lock or [r10-8]": r"lock or takes \[dst\+offset\], src",
    "mov r1": "mov takes dst, imm or dst, src",
    "mov r1, 1, 2": "mov takes",
    "exit r0": "exit takes nothing",
    "mov r11, 1": "no register r11",
    "mov32 r0, 2147483648": "2147483648 does not fit into 32 bits",
    "mov32 r0, 0x100000000": "does not fit into 32 bits",
    "lddw r0, 18446744073709551616": "does not fit into 64 bits",
    "lddw r0, value 2147483648 + 0": "2147483648 does not fit into 32 bits",
    "lddw r0, value 0 + 4294967296": "4294967296 does not fit into 32 bits",
    "ldxb r0, [r1+0x10000]": "does not fit into 16 bits",
    "ldxb r0, [r1+32768]": "does not fit into 16 bits",
    "ldxb r0, r1": r"ldxb takes dst, \[src\+offset\]",
    "ldxb r0, [r12]": "no register r12",
    "ja nowhere": "there is no label nowhere",
    "ja 5": "ja takes target",
    "ja +32768": "does not fit into 16 bits",
    "call frob": "there is no helper frob",
    "call 99999999999": "does not fit",
    "a: a: exit": "takes|no instruction",
    ".slot 00": "there is no instruction",
    "mov r0, 1_000": "takes",
    "mov r0, \u0661": "takes",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_golden(text: str) -> None:
    assert assemble(text).hex() == GOLDEN[text]


@pytest.mark.parametrize("text", WRONG)
def test_mistakes_name_their_line(text: str) -> None:
    with pytest.raises(BadAssembly, match=WRONG[text]) as caught:
        assemble(f"mov r0, 1\n; comment\n{text}\nexit\n")
    assert caught.value.fields["line"] == 3


def test_labels() -> None:
    code = assemble(
        """
        start:  mov r0, 0         # first
                jeq r1, r2, exit  ; the first exit
                lddw r3, code f
                call local f
                ja32 end
        f:
        g:      exit
        end:    ja start
        """
    )
    assert list(disassemble(code)) == [
        "mov r0, 0",
        "jeq r1, r2, +4",
        "lddw r3, code +3",
        "call local +1",
        "ja32 +1",
        "exit",
        "ja -8",
    ]
    assert assemble("exit: mov r0, 1\nja exit\nexit") == assemble("mov r0, 1\nja -2\nexit")
    with pytest.raises(BadAssembly, match="Line 2: the label a is defined twice"):
        assemble("a:\na: exit")


def test_far_labels() -> None:
    with pytest.raises(BadAssembly, match="Line 1: 32768 does not fit into 16 bits"):
        assemble("ja far\n" + "mov r0, 0\n" * 32768 + "far: exit")
    assert assemble("ja32 far\n" + "mov r0, 0\n" * 40000 + "far: exit")[:8] == encode(Instruction(0x06, imm=40000))
    with pytest.raises(BadAssembly, match="at most 65536 slots"):
        assemble("exit\n" * (CODE_SLOTS_MAX + 1))


def test_a_line_of_anything_can_be_shown() -> None:
    assert line_of(bytes(4), 0) == ".slot 00000000"
    assert line_of(b"", 7) == ".slot "
    assert list(disassemble(bytes.fromhex("9500000001000000"))) == [".slot 9500000001000000"]
    with pytest.raises(IllegalInstruction, match="whole number"):
        list(disassemble(bytes(9)))


@given(any_bytes)
def test_disassembly_assembles_to_the_same_bytes(code: bytes) -> None:
    assert assemble("\n".join(disassemble(code))) == code


@given(instructions)
def test_a_legal_instruction_has_a_line_of_its_own(instruction: Instruction) -> None:
    line = line_of(encode(instruction), 0)
    assert not line.startswith(".slot")
    assert assemble(line) == encode(instruction)


@given(st.text(max_size=60) | st.lists(st.sampled_from(_WORDS)).map(" ".join))
def test_any_text_assembles_or_raises_one_error(text: str) -> None:
    with suppress(BadAssembly):
        assert len(assemble(text)) % 8 == 0


def test_padding() -> None:
    code = assemble("mov r0, 0\n" * 5 + "lddw r1, 7\njeq r1, 7, -3\nja -9\nexit")
    assert list(disassemble(pad(code)))[4:] == ["mov r0, 0", "ja +0", "lddw r1, 0x7", "jeq r1, 7, -3", "ja -10", "exit"]
    assert pad(code, 5) == (pad(code), 6)
    assert pad(code, 4) == (pad(code), 4)
    with pytest.raises(IllegalInstruction, match="entry"):
        pad(code, 6)
    with pytest.raises(IllegalInstruction, match=r"Slot 0 .*target, slot 2"):
        pad(assemble("ja +1\nlddw r1, 7\nexit"))


def test_padding_that_pushes_a_target_too_far() -> None:
    code = assemble("ja +32767\n" + "lddw r1, 1\n" * 16383 + "mov r0, 0\nexit")
    with pytest.raises(IllegalInstruction, match="slots away"):
        pad(code)


@given(codes)
def test_padded_code_does_the_same(code: bytes) -> None:
    """No lddw straddles, padding again changes nothing, and every target is where its instruction went."""
    try:
        padded = pad(code)
    except IllegalInstruction:
        return
    places = padded_places(code)
    rows = {slot: (instruction, row) for slot, instruction, row in iterate_rows(padded)}
    assert pad(padded) == padded
    assert all(slot % SLOTS_A_PACKET != SLOTS_A_PACKET - 1 for slot, (i, _) in rows.items() if i.opcode == LDDW)
    assert all(rows[slot][0] == Instruction(JA) for slot in rows.keys() - set(places.values()))
    for slot, instruction, row in iterate_rows(code):
        moved = rows[places[slot]][0]
        if row.targets:
            distance = getattr(moved, row.targets)
            assert places[slot] + 1 + distance == places[slot + 1 + getattr(instruction, row.targets)]
        else:
            assert moved == instruction


@given(codes)
def test_padding_keeps_the_verdict(code: bytes) -> None:
    code += encode(Instruction(0x95))
    with suppress(IllegalInstruction):
        padded = pad(code)
        assert _passes(padded) == _passes(code)


def _passes(code: bytes) -> bool:
    try:
        check(code, 1)
    except IllegalInstruction:
        return False
    return True
