"""Shipped programs that write a check value of each record: fnv, crc32c."""

from __future__ import annotations

from typing import Final

from packetfs.toolchain.python.decorator import program
from packetfs.toolchain.python.language import Record, Span, emit
from packetfs.toolchain.shipped.fields import fnv1a, without_end

CASTAGNOLI: Final = 0x82F63B78
"""The polynomial of CRC-32C, bits reversed."""


def _table() -> bytes:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (CASTAGNOLI if value & 1 else 0)
        entries.append(value.to_bytes(4, "little"))
    return b"".join(entries)


TABLE: Final = Span(_table())
HEX: Final = b"0123456789abcdef"


def _emit_hex(value: int, digits: int) -> None:
    text = bytearray(17)
    left = value
    at = digits
    while at > 0:
        at -= 1
        text[at] = HEX[left & 15]
        left >>= 4
    text[digits] = ord("\n")
    emit(text[: digits + 1])


@program(records="packet")
def fnv(record: Record, *, strip: bool = False) -> None:
    """Write the 64-bit FNV-1a hash of each record, 16 hex digits a line.

    strip: leave out the end of the line

    Example: pfs run fnv --records line --arg strip=yes words.txt
    """
    _emit_hex(fnv1a(without_end(record) if strip else record), 16)


@program(records="packet")
def crc32c(record: Record, *, strip: bool = False) -> None:
    """Write the CRC-32C of each record, 8 hex digits a line.

    strip: leave out the end of the line

    Example: pfs run crc32c --records fixed:4096 disk.img
    """
    crc = 0xFFFFFFFF
    data = without_end(record) if strip else record
    for byte in data:
        crc = crc >> 8 ^ TABLE.u32(4 * (crc & 255 ^ byte))
    _emit_hex(crc ^ 0xFFFFFFFF, 8)
