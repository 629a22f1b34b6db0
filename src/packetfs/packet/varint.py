"""Numbers of a packed delta as the definitions of its kernels write them; net/wire/varint.py reads them."""

from __future__ import annotations


def encode_varint(value: int) -> bytes:
    """Return an unsigned number as LEB128."""
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + encode_varint(value >> 7)


def zigzag(value: int) -> int:
    """Map a signed number to an unsigned one."""
    return value << 1 if value >= 0 else (-value << 1) - 1
