"""Patches: an extent as a program over other extents, from which it differs in place, and in little.

A patch is COPY packets of those, its bases, and DATA and FILL packets where the bytes are others. Running it makes the
extent. Its parts say as well what somebody who has the bases needs, so a delta is known without comparing again.
"""

from __future__ import annotations

from packetfs.accel import native
from packetfs.errors import BadPacket
from packetfs.limits import PATCH_BASES
from packetfs.packet.digest import DIGEST, Digest
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.inplace import differing
from packetfs.packet.kernels import common_prefix, expand
from packetfs.packet.layout import BODY, HEADER, PACKET, Buffer, Op
from packetfs.typing import Callable, Final, Iterator, NamedTuple, Sequence

_COPY: Final = int(Op.COPY)


class Piece(NamedTuple):
    """Old bytes, as they would stand at `at` of a new payload, and where they are: in which extent, from where on."""

    at: int
    digest: Digest
    offset: int
    content: memoryview


def make_patch_python(new: Buffer, pieces: Sequence[Piece], room: int, /) -> bytes | None:
    """Return the patch that makes `new` of old pieces; None where it takes more room, or copies nothing."""
    view = memoryview(new).cast("B")
    _check(len(view) < 1 << 32, "an extent is shorter than 4 GiB")
    _check(0 <= room <= len(view), "a patch takes no more room than its extent")
    _check_pieces(pieces, len(view))
    packets: list[bytes] = []
    for packet in _packets(view, pieces):
        packets.append(packet)
        room -= PACKET
        if room < 0:
            return None
    return b"".join(packets) if any(packet[0] == _COPY for packet in packets) else None


def _check_pieces(pieces: Sequence[Piece], size: int) -> None:
    done = 0
    for at, digest, offset, content in pieces:
        _check(done <= at <= size - len(content), "pieces stand one behind the other in the new bytes")
        _check(offset >= 0 and len(digest) == DIGEST, "a piece is from an offset of a digest of 32 bytes")
        done = at + len(content)


def _packets(new: memoryview, pieces: Sequence[Piece]) -> Iterator[bytes]:
    """Yield the packets of a patch: one COPY of what did not change, those of a literal, and so on."""
    done = 0
    for piece in pieces:
        yield from _literal(new[done : piece.at])
        done = piece.at + len(piece.content)
        yield from _changes(new[piece.at : done], piece)
    yield from _literal(new[done:])


def _changes(new: memoryview, old: Piece) -> Iterator[bytes]:
    kept = 0
    for start, end in differing(new, old.content):
        if start > kept:
            yield copy_leaf(old.digest, start - kept, old.offset + kept)
        yield from _literal(new[start:end])
        kept = end
    if kept < len(new):
        yield copy_leaf(old.digest, len(new) - kept, old.offset + kept)


def _literal(data: memoryview) -> Iterator[bytes]:
    """Yield the packets that produce some bytes."""
    if len(data) > BODY and common_prefix(data[1:], data[:-1]) == len(data) - 1:
        yield fill_leaf(data[0], len(data))
        return
    for at in range(0, len(data), BODY):
        yield data_leaf(bytes(data[at : at + BODY]))


def bases_of(patch: bytes) -> list[Digest]:
    """Return the extents that a patch copies from, one for each COPY; BadPacket where they are none, or too many."""
    bases = patch_bases(patch) if not len(patch) % PACKET else []
    if not 0 < len(set(bases)) <= PATCH_BASES:
        raise BadPacket(reason=f"a patch is packets that copy from 1 to {PATCH_BASES} extents")
    return bases


def apply_patch(patch: bytes, read: Callable[[Digest], Buffer], out: memoryview) -> None:
    """Fill `out` with what a patch makes of its bases; BadPacket where it does not make as many bytes."""
    bases = bases_of(patch)
    old = {base: read(base) for base in set(bases)}
    try:
        made = expand(patch, [old[base] for base in bases], out)
    except ValueError as error:
        raise BadPacket(reason=f"a patch: {error}") from None
    if made != len(out):
        raise BadPacket(reason=f"a patch makes {made} bytes, its extent has {len(out)}")


def patch_bases_python(patch: Buffer, /) -> list[Digest]:
    """Return the extents that a patch copies from, one for each COPY."""
    view = bytes(patch)
    _check(not len(view) % PACKET, "a program is whole packets")
    copies = [at for at in range(0, len(view), PACKET) if view[at] == _COPY]
    return [Digest(view[at + HEADER : at + HEADER + DIGEST]) for at in copies]


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


if native is None:
    make_patch, patch_bases = make_patch_python, patch_bases_python
else:
    make_patch, patch_bases = native.make_patch, native.patch_bases
