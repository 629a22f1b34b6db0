"""make_patch and patch_parts: the native kernels do what the twins do, and hostile input ends in ValueError."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.layout import PACKET, STRUCT, Op
from packetfs.packet.patch import Piece, make_patch_python, patch_parts_python
from tests.native.content import kinds, make, seeds

CORE: Any = native
LIMIT = 4
BASES = [digest_of(bytes([number])) for number in range(6)]
built = pytest.mark.skipif(native is None, reason="the native core is not built")
makers = pytest.mark.parametrize("make_patch", [make_patch_python, *([CORE.make_patch] if CORE else [])])
readers = pytest.mark.parametrize("patch_parts", [patch_parts_python, *([CORE.patch_parts] if CORE else [])])


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
def test_both_make_the_same_patch_and_read_it_alike(kind: int, seed: int, share: int) -> None:
    rng = Random(seed)
    new, pieces = pieces_of(kind, rng)
    change(new, rng)
    patch = make_patch_python(new, pieces, len(new) // share)
    assert CORE.make_patch(new, pieces, len(new) // share) == patch
    if patch is not None:
        assert CORE.patch_parts(patch, len(new), LIMIT) == patch_parts_python(patch, len(new), LIMIT)


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


packets = st.one_of(
    st.binary(min_size=1, max_size=48).map(data_leaf),
    st.builds(fill_leaf, st.integers(0, 255), st.integers(0, 600)),
    st.builds(copy_leaf, st.sampled_from(BASES), st.integers(0, 500), st.sampled_from([0, 1, (1 << 32) - 1, 1 << 32])),
    st.builds(
        lambda *fields: pack(STRUCT, *fields),
        st.sampled_from([0, Op.DATA, Op.FILL, Op.COPY, Op.TREE, 255]),
        st.sampled_from([0, 0, 0, 1, 128]),
        st.just(0),
        st.integers(0, 60) | st.integers(0, (1 << 32) - 1),
        st.integers(0, 600) | st.integers(0, (1 << 64) - 1),
        st.binary(min_size=48, max_size=48),
    ),
)


def said(packets: list[bytes]) -> int:
    """Return how many bytes packets say that they produce."""
    return sum(int.from_bytes(one[8:16] if one[0] == Op.FILL else one[4:8], "little") for one in packets)


@built
@settings(max_examples=500)
@given(st.lists(packets, max_size=8), st.sampled_from([0, 0, 0, -1, 1]), st.sampled_from([0, 1, 63]))
def test_both_refuse_the_same(program: list[bytes], more: int, tail: int) -> None:
    size = min(said(program), 1 << 20) + more
    patch = b"".join(program) + bytes(tail)
    assert outcome(CORE.patch_parts, patch, size, LIMIT) == outcome(patch_parts_python, patch, size, LIMIT)


WRONG = {
    "whole packets": (bytes(63), 0),
    "does not make the bytes": (copy_leaf(BASES[0], 100), 99),
    "not make the bytes": (copy_leaf(BASES[0], 100) + fill_leaf(0, (1 << 64) - 1), 99),
    "does not make": (b"", -1),
    "part of a patch is empty": (copy_leaf(BASES[0], 100) + copy_leaf(BASES[0], 0), 100),
    "a patch is empty": (copy_leaf(BASES[0], 100) + fill_leaf(0, 0), 100),
    "past its source": (copy_leaf(BASES[0], 100, 1 << 32), 100),
    "unknown flags": (copy_leaf(BASES[0], 100, 0, 1), 100),
    "flags": (copy_leaf(BASES[0], 100) + bytes([Op.DATA, 1, 0, 0, 1]) + bytes(59), 101),
    "DATA is longer": (copy_leaf(BASES[0], 100) + bytes([Op.DATA, 0, 0, 0, 49]) + bytes(59), 149),
    "FILL has no pattern": (copy_leaf(BASES[0], 100) + bytes([Op.FILL, 0, 0, 0, 0, 0, 0, 0, 1]) + bytes(55), 101),
    "only DATA": (copy_leaf(BASES[0], 100) + bytes([Op.TREE, 0, 0, 0, 1]) + bytes(59), 101),
    "copies from none": (b"", 0),
    "copies from none, ": (data_leaf(b"x"), 1),
    "from too many": (b"".join(copy_leaf(base, 1) for base in BASES[: LIMIT + 1]), LIMIT + 1),
}


@readers
@pytest.mark.parametrize("reason", WRONG)
def test_what_is_no_patch_is_refused(patch_parts: Any, reason: str) -> None:
    patch, size = WRONG[reason]
    with pytest.raises(ValueError, match=reason):
        patch_parts(patch, size, LIMIT)


@readers
def test_parts_are_what_is_of_a_base_and_all_between(patch_parts: Any) -> None:
    first, second = BASES[:2]
    patch = copy_leaf(second, 10, 5) + data_leaf(b"ab") + fill_leaf(7, 3) + data_leaf(b"c")
    patch += copy_leaf(first, 20) + copy_leaf(second, 1, (1 << 32) - 1)
    bases, parts = patch_parts(patch, 37, LIMIT)
    assert bases == [second, first]
    assert parts == [(0, 5, 10), b"ab\7\7\7c", (1, 0, 20), (0, (1 << 32) - 1, 1)]
    assert len(patch) == 6 * PACKET
