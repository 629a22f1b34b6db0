"""The leaves of a file's program: a chunk, a run, and how segments of the cutter become them."""

from __future__ import annotations

import struct

from packetfs.packet.digest import Digest
from packetfs.packet.layout import BODY, Op
from packetfs.typing import Final

_COPY: Final = struct.Struct("<BBHIQ32s16x")
_FILL: Final = struct.Struct("<BBHIQ48s")
_DATA: Final = struct.Struct("<BBHIQ48s")

_OP_COPY: Final = int(Op.COPY)

INLINE: Final = BODY
"""A chunk of at most this many bytes is a DATA packet; a longer one an extent."""


def copy_leaf(digest: Digest, length: int, offset: int = 0, flags: int = 0) -> bytes:
    """Return COPY: `length` bytes of extent `digest` from `offset` on."""
    return _COPY.pack(_OP_COPY, flags, 0, length, offset, digest)


def fill_leaf(byte: int, length: int) -> bytes:
    """Return FILL: a run of `length` times one byte."""
    return _FILL.pack(Op.FILL, 0, 0, 1, length, bytes([byte]))


def data_leaf(data: bytes) -> bytes:
    """Return DATA: at most 48 bytes, inline."""
    return _DATA.pack(Op.DATA, 0, 0, len(data), 0, data)
