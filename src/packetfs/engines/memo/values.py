"""Values as they are remembered: as they are, in narrow words (narrow.py), or these compressed.

0 how   1.. the value   or   1..8 bytes of the value   9.. its words, narrowed or compressed
"""

from __future__ import annotations

from struct import Struct

from packetfs.engines.memo.narrow import narrow, widen
from packetfs.packet.layout import Buffer
from packetfs.packet.zstd import compress, decompress
from packetfs.typing import Final

_PLAIN, _NARROW, _ZSTD = 0, 1, 2
_HEAD: Final = Struct("<BQ")
_SMALL: Final = 256
"""Bytes up to which a value is kept as it is."""
_RATHER: Final = 2048
"""Bytes up to which it is where its words are wide: loading zstd for it would cost more than that gains."""
_ZEROS: Final = bytes(4096)


def front(data: bytes) -> bytes:
    """Return data without the zeros at its end."""
    end = len(data)
    while data.endswith(_ZEROS, 0, end):  # a byte at a time takes 1 ms for 512 KiB
        end -= len(_ZEROS)
    return data[:end].rstrip(b"\0")


def pack(value: bytes) -> bytes:
    """Return a value as it is remembered. One thread at a time asks."""
    if len(value) > _SMALL:
        words = narrow(value + bytes(-len(value) % 8))
        if 2 * len(words) <= len(value):
            return _HEAD.pack(_NARROW, len(value)) + words
        if len(value) > _RATHER:
            return _HEAD.pack(_ZSTD, len(value)) + compress(words, 1)
    return bytes([_PLAIN]) + value


def unpack(data: bytes, most: int) -> Buffer:
    """Return the value, of `most` bytes at the most; ValueError, struct.error or BadPacket for what is none."""
    if data[:1] == bytes([_PLAIN]):
        return data[1:]
    how, size = _HEAD.unpack_from(data)
    if how not in (_NARROW, _ZSTD) or size > most:
        raise ValueError(f"a value of {size} bytes in form {how}")
    count, words = -(-size // 8), memoryview(data)[_HEAD.size :]
    return memoryview(widen(words if how == _NARROW else decompress(words, 2 * most), count))[:size]
