"""The checker: what may run and what not, with the slot and the reason; nothing that passes leads out of the code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import IllegalInstruction
from packetfs.limits import CODE_SLOTS_MAX
from packetfs.vm.assembly import assemble
from packetfs.vm.check import check
from packetfs.vm.instruction import Instruction, encode, iterate, iterate_rows
from packetfs.vm.isa import LDDW
from packetfs.vm.layout import HELPERS
from packetfs.vm.slots import starts
from tests.vm.code import any_bytes, codes

EXIT = encode(Instruction(0x95))

REFUSED = {
    "empty": ("", 0, "1 to 65536 slots, this 0"),
    "falls off": ("mov r0, 1", 0, "runs off its end"),
    "falls off behind a call": ("exit\ncall 5", 1, "runs off its end"),
    "falls off behind a branch": ("exit\njeq r0, 0, -2", 1, "runs off its end"),
    "falls off behind lddw": ("exit\nlddw r0, 1", 1, "runs off its end"),
    "jump before the code": ("ja -2\nexit", 0, "slot -1, is outside"),
    "jump behind the code": ("ja +1\nexit", 0, "slot 2, is outside"),
    "jump to the end": ("exit\nja +0", 1, "slot 2, is outside"),
    "far jump": ("ja32 +70000\nexit", 0, "slot 70001, is outside"),
    "branch outside": ("jset32 r1, r2, +32767\nexit", 0, "outside"),
    "branch into lddw": ("jeq r0, 0, +1\nlddw r0, 1\nexit", 0, "slot 2, is in the middle of lddw"),
    "call outside": ("call local -2\nexit", 0, "outside"),
    "call into lddw": ("lddw r0, 1\ncall local -2\nexit", 2, "middle of lddw"),
    "function outside": ("lddw r0, code +5\nexit", 0, "outside"),
    "function in itself": ("lddw r0, code +0\nexit", 0, "middle of lddw"),
    "unknown helper": ("call 4\nexit", 0, "no helper 4"),
    "helper below zero": ("call -1\nexit", 0, "no helper -1"),
    "BTF": ("call btf 1\nexit", 0, "BTF id, as 1"),
    "variable": ("lddw r1, var 0\nexit", 0, "variables"),
    "map": ("lddw r1, map 2\nexit", 0, "no map 2; the program has 2"),
    "map below zero": ("lddw r1, map -1\nexit", 0, "no map -1"),
    "map by descriptor": ("lddw r1, map_fd 2\nexit", 0, "no map 2"),
    "value": ("lddw r1, value 2 + 8\nexit", 0, "no map 2"),
    "value by descriptor": ("lddw r1, value_fd 2 + 8\nexit", 0, "no map 2"),
    "r10 by arithmetic": ("add r10, 8\nexit", 0, "add would change r10"),
    "r10 by movsx": ("movsx832 r10, r1\nexit", 0, "r10"),
    "r10 by swap": ("be16 r10\nexit", 0, "r10"),
    "r10 by neg": ("neg32 r10\nexit", 0, "r10"),
    "r10 by load": ("ldxsb r10, [r1+0]\nexit", 0, "r10"),
    "r10 by lddw": ("lddw r10, map 0\nexit", 0, "r10"),
    "r10 by fetch": ("lock fetch add [r1+0], r10\nexit", 0, "r10"),
    "r10 by xchg": ("lock xchg32 [r1+0], r10\nexit", 0, "r10"),
    "illegal": (".slot 0000000000000000\nexit", 0, "no opcode 0x00"),
    "cut": ("exit\n.slot 1800000000000000", 1, "second slot of lddw is missing"),
}

TAKEN = {
    "self jump": "ja -1",
    "ends with ja32": "mov r0, 0\nja32 -2",
    "exit alone": "exit",
    "r10 is read": "mov r1, r10\nstxdw [r10-8], r10\nldxdw r1, [r10-8]\nlock add [r10-8], r10\nexit",
    "cmpxchg of r10": "lock cmpxchg [r10-8], r10\nexit",
    "maps": "lddw r1, map 1\nlddw r2, value 0 + 8\nlddw r3, map_fd 0\nlddw r4, value_fd 1 + -1\nexit",
    "functions": "lddw r1, code f\ncallx r1\ncall local f\nexit\nf: exit",
    "function behind lddw": "lddw r1, code +1\nexit",
    "all helpers": "\n".join(f"call {helper.number}" for helper in HELPERS) + "\nexit",
    "dead code": "exit\nmov r0, 1\nexit",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, slot, says = REFUSED[name]
    with pytest.raises(IllegalInstruction, match=says) as caught:
        check(assemble(text), 2)
    assert caught.value.fields["slot"] == slot


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str) -> None:
    check(assemble(TAKEN[name]), 2)


def test_entry() -> None:
    code = assemble("lddw r0, 1\nexit")
    check(code, 0, entry=2)
    for entry in (1, 3, -1):
        with pytest.raises(IllegalInstruction, match="entry"):
            check(code, 0, entry=entry)


def test_length() -> None:
    check(encode(Instruction(0xB7)) * (CODE_SLOTS_MAX - 1) + EXIT, 0)
    with pytest.raises(IllegalInstruction, match="1 to 65536 slots, this 65537"):
        check(EXIT * (CODE_SLOTS_MAX + 1), 0)
    with pytest.raises(IllegalInstruction, match="9 bytes are no whole number"):
        check(EXIT + b"\0", 0)


@given(any_bytes | st.binary(max_size=100), st.integers(0, 3))
def test_anything_passes_or_raises_one_error(code: bytes, maps: int) -> None:
    try:
        check(code, maps)
    except IllegalInstruction:
        return
    _stays_inside(code)


@given(codes)
def test_what_passes_stays_inside(code: bytes) -> None:
    try:
        check(code + EXIT, 1)
    except IllegalInstruction:
        return
    _stays_inside(code + EXIT)


def _stays_inside(code: bytes) -> None:
    begins = starts(code)
    assert [slot for slot, begin in enumerate(begins) if begin] == [slot for slot, _ in iterate(code)]
    for slot, instruction, row in iterate_rows(code):
        if row.targets:
            assert begins[slot + 1 + getattr(instruction, row.targets)]


@given(st.binary(max_size=80))
def test_starts_takes_anything(code: bytes) -> None:
    begins = starts(code)
    assert len(begins) == len(code) // 8
    assert all(
        begins[slot + 1 : slot + 2] != b"\1" for slot in range(len(begins)) if begins[slot] and code[slot * 8] == LDDW
    )
