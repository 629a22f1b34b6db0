"""Patches: running one makes the extent, and whatever its bytes are, it makes that or is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadPacket
from packetfs.limits import PATCH_BASES, PATCH_SHARE
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.layout import PACKET
from packetfs.packet.patch import Piece, apply_patch, bases_of, make_patch

SIZE = 20_000


def run(patch: bytes, held: dict[Digest, bytes], size: int) -> bytes:
    out = bytearray(size)
    apply_patch(patch, held.__getitem__, memoryview(out))
    return bytes(out)


@pytest.mark.parametrize("seed", range(60))
def test_a_patch_over_pieces_makes_the_extent(seed: int) -> None:
    rng = random.Random(seed)
    held: dict[Digest, bytes] = {}
    pieces: list[Piece] = []
    new = bytearray()
    for _ in range(rng.randrange(1, PATCH_BASES + 1)):
        old = rng.randbytes(rng.randrange(100, SIZE))
        offset = rng.randrange(50)
        digest = digest_of(old)
        held[digest] = old
        new += rng.randbytes(rng.choice((0, 0, 5)))
        pieces.append(Piece(len(new), digest, offset, memoryview(old)[offset:]))
        new += old[offset:]
    new += rng.randbytes(rng.choice((0, 7, 48, 200)))
    for _ in range(rng.randrange(4)):
        at, size = rng.randrange(len(new)), rng.choice((1, 47, 48, 49, 500))
        new[at : at + size] = bytes(size) if rng.random() < 0.3 else rng.randbytes(size)
    patch = make_patch(new, pieces, len(new) // PATCH_SHARE)
    if patch is None:
        assert len(new) < 20 * PATCH_SHARE * PACKET
        return
    assert len(patch) <= len(new) // PATCH_SHARE
    assert run(patch, held, len(new)) == new
    assert set(bases_of(patch)) <= held.keys()


def test_what_differs_too_much_has_no_patch() -> None:
    old, other = random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)
    pieces = [Piece(0, digest_of(old), 0, memoryview(old))]
    room = SIZE // PATCH_SHARE
    assert make_patch(other, pieces, room) is None
    assert make_patch(old, [], room) is None
    half = old[: SIZE // 2] + other[SIZE // 2 :]
    assert make_patch(half, pieces, room) is None
    zeroed = old[: SIZE // 2] + bytes(SIZE // 2)
    assert len(make_patch(zeroed, pieces, 2 * PACKET) or b"") == 2 * PACKET
    assert make_patch(zeroed, pieces, 2 * PACKET - 1) is None


PACKETS = st.one_of(
    st.binary(min_size=1, max_size=48).map(data_leaf),
    st.builds(fill_leaf, st.integers(0, 255), st.sampled_from([1, 500, 1 << 40, (1 << 64) - 1])),
    st.builds(
        lambda which, length, offset: copy_leaf(digest_of(b"%d" % which), length, offset),
        st.integers(0, 5),
        st.sampled_from([1, 900, 1000, (1 << 32) - 1]),
        st.sampled_from([0, 1, 100, (1 << 64) - 1]),
    ),
    st.binary(min_size=PACKET, max_size=PACKET),
    st.binary(max_size=70),
)


@given(packets=st.lists(PACKETS, max_size=6), size=st.sampled_from([1, 948, 1000, 2000]))
def test_any_bytes_make_an_extent_or_are_refused(packets: list[bytes], size: int) -> None:
    held = {digest_of(b"%d" % which): bytes([which]) * 1000 for which in range(6)}
    patch = b"".join(packets)
    try:
        made = run(patch, held, size)
    except (BadPacket, KeyError):  # it is none, or over what is not held
        made = None
    assert made is None or len(made) == size


def test_a_patch_has_bases_but_not_many() -> None:
    copies = [copy_leaf(digest_of(b"%d" % number), 1) for number in range(PATCH_BASES + 1)]
    assert len(bases_of(b"".join(copies[1:]))) == PATCH_BASES
    for patch in (b"", data_leaf(b"x"), b"".join(copies), copies[0] + b"\0"):
        with pytest.raises(BadPacket):
            bases_of(patch)
