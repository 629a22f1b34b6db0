"""What shards emitted, in pieces, as their results name it: a little lies in the result itself, more in files of the
memory, from which it is handed over as it lies there.

    0..7 bytes n, then these if there are few, else   0..7 file   8..15 where in it
"""

from __future__ import annotations

import struct

from packetfs.limits import MEMO_OUTPUT_INLINE
from packetfs.packet.layout import Buffer
from packetfs.pool.outputs import Place
from packetfs.typing import Callable, Final, Iterable, TypeAlias

Piece: TypeAlias = bytes | Place
_SIZE: Final = struct.Struct("<Q")
_PLACE: Final = struct.Struct("<qQ")


def piece_of(output: Buffer, keep: Callable[[Buffer], Place]) -> Piece:
    """Return the output of a shard as a piece; `keep` puts away what is too much for a result."""
    return bytes(output) if len(output) <= MEMO_OUTPUT_INLINE else keep(output)


def pack(pieces: Iterable[Piece]) -> bytes:
    """Return pieces as bytes."""
    parts: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, Place):
            parts += (_SIZE.pack(piece.length), _PLACE.pack(piece.file, piece.start))
        elif piece:
            parts += (_SIZE.pack(len(piece)), piece)
    return b"".join(parts)


def unpack(data: bytes) -> list[Piece]:
    """Return what `pack` gave, without those that are empty; struct.error if it is cut short."""
    pieces: list[Piece] = []
    at = 0
    while at < len(data):
        (length,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        if length > MEMO_OUTPUT_INLINE:
            file, start = _PLACE.unpack_from(data, at)
            pieces.append(Place(file, start, length))
            at += _PLACE.size
        else:
            pieces.append(data[at : at + length])
            at += length
    return pieces


def find(pieces: Iterable[Piece], kept: Callable[[Place], Buffer | None]) -> list[Buffer] | None:
    """Return the bytes of pieces, given where to find what was `kept`; None where any of it is not there."""
    found = [kept(piece) if isinstance(piece, Place) else piece for piece in pieces]
    here = [each for each in found if each is not None]
    return here if len(here) == len(found) else None
