"""Hypothesis strategies of eBPF instructions and code, made from the table alone."""

from __future__ import annotations

from hypothesis import strategies as st

from packetfs.vm.instruction import Instruction, encode
from packetfs.vm.isa import OPCODES, Opcode

REGISTER = st.integers(0, 10)
S16 = st.integers(-(1 << 15), (1 << 15) - 1)
S32 = st.integers(-(1 << 31), (1 << 31) - 1)
_FIELDS = {"dst": REGISTER, "src": REGISTER, "offset": S16, "imm": S32, "next_imm": S32}


def instruction_of(row: Opcode) -> st.SearchStrategy[Instruction]:
    """Instructions of one row: operands are free, the rest is what the row says."""
    fixed = {"src": row.src, "offset": row.offset, "imm": row.imm}
    fields = {name: free if name in row.used else st.just(fixed.get(name, 0)) for name, free in _FIELDS.items()}
    return st.builds(Instruction, st.just(row.code), **fields)


rows = st.sampled_from(OPCODES)
instructions = rows.flatmap(instruction_of)
codes = st.lists(instructions.map(encode), max_size=20).map(b"".join)
"""Legal instructions in any order; targets lead anywhere."""
any_bytes = st.binary(max_size=24).map(lambda slot: slot * 8) | st.lists(
    st.binary(min_size=8, max_size=8) | instructions.map(encode), max_size=12
).map(b"".join)
"""Whole slots of anything."""
