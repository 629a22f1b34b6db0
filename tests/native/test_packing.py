"""pack_in_place and pack_patch: what is packed makes the bytes, the native kernels pack what the twins do, and hostile
input ends in ValueError."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.net.wire.packed import FILL, LITERAL, Expected, read_instructions
from packetfs.packet.digest import digest_of
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.kernels import expand_python
from packetfs.packet.layout import PACKET, STRUCT, Op
from packetfs.packet.packing import Packed, pack_in_place_python, pack_patch_python
from packetfs.packet.patch import Piece, make_patch, patch_bases
from tests.native.content import kinds, make, seeds

CORE: Any = native
BASES = [digest_of(bytes([number])) for number in range(4)]
PLACES = {BASES[0]: (0, 1000), BASES[1]: (0, 1 << 40), BASES[2]: (7, 50)}
built = pytest.mark.skipif(native is None, reason="the native core is not built")
in_place = pytest.mark.parametrize("pack", [pack_in_place_python, *([CORE.pack_in_place] if CORE else [])])
patches = pytest.mark.parametrize("pack_patch", [pack_patch_python, *([CORE.pack_patch] if CORE else [])])


def outcome(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except ValueError as error:
        return str(error)


def run(packed: Packed, expected: int, read: Callable[[int, int, int], bytes]) -> bytes:
    """Make the bytes as the other side does, and see that what comes next is expected where it is said to be."""
    head, (instructions, literals, after), tail = packed
    out, at, where = bytearray(), 0, Expected(expected)
    if head is not None:
        out += read(*head)
        where.base = where.base + head[2] if head[0] else head[1] + head[2]
    for item in read_instructions(instructions, where):
        if item.kind == LITERAL:
            out += literals[at : at + item.length]
            at += item.length
        else:
            is_run = item.kind == FILL
            out += bytes([item.byte]) * item.length if is_run else read(item.source, item.offset, item.length)
    assert (at, where.base) == (len(literals), after)
    return bytes(out) + (b"" if tail is None else read(*tail))


def change(new: bytearray, rng: Random) -> None:
    for _ in range(rng.choice((0, 1, 3, 60)) if new else 0):
        at, size = rng.randrange(len(new)), rng.choice((1, 7, 8, 47, 48, 49, 500))
        part = new[at : at + size]
        new[at : at + size] = bytes(len(part)) if rng.random() < 0.3 else rng.randbytes(len(part))


@settings(max_examples=300)
@given(kinds, seeds, st.sampled_from([0, 1, 63, 9000, 20_000]), st.sampled_from([0, 5, 1 << 40]))
def test_what_differs_in_place_is_packed(kind: int, seed: int, size: int, at: int) -> None:
    rng = Random(seed)
    old = make(kind, size, rng)
    new = bytearray(old)
    change(new, rng)
    packed = pack_in_place_python(new, old, at)
    assert run(packed, at, lambda _, offset, length: old[offset - at : offset - at + length]) == new
    if native is not None:
        assert CORE.pack_in_place(new, old, at) == packed


@in_place
def test_copies_at_the_ends_stand_apart(pack: Any) -> None:
    old = Random(1).randbytes(300)
    assert pack(old, old, 9) == ((0, 9, 300), (b"", b"", 309), None)
    assert pack(old[:100] + b"??" + old[102:], old, 9) == ((0, 9, 100), (bytes([2 << 2]), b"??", 111), (0, 111, 198))
    assert pack(old[:100] + bytes(50) + old[150:], old, 0)[1] == (bytes([(50 << 2 | 2) & 0x7F | 0x80, 1, 0]), b"", 150)
    assert pack(b"", b"", 9) == (None, (b"", b"", 9), None)


@in_place
@pytest.mark.parametrize(("size", "at"), [(99, 0), (100, -1), (100, (1 << 62) + 1)])
def test_what_does_not_lie_in_place_is_refused(pack: Any, size: int, at: int) -> None:
    with pytest.raises(ValueError, match="one length" if size < 100 else "offsets"):
        pack(bytes(100), bytes(size), at)


@settings(max_examples=300)
@given(kinds, seeds, st.sampled_from([0, 1000, 1 << 41]))
def test_a_patch_is_packed(kind: int, seed: int, expected: int) -> None:
    rng = Random(seed)
    new, held, pieces = bytearray(), dict[tuple[int, int], bytes](), list[Piece]()
    for base in rng.choices(list(PLACES), k=rng.randrange(1, 4)):
        old = held.setdefault(PLACES[base], make(kind, rng.choice((50, 9000)), rng))
        offset = rng.randrange(50)
        new += make(kind, rng.choice((0, 1, 49)), rng)
        pieces.append(Piece(len(new), base, offset, memoryview(old)[offset:]))
        new += old[offset:]
    new += make(kind, rng.choice((0, 100)), rng)
    change(new, rng)
    patch = make_patch(new, pieces, len(new))
    if patch is None:
        return

    def read(source: int, offset: int, length: int) -> bytes:
        place = max(place for place in held if place[0] == source and place[1] <= offset)
        return held[place][offset - place[1] : offset - place[1] + length]

    packed = pack_patch_python(patch, len(new), PLACES, expected)
    assert run(packed, expected, read) == new
    if native is not None:
        assert CORE.pack_patch(patch, len(new), PLACES, expected) == packed


packets = st.one_of(
    st.binary(min_size=1, max_size=48).map(data_leaf),
    st.builds(fill_leaf, st.integers(0, 255), st.integers(0, 600)),
    st.builds(copy_leaf, st.sampled_from(BASES[:3]), st.integers(0, 500), st.sampled_from([0, 1, (1 << 32) - 1])),
    st.builds(copy_leaf, st.sampled_from(BASES), st.integers(0, 500), st.sampled_from([0, 1 << 32])),
    st.builds(
        lambda *fields: pack(STRUCT, *fields),
        st.sampled_from([0, Op.DATA, Op.FILL, Op.COPY, Op.TREE, 255]),
        st.sampled_from([0, 0, 0, 1, 128]),
        st.just(0),
        st.integers(0, 60) | st.integers(0, (1 << 32) - 1),
        st.integers(0, 600) | st.integers(0, (1 << 64) - 1),
        st.sampled_from(BASES).map(lambda base: base + bytes(16)),
    ),
)


def said(packets: Sequence[bytes]) -> int:
    """Return how many bytes packets say that they produce."""
    return sum(int.from_bytes(one[8:16] if one[0] == Op.FILL else one[4:8], "little") for one in packets)


@built
@settings(max_examples=500)
@given(st.lists(packets, max_size=8), st.sampled_from([0, 0, 0, -1, 1]), st.sampled_from([0, 0, 1, 63]))
def test_both_pack_or_refuse_the_same(program: list[bytes], more: int, tail: int) -> None:
    arguments = b"".join(program) + bytes(tail), min(said(program), 1 << 20) + more, PLACES, 77
    assert outcome(CORE.pack_patch, *arguments) == outcome(pack_patch_python, *arguments)


@settings(max_examples=200)
@given(st.lists(packets, max_size=6))
def test_what_is_packed_is_what_running_it_makes(program: list[bytes]) -> None:
    """Of any patch: as long as each source reaches far enough, both refuse it, or neither does."""
    size, patch = min(said(program), 10_000), b"".join(program)
    out = bytearray(size)
    packed = outcome(pack_patch_python, patch, size, dict.fromkeys(BASES, (0, 0)), 0)
    try:
        made = expand_python(patch, [bytes(10_000)] * len(patch_bases(patch)), out)
    except ValueError:
        reaches = all(int.from_bytes(one[8:16], "little") <= 9000 for one in program if one[0] == Op.COPY)
        assert isinstance(packed, str) or not reaches
        return
    assert made == size
    assert run(packed, 0, lambda _, __, length: bytes(length)) == out  # type: ignore[arg-type]


COPY = copy_leaf(BASES[0], 100)
WRONG = {
    "whole packets": (bytes(63), 0),
    "shorter than 4 GiB": (b"", 1 << 32),
    "no place": (COPY + copy_leaf(BASES[3], 1), 101),
    "does not make the bytes": (COPY, 99),
    "not make the bytes": (COPY + fill_leaf(0, (1 << 64) - 1), 99),
    "make the bytes": (COPY + pack(STRUCT, Op.FILL, 0, 0, 2, 1 << 60, b"ab"), 99),
    "past its source": (copy_leaf(BASES[0], 100, 1 << 32), 100),
    "unknown flags": (copy_leaf(BASES[0], 100, 0, 1), 100),
    "flags": (COPY + pack(STRUCT, Op.DATA, 1, 0, 1, 0, b""), 101),
    "has unknown flags": (COPY + pack(STRUCT, Op.FILL, 1, 0, 1, 1, b""), 101),
    "DATA is longer": (COPY + pack(STRUCT, Op.DATA, 0, 0, 49, 0, b""), 149),
    "FILL has no pattern": (COPY + pack(STRUCT, Op.FILL, 0, 0, 0, 1, b""), 101),
    "only DATA": (COPY + pack(STRUCT, Op.TREE, 0, 0, 1, 0, b""), 101),
}


@patches
@pytest.mark.parametrize("reason", WRONG)
def test_what_is_no_patch_is_refused(pack_patch: Any, reason: str) -> None:
    patch, size = WRONG[reason]
    with pytest.raises(ValueError, match=reason):
        pack_patch(patch, size, PLACES, 0)


@patches
@pytest.mark.parametrize("place", [(-1, 0), (0, -1), ((1 << 62) + 1, 0), (0, (1 << 62) + 1)])
def test_places_are_offsets(pack_patch: Any, place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        pack_patch(COPY, 100, {BASES[0]: place}, 0)
    with pytest.raises(ValueError, match="offsets"):
        pack_patch(COPY, 100, PLACES, place[1] or place[0])


@built
@pytest.mark.parametrize("places", [None, [], {BASES[0]: None}, {BASES[0]: (1,)}, {BASES[0]: ("", 1)}])
def test_what_is_no_place_is_refused(places: object) -> None:
    with pytest.raises(TypeError):
        CORE.pack_patch(COPY, 100, places, 0)


@patches
def test_runs_and_patterns_between_copies(pack_patch: Any) -> None:
    program = COPY + data_leaf(b"ab") + pack(STRUCT, Op.FILL, 0, 0, 2, 3, b"xy") + fill_leaf(9, 5) + data_leaf(b"c")
    program += copy_leaf(BASES[2], 20, 3) + copy_leaf(BASES[0], 6)
    head, (instructions, literals, expected), tail = pack_patch(program, 137, PLACES, 0)
    assert (head, tail) == ((0, 1000, 100), (0, 1000, 6))
    assert instructions == bytes([5 << 2, 5 << 2 | 2, 9, 1 << 2, 20 << 2 | 3, 7, 53])
    assert (literals, expected) == (b"abxyxc", 1131)
    assert len(program) == 7 * PACKET
