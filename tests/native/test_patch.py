"""make_patch and patch_bases: the native kernels do what the twins do, and hostile input ends in ValueError."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet.digest import DIGEST, Digest, digest_of
from packetfs.packet.file import copy_leaf, data_leaf
from packetfs.packet.layout import HEADER, Op
from packetfs.packet.patch import Piece, make_patch_python, patch_bases_python
from tests.native.content import kinds, make, seeds

CORE: Any = native
BASES = [digest_of(bytes([number])) for number in range(6)]
built = pytest.mark.skipif(native is None, reason="the native core is not built")
makers = pytest.mark.parametrize("make_patch", [make_patch_python, *([CORE.make_patch] if CORE else [])])


def outcome(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except (ValueError, OverflowError) as error:
        return str(error)


def pieces_of(kind: int, rng: Random) -> tuple[bytearray, list[Piece]]:
    """Return content and the pieces that it is made of, with bytes of its own before, between and behind them."""
    new, pieces = bytearray(), []
    for number in range(rng.randrange(4)):
        new += make(kind, rng.choice((0, 0, 1, 48, 49, 200)), rng)
        old = make(kind, rng.choice((0, 1, 50, 9000, 20_000)), rng)
        pieces.append(Piece(len(new), BASES[number], rng.choice((0, 7, 1 << 31)), memoryview(old)))
        new += old
    return new + make(kind, rng.choice((0, 1, 100)), rng), pieces


def change(new: bytearray, rng: Random) -> None:
    for _ in range(rng.choice((0, 1, 3, 60)) if new else 0):
        at, size = rng.randrange(len(new)), rng.choice((1, 7, 8, 47, 48, 49, 500))
        part = new[at : at + size]
        new[at : at + size] = bytes(len(part)) if rng.random() < 0.3 else rng.randbytes(len(part))


@built
@settings(max_examples=300)
@given(kinds, seeds, st.sampled_from([1, 2, 4, 100]))
def test_both_make_the_same_patch(kind: int, seed: int, share: int) -> None:
    rng = Random(seed)
    new, pieces = pieces_of(kind, rng)
    change(new, rng)
    patch = make_patch_python(new, pieces, len(new) // share)
    assert CORE.make_patch(new, pieces, len(new) // share) == patch


OLD = memoryview(bytes(100))
WRONG_PIECES = {
    "before the beginning": [Piece(-1, BASES[0], 0, OLD)],
    "past the end": [Piece(101, BASES[0], 0, OLD)],
    "behind the end": [Piece(1 << 62, BASES[0], 0, OLD[:0])],
    "into each other": [Piece(0, BASES[0], 0, OLD[:50]), Piece(49, BASES[1], 0, OLD[:50])],
    "one before the other": [Piece(60, BASES[0], 0, OLD[:50]), Piece(0, BASES[1], 0, OLD[:50])],
}


@makers
@pytest.mark.parametrize("where", WRONG_PIECES)
def test_pieces_that_do_not_stand_in_the_new_bytes_are_refused(make_patch: Any, where: str) -> None:
    with pytest.raises(ValueError, match="pieces stand"):
        make_patch(bytes(200), WRONG_PIECES[where], 200)


@makers
@pytest.mark.parametrize("piece", [Piece(0, BASES[0], -1, OLD), Piece(0, Digest(bytes(31)), 0, OLD)])
def test_a_piece_that_is_from_no_extent_is_refused(make_patch: Any, piece: Piece) -> None:
    with pytest.raises(ValueError, match="a piece is from"):
        make_patch(bytes(200), [piece], 200)


@makers
@pytest.mark.parametrize("room", [-1, 201])
def test_room_is_at_most_that_of_the_extent(make_patch: Any, room: int) -> None:
    with pytest.raises(ValueError, match="no more room"):
        make_patch(bytes(200), [], room)


@built
@pytest.mark.parametrize("piece", [None, (), (0, BASES[0], 0), (0, BASES[0], 0, None), ("", BASES[0], 0, OLD)])
def test_what_is_no_piece_is_refused(piece: object) -> None:
    good = Piece(0, BASES[0], 0, OLD)
    with pytest.raises(TypeError):
        CORE.make_patch(bytes(200), [good, piece], 200)


@built
@given(st.lists(st.builds(copy_leaf, st.sampled_from(BASES), st.just(1)) | st.binary(max_size=48).map(data_leaf)))
def test_both_find_the_same_bases(packets: list[bytes]) -> None:
    patch = b"".join(packets)
    assert CORE.patch_bases(patch) == patch_bases_python(patch)
    assert patch_bases_python(patch) == [packet[HEADER : HEADER + DIGEST] for packet in packets if packet[0] == Op.COPY]
    assert outcome(CORE.patch_bases, patch + b"x") == outcome(patch_bases_python, patch + b"x")
