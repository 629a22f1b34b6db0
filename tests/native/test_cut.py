"""Cuts: the definition, the same on every vector unit, whatever windows they are asked in; and frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import accumulate
from random import Random
from struct import pack
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.packet import cut as definition
from packetfs.packet.cut import CHUNKER, WINDOW, cut_python, find_least_python, hash_window, hash_window_python
from tests.native.content import edit, kinds, make, seeds

Cut = Callable[[bytes, int, bool, int], list[int]]
CORE: Any = native
MEAN = 4096
GOLDEN = {
    4096: "62879653e119ea85ff6b0deebb70cc25",
    16384: "540c0b5cf122e62d530925a2122c3b26",
    65536: "2966fb65512f229388b719c2917385a4",
}
"""Cuts of `golden_data` by mean. They may never change: another chunker gets another id."""


def units() -> list[str]:
    """Return the twin and the vector units of this machine."""
    found = ["twin"]
    for name in ("scalar", "avx2", "avx512") if CORE is not None else ():
        best = CORE.simd()
        try:
            CORE.set_simd(name)
            found.append(name)
        except ValueError:
            pass
        CORE.set_simd(best)
    return found


@pytest.fixture(params=units())
def cut(request: pytest.FixtureRequest) -> Iterator[Cut]:
    if request.param == "twin":
        yield cut_python
        return
    best = CORE.simd()
    CORE.set_simd(request.param)
    yield CORE.cut
    CORE.set_simd(best)


def cut_everywhere(data: bytes, mean: int, final: bool, run: int = -1) -> list[int]:
    """Cut with the twin and all units, which must agree."""
    expected = cut_python(data, mean, final, run)
    for unit in units()[1:]:
        CORE.set_simd(unit)
        assert CORE.cut(data, mean, final, run) == expected, unit
    return expected


def golden_data() -> bytes:
    """Only `randbytes` is used, which no Python version changed."""
    noise = Random(1).randbytes(900_000)
    letters = noise[:300_000].translate(bytes(b"ACGT"[i & 3] for i in range(256)))
    numbers = b"".join(n.to_bytes(4, "little") for n in range(50_000))
    edges = b"".join(bytes([length & 255]) * length + noise[:length] for length in (510, 511, 512, 513, 8191, 8192))
    return noise + bytes(50_000) + letters + numbers + noise[:7] * 20_000 + edges + noise[:100]


@pytest.mark.parametrize("mean", GOLDEN)
def test_golden_cuts(cut: Cut, mean: int) -> None:
    assert CHUNKER == 1
    cuts = cut(golden_data(), mean, True, -1)
    assert sha256(pack(f"<{len(cuts)}q", *cuts)).hexdigest()[:32] == GOLDEN[mean]


@pytest.mark.parametrize("hashed", [hash_window, hash_window_python])
def test_golden_hash(hashed: Callable[[bytes], int]) -> None:
    assert hashed(bytes(32)) == 0
    assert hashed(bytes(range(32))) == 0x972B3793
    with pytest.raises(ValueError, match="32 bytes"):
        hashed(bytes(31))


@given(st.binary(min_size=32, max_size=32))
def test_the_core_hashes_a_window_as_its_twin_does(window: bytes) -> None:
    assert hash_window(window) == hash_window_python(window)


@given(st.binary(min_size=32, max_size=200), st.integers(0, 1))
def test_least_is_by_window(data: bytes, zero: int) -> None:
    """The lanes of the twin compute what hash_window says, with the first of equals."""
    data = data * zero or bytes(len(data))
    hashes = [hash_window(data[c - WINDOW : c]) for c in range(WINDOW, len(data) + 1)]
    assert find_least_python(data, 0, WINDOW, len(data)) == hashes.index(min(hashes)) + WINDOW


@settings(max_examples=60, deadline=None)
@given(kinds, seeds, st.data())
def test_units_find_the_same_least(kind: int, seed: int, draw: st.DataObject) -> None:
    data = make(kind, 20_000, Random(seed))
    at = draw.draw(st.integers(0, len(data) - WINDOW))
    low = draw.draw(st.integers(WINDOW, len(data) - at))
    high = draw.draw(st.integers(low, len(data) - at))
    expected = find_least_python(data, at, low, high)
    for unit in units()[1:]:
        CORE.set_simd(unit)
        assert CORE.find_least(data, at, low, high) == expected, unit


@pytest.mark.parametrize("bounds", [(-1, 32, 40), (0, 31, 40), (0, 40, 39), (0, 32, 101), (70, 32, 32), (101, 32, 32)])
def test_a_range_of_windows_outside_the_data_is_refused(bounds: tuple[int, int, int]) -> None:
    for find in (find_least_python, *(CORE.find_least for _ in units()[1:2])):
        with pytest.raises(ValueError, match="windows"):
            find(bytes(100), *bounds)


@settings(max_examples=60)
@given(kinds, st.integers(0, 40_000), seeds, st.booleans(), st.integers(-1, 3))
def test_units_agree(kind: int, size: int, seed: int, final: bool, run: int) -> None:
    data = make(kind, size, Random(seed))
    cuts = cut_everywhere(data, MEAN, final, run)
    assert sum(map(abs, cuts)) <= len(data)
    if final:
        assert sum(map(abs, cuts)) == len(data)


@settings(max_examples=30)
@given(kinds, seeds)
def test_segments_are_what_they_say(kind: int, seed: int) -> None:
    data = make(kind, 60_000, Random(seed))
    cuts = cut_python(data, MEAN, True)
    for end, length in zip(accumulate(map(abs, cuts)), cuts, strict=True):
        part = data[end - abs(length) : end]
        assert len(part) <= MEAN * 3 // 2 or length < 0
        if length < 0:
            assert len(part) >= MEAN // 8
            assert part == part[:1] * len(part)
            assert data[end : end + 1] != part[:1]
        else:
            assert all(b * (MEAN // 8) not in part for b in {part[i : i + 1] for i in range(0, len(part), 64)})


def cut_in_windows(cut: Cut, data: bytes, sizes: Iterator[int]) -> list[int]:
    """Cut as a stream of unequal reads is cut, and merge the parts of runs."""
    merged: list[int] = []
    buffer, read, run = b"", 0, -1
    while read < len(data) or buffer:
        size = next(sizes)
        buffer += data[read : read + size]
        read += size
        for length in cut(buffer, MEAN, read >= len(data), run):
            part, buffer = buffer[: abs(length)], buffer[abs(length) :]
            if length < 0 and run == part[0]:
                merged[-1] += length
            else:
                merged.append(length)
            run = part[0] if length < 0 else -1
    return merged


@settings(max_examples=60)
@given(kinds, st.integers(0, 60_000), seeds)
def test_windows_do_not_show(kind: int, size: int, seed: int) -> None:
    rng = Random(seed)
    data = make(kind, size, rng)
    best = units()[-1]
    cut = cut_python if best == "twin" else CORE.cut
    whole = cut(data, MEAN, True, -1)
    sizes = iter(lambda: rng.choice((1000, 7000, 20_000)), None)
    assert cut_in_windows(cut, data, sizes) == whole


@settings(max_examples=30)
@given(seeds)
def test_cuts_depend_on_what_follows_alone(seed: int) -> None:
    rng = Random(seed)
    data = rng.randbytes(60_000)
    cuts = cut_everywhere(data, MEAN, True)
    start = sum(cuts[:3])
    assert cut_everywhere(data[start:], MEAN, True) == cuts[3:]


@pytest.mark.parametrize("kind", range(5))
def test_an_insert_changes_little(kind: int) -> None:
    rng = Random(kind)
    data = make(kind, 400_000, rng) if kind != 2 else rng.randbytes(400_000)
    new = data[:200_001] + b"inserted" + data[200_001:]
    cut = definition.cut
    held = set(_parts(data, cut(data, MEAN, True)))
    assert sum(len(part) for part in _parts(new, cut(new, MEAN, True)) if part not in held) < 12 * MEAN


def _parts(data: bytes, cuts: list[int]) -> list[bytes]:
    return [data[end - abs(n) : end] for end, n in zip(accumulate(map(abs, cuts)), cuts, strict=True)]


@pytest.mark.parametrize("length", [MEAN // 8 - 1, MEAN // 8, MEAN // 8 + 1, MEAN])
@pytest.mark.parametrize("at", [0, 1, 255, 256, 2047, 2048, 6143, 6144, 6145, 20_000])
def test_runs_at_every_edge(length: int, at: int) -> None:
    noise = bytes(1 + b % 255 for b in Random(3).randbytes(20_000))
    cuts = cut_everywhere(noise[:at] + bytes(length) + noise[at:], MEAN, True)
    assert ([-length] if length >= MEAN // 8 else []) == [n for n in cuts if n < 0]


def test_a_run_that_is_not_all_here_waits(cut: Cut) -> None:
    noise = Random(4).randbytes(MEAN) + b"\1"
    assert cut(noise + bytes(100), MEAN, False, -1) == []
    assert cut(noise + bytes(MEAN), MEAN, False, -1)[-1] == -MEAN
    assert cut(bytes(3) + noise, MEAN, True, 0)[0] == -3
    assert cut(b"", MEAN, True, 0) == []


@pytest.mark.parametrize("mean", [0, 1, 2048, 4097, -4096])
def test_bad_means(cut: Cut, mean: int) -> None:
    with pytest.raises(ValueError, match="mean"):
        cut(b"", mean, True, -1)


@pytest.mark.parametrize("run", [-2, 256])
def test_bad_runs(cut: Cut, run: int) -> None:
    with pytest.raises(ValueError, match="run"):
        cut(b"", MEAN, True, run)


@settings(max_examples=20)
@given(kinds, seeds)
@example(2, 0)
def test_edits_agree_too(kind: int, seed: int) -> None:
    rng = Random(seed)
    cut_everywhere(edit(make(kind, 50_000, rng), rng), 2 * MEAN, True)
