"""Values as they are remembered: what is told of a result, and what its maps hold, as narrow words (results/narrow.py)
or these compressed.

    0 form   1..4 bytes told   5..12 bytes of the maps   13.. what is told, then the words
"""

from __future__ import annotations

from struct import Struct

from packetfs.engines.results.narrow import Words, narrow
from packetfs.limits import MIB
from packetfs.packet.layout import Buffer
from packetfs.packet.zstd import compress, decompress
from packetfs.typing import Final

_NARROW, _ZSTD = 1, 2
_HEAD: Final = Struct("<BIQ")
_RATHER: Final = 2048
"""Bytes of wide words that are not compressed: loading zstd for them would cost more than that gains."""
_MUCH: Final = MIB
"""Bytes of words that are compressed in any case, as there is a bound of a value."""
_ZEROS: Final = bytes(4096)


def front(data: Buffer) -> Buffer:
    """Return data without the pages of zeros at its end."""
    end = len(data)
    while end >= len(_ZEROS) and data[end - len(_ZEROS) : end] == _ZEROS:
        end -= len(_ZEROS)
    return data[:end]


def pack(told: bytes, maps: Buffer) -> list[Buffer]:
    """Return a value as it is remembered, in parts. One thread at a time asks."""
    size = len(maps)
    words = narrow(maps if size % 8 == 0 else bytes(maps) + bytes(-size % 8))
    wide = len(words) > max(size * 3 // 4, _RATHER) or len(words) > _MUCH
    form = _ZSTD if wide else _NARROW
    return [_HEAD.pack(form, len(told), size), told, words if form == _NARROW else compress(words, 1)]


def unpack(data: Buffer, most: int) -> tuple[bytes, Words]:
    """Return what `pack` was given, maps of `most` bytes at the most; ValueError, struct.error or BadPacket for what it
    cannot have given."""
    form, told, size = _HEAD.unpack_from(data)
    behind = _HEAD.size + told
    if form not in (_NARROW, _ZSTD) or size > most or behind > len(data):
        raise ValueError(f"a value of {told} and {size} bytes in form {form}")
    words: Buffer = memoryview(data)[behind:]
    if form == _ZSTD:
        words = decompress(words, 2 * most)
    return bytes(data[_HEAD.size : behind]), Words(words, size)
