"""Code as slots of 8 bytes: where instructions begin, without knowing them. `instruction.py` knows what they are."""

from __future__ import annotations

from struct import Struct

from packetfs.packet.layout import Buffer
from packetfs.typing import Final

SLOT: Final = 8
"""Bytes of a slot."""
LDDW: Final = 0x18
"""The one opcode that takes two slots."""
FIELDS: Final = Struct("<BBhi")
"""Of a slot: opcode, dst | src << 4, offset, imm."""


def width(opcode: int) -> int:
    """Return how many slots an instruction takes: 2 for lddw, else 1."""
    return 2 if opcode == LDDW else 1


def starts(code: Buffer) -> bytes:
    """Return one byte a slot: 1 where an instruction begins, 0 in the second slot of lddw. Takes any bytes."""
    begins = bytearray(len(code) // SLOT)
    slot = 0
    while slot < len(begins):
        begins[slot] = 1
        slot += width(code[slot * SLOT])
    return bytes(begins)
