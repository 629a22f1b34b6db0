"""The table: as the RFC counts it, LLVM agrees on every encoding, decoding is total, reserved fields are refused."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import IllegalInstruction
from packetfs.vm.assembly import assemble, line_of
from packetfs.vm.instruction import SLOT, Instruction, decode, decode_row, encode, iterate, width
from packetfs.vm.isa import BY_CODE, LDDW, OPCODES, Group, Opcode
from tests.vm import llvm_encodings
from tests.vm.code import any_bytes, instructions, rows


def test_numbers_of_the_rfc() -> None:
    """Counted by hand in the tables of RFC 9669, the variants that another field selects included."""
    assert Counter(row.group for row in OPCODES) == {
        Group.BASE32: 67,
        Group.BASE64: 57,
        Group.ATOMIC32: 10,
        Group.ATOMIC64: 10,
        Group.DIVMUL32: 10,
        Group.DIVMUL64: 10,
        Group.CALLX: 1,
    }
    assert len({(row.code, row.src, row.offset, row.imm) for row in OPCODES}) == len(OPCODES)


def test_a_symbol_names_one_opcode() -> None:
    symbols = {row.symbol for row in OPCODES}
    assert len(symbols) == len(BY_CODE) == len({(row.symbol, row.code) for row in OPCODES})


@pytest.mark.parametrize(("ours", "theirs", "code"), llvm_encodings.recorded(), ids=lambda value: str(value)[:40])
def test_llvm_makes_the_same_bytes(ours: str, theirs: str, code: bytes) -> None:
    assert assemble(ours) == code, theirs
    assert line_of(code, 0) == ours


def test_llvm_was_asked_about_every_instruction() -> None:
    asked = {decode_row(code, 0)[1] for _, _, code in llvm_encodings.recorded()}
    assert {row.mnemonic for row in OPCODES if row not in asked} == llvm_encodings.UNKNOWN


@pytest.mark.skipif(llvm_encodings.LLVM_MC is None, reason="llvm-mc is not installed; its recorded answers are tested")
def test_llvm_says_so_still() -> None:
    assert [code for _, _, code in llvm_encodings.ask()] == [code for _, _, code in llvm_encodings.recorded()]


@given(instructions)
def test_what_is_encoded_decodes_to_itself(instruction: Instruction) -> None:
    code = encode(instruction)
    assert len(code) == width(instruction.opcode) * SLOT
    assert decode(code, 0) == instruction
    assert list(iterate(code * 3)) == [(i * width(instruction.opcode), instruction) for i in range(3)]


@given(st.binary(max_size=40))
def test_any_bytes_decode_or_raise_one_error(code: bytes) -> None:
    with suppress(IllegalInstruction):
        assert b"".join(encode(instruction) for _, instruction in iterate(code)) == code


@given(any_bytes, st.integers(-3, 40))
def test_any_slot_decodes_or_raises_one_error(code: bytes, slot: int) -> None:
    with suppress(IllegalInstruction):
        instruction, row = decode_row(code, slot)
        assert row.code == instruction.opcode
        assert code[slot * 8 :].startswith(encode(instruction))


@given(rows, st.data())
def test_a_reserved_field_that_is_not_zero_is_refused(row: Opcode, data: st.DataObject) -> None:
    """What the row does not use must have the row's value, or that of a sibling row."""
    free = sorted({"dst", "src", "offset", "imm"} - row.used)
    if not free:
        return
    name = data.draw(st.sampled_from(free))
    siblings = {getattr(other, name) for other in BY_CODE[row.code] if name not in other.used and name != "dst"} | {0}
    value = data.draw(st.sampled_from([1, 2, 7, 15] if name in ("dst", "src") else [1, -1, 3, 0x7FFF, -0x8000]))
    fields = {"src": row.src, "offset": row.offset, "imm": row.imm, name: value}
    code = encode(Instruction(row.code, **fields))
    if value not in siblings:
        with pytest.raises(IllegalInstruction, match=f"{name} is {value}"):
            decode(code, 0)


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(BY_CODE)))
def test_other_opcodes_are_refused(code: int) -> None:
    with pytest.raises(IllegalInstruction, match=f"there is no opcode {code:#04x}"):
        decode(bytes([code, 0, 0, 0, 0, 0, 0, 0]), 0)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("b70b000000000000", "Slot 0 .*no register r11"),
        ("bfb0000000000000", "no register r11"),
        ("1800000000000000", "second slot of lddw is missing"),
        ("18000000000000000001000000000000", "more than next_imm"),
        ("18000000000000000100000000000000", "more than next_imm"),
        ("18000000000000000000010000000000", "more than next_imm"),
        ("18000100000000000000000000000000", "offset is 1 in lddw"),
        ("18100000000000000000000001000000", "next_imm is 1 in lddw"),
        ("18700000000000000000000000000000", "src is 7 in lddw"),
        ("d700000018000000", "imm is 24 in bswap16, where it must be 16 or 32 or 64"),
        ("bf12200001000000", "imm is 1 in movsx3264"),
        ("bc12200000000000", "offset is 32 in mov32, where it must be 0 or 8 or 16"),
        ("db120000e0000000", "imm is 224 in lock add"),
        ("3f12020000000000", "offset is 2 in div, where it must be 0 or 1"),
        ("8540000001000000", "src is 4 in call, where it must be 0 or 1 or 2"),
        ("00", "1 bytes are no whole number of slots"),
    ],
)
def test_refusals_say_what_is_wrong(code: str, says: str) -> None:
    with pytest.raises(IllegalInstruction, match=says) as caught:
        list(iterate(bytes.fromhex(code)))
    assert caught.value.fields["slot"] == 0


def test_slots_are_named() -> None:
    code = encode(Instruction(LDDW)) + encode(Instruction(0x95)) + bytes(8)
    with pytest.raises(IllegalInstruction, match="Slot 3 of the code is refused: there is no opcode 0x00"):
        list(iterate(code))
    assert Instruction(LDDW, imm=-1, next_imm=-2).imm64 == 0xFFFFFFFE_FFFFFFFF
