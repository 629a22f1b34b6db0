"""Blocks and sketches: the native kernels give what the twins give, and both what they promise."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet.blocks import (
    PRIME,
    block_find,
    block_find_python,
    block_index,
    block_sums,
    block_sums_python,
)
from packetfs.packet.sketch import SYMBOL, sketch, sketch_peel, sketch_peel_python, sketch_python

needs_native = pytest.mark.skipif(native is None, reason="the twins are what runs here")

CONTENT = st.one_of(
    st.binary(max_size=2000),
    st.builds(lambda part, times: part * times, st.binary(min_size=1, max_size=90), st.integers(1, 40)),
)
WIDTHS = st.integers(1, 7)
KEYS = st.one_of(st.integers(0, PRIME - 1), st.sampled_from([0, 1, PRIME - 1]))


def find(sums: bytes, width: int, key: int, data: bytes, expected: int = 0) -> list[tuple[int, int, int]]:
    return block_find(block_index(sums, width), sums, 64, width, key, data, expected)


@needs_native
@given(CONTENT, CONTENT, WIDTHS, KEYS, st.integers(0, 40), st.integers(0, 200))
def test_blocks_are_those_of_the_twin(old: bytes, new: bytes, width: int, key: int, expected: int, cut: int) -> None:
    sums = block_sums(old, 64, width, key)
    assert sums == block_sums_python(old, 64, width, key)
    mixed = new[:cut] + old[cut:] + new
    assert find(sums, width, key, mixed, expected) == block_find_python(b"", sums, 64, width, key, mixed, expected)


@given(st.integers(0, 2**32), st.integers(0, 300), st.sampled_from([64, 256, 2048]))
def test_blocks_are_found_wherever_they_went(seed: int, shift: int, block: int) -> None:
    rng = random.Random(seed)
    old, key = rng.randbytes(block * 5 + 17), rng.randrange(PRIME)
    sums = block_sums(old, block, 7, key)
    new = rng.randbytes(shift) + old[block : 3 * block] + b"!" + old[:block] + old[4 * block :]
    found = block_find(block_index(sums, 7), sums, block, 7, key, new, 0)
    assert found == [(shift, 1, 2), (shift + 2 * block + 1, 0, 1), (shift + 3 * block + 1, 4, 1)]


def test_of_equal_blocks_the_expected_one_is_taken() -> None:
    sums = block_sums(bytes(64 * 10), 64, 7, 12345)
    assert find(sums, 7, 12345, bytes(64 * 3), 4) == [(0, 4, 3)]
    assert find(sums, 7, 12345, bytes(64 * 3), 9) == [(0, 9, 1), (64, 0, 2)]


def test_sums_that_share_one_place_of_the_table_cost_no_more_than_its_probes() -> None:
    """A peer may choose its sums so that all want one slot: some are then not found, and nothing loops."""
    inverse = pow(0x9E3779B97F4A7C15 if native is None else 0x9E3779B185EBCA87, -1, 1 << 64)
    low = [number for number in range(1, 40_000) if (number * inverse) % (1 << 64) < 1 << 56]
    sums = b"".join((number * inverse % (1 << 56)).to_bytes(7, "little") for number in low) + b"\1" * 7
    assert find(sums, 7, 3, bytes(range(256)) * 20) == []


@pytest.mark.parametrize(
    ("block", "width", "key"), [(63, 4, 0), (96, 4, 0), (2**21, 4, 0), (64, 0, 0), (64, 8, 0), (64, 4, PRIME)]
)
def test_odd_blocks_are_refused(block: int, width: int, key: int) -> None:
    for sums in (block_sums, block_sums_python):
        with pytest.raises(ValueError, match="a "):
            sums(b"", block, width, key)
    for finder in (block_find, block_find_python):
        with pytest.raises(ValueError, match="a "):
            finder(b"", b"", block, width, key, b"", 0)


def test_a_table_of_other_sums_is_refused() -> None:
    if native is not None:
        with pytest.raises(ValueError, match="table"):
            block_find(bytes(10), bytes(14), 64, 7, 0, b"", 0)


IDS = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=60)


def packed(ids: list[int]) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in ids)


@needs_native
@given(IDS, st.integers(0, 50), st.integers(0, 100))
def test_symbols_are_those_of_the_twin(ids: list[int], start: int, more: int) -> None:
    assert sketch(packed(ids), start, start + more) == sketch_python(packed(ids), start, start + more)


@needs_native
@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(-2, 2)), max_size=40))
def test_any_symbols_peel_as_in_the_twin_and_end(symbols: list[tuple[int, int, int]]) -> None:
    data = b"".join(SYMBOL.pack(*symbol) for symbol in symbols)
    assert sketch_peel(data) == sketch_peel_python(data)


def subtract(a: bytes, b: bytes) -> bytes:
    pairs = zip(SYMBOL.iter_unpack(a), SYMBOL.iter_unpack(b), strict=True)
    return b"".join(SYMBOL.pack(x[0] ^ y[0], x[1] ^ y[1], x[2] - y[2]) for x, y in pairs)


@pytest.mark.parametrize("peel", [sketch_peel, sketch_peel_python])
@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), ours=st.integers(0, 20), theirs=st.integers(0, 20), common=st.integers(0, 300))
def test_a_difference_comes_back(
    peel: Callable[[bytes], tuple[bytes, bytes, bool]], seed: int, ours: int, theirs: int, common: int
) -> None:
    rng = random.Random(seed)
    ids = [rng.getrandbits(64) for _ in range(common + ours + theirs)]
    mine, yours = packed(ids[: common + ours]), packed(ids[:common] + ids[common + ours :])
    symbols = subtract(sketch(mine, 0, 200), sketch(yours, 0, 200))
    found = peel(symbols)
    assert found[2]
    assert sorted(found[0][at : at + 8] for at in range(0, len(found[0]), 8)) == sorted(
        packed([number]) for number in ids[common : common + ours]
    )
    assert len(found[1]) == 8 * theirs
    if ours + theirs > 10:
        assert not peel(symbols[: 16 * ((ours + theirs) // 2)])[2]


def test_a_thousand_differences_take_one_and_a_half_thousand_symbols() -> None:
    rng = random.Random(1)
    ids = [rng.getrandbits(64) for _ in range(1000)]
    assert sketch_peel(sketch(packed(ids), 0, 1500))[2]


def test_symbols_that_never_end_are_left_after_one_look_each() -> None:
    """Each of these gives an id that is in none of the symbols: taking it out makes another one."""
    from packetfs.packet.sketch import check_of

    rng = random.Random(2)
    odd = [rng.getrandbits(64) for _ in range(2000)]
    symbols = b"".join(SYMBOL.pack(number, check_of(number), 1) for number in odd)
    ours, theirs, whole = sketch_peel(symbols)
    assert not whole
    assert len(ours) + len(theirs) <= 8 * len(odd)
