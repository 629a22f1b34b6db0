"""Where files are cut: constant runs first, then chunks whose ends the content chooses (chunker id 1).

A cut moves with the bytes around it, so an insert changes one or two chunks and the rest is shared. The end of a
chunk is the window with the least hash in [mean/2, 3/2 mean] (MinCDC): it re-syncs better than Gear, and has no
branch that depends on data, so it vectorises. The hash must see 32 bytes: over 4, DNA, bits and small integers have
so many equal windows that an insert re-sends nearly all of them.

Everything here is frozen: other cuts need another chunker id. Decisions depend on the bytes from the chunk's start on
alone, so the windows in which a file is read do not show.
"""

from __future__ import annotations

from struct import unpack

from packetfs.accel import native
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

CHUNKER: Final = 1
WINDOW: Final = 32
M1: Final = 0x9E3779B1
M2: Final = 0x85EBCA77
M3: Final = 0x165667B1
SHIFT: Final = 15
WORD: Final = 0xFFFFFFFF
BATCH: Final = 4096
"""Windows hashed at a time; Python's integers are fastest while they fit the first-level cache."""


def hash_window_python(window: Buffer, /) -> int:
    """Return H of 32 bytes: w0..w7 are little-endian words, all arithmetic is modulo 2**32.

    Two multiplications per half keep the vector loop at one of them per 8 bytes; the shift makes H non-linear, so that
    counters and sorted numbers do not all have their least value at one end.
    """
    if memoryview(window).nbytes != WINDOW:
        raise ValueError("a window has 32 bytes")
    words: tuple[int, ...] = unpack("<8I", window)
    first, last = _hash_half(*words[:4]), _hash_half(*words[4:])
    return ((first ^ first >> SHIFT) * M3 + last) & WORD


def _hash_half(w0: int, w1: int, w2: int, w3: int) -> int:
    return ((w0 * M1 + w1) * M2 + w2 * M1 + w3) & WORD


def reach_of(mean: int) -> int:
    """Return how many bytes decide where a chunk ends, from its start on: the longest one, and what shows a run."""
    return mean + mean // 2 + mean // 8


def cut_python(data: Buffer, mean: int, final: bool, run: int = -1) -> list[int]:
    """Return the signed lengths of a prefix of `data`: +n a chunk of n bytes, -n a run of n equal bytes.

    A run is maximal and has mean/8 bytes or more. Between runs: what is left of a stretch of mean/2 or less is one
    chunk, else the chunk ends at the c in [mean/2, min(3/2 mean, stretch)] with the least H of the 32 bytes before it,
    the first such. Not `final`: stop where a decision needs bytes that are not here; a run at the very end may be
    reported in part, and passing its byte as `run` with what follows continues it, however short the rest.
    """
    if mean < 4096 or mean & (mean - 1):
        raise ValueError("mean must be a power of two, 4 KiB at the least")
    if not -1 <= run <= 255:
        raise ValueError("run must be a byte, or -1")
    view = memoryview(data).cast("B")
    return list(_segments(bytes(view), mean, final, run))


def _segments(data: bytes, mean: int, final: bool, run: int) -> Iterator[int]:
    at = _run_end(data, 0, run) if run >= 0 else 0
    if at:
        yield -at
    known = len(data) if final else _run_start(data, len(data) - 1, max(0, len(data) - mean // 8))
    most = mean + mean // 2
    while at < len(data):
        start, end = _find_run(data, mean, at, at + most)
        if start < end:
            stretch = start - at
        elif final or known - at >= most:
            stretch = len(data) - at
        else:
            return
        length = _chunk(data, mean, at, stretch) if stretch else start - end
        yield length
        at += abs(length)


def _chunk(data: bytes, mean: int, at: int, stretch: int) -> int:
    if stretch <= mean // 2:
        return stretch
    return find_least_python(data, at, mean // 2, min(mean + mean // 2, stretch))


def _find_run(data: bytes, mean: int, at: int, limit: int) -> tuple[int, int]:
    """Return the first run that starts in [at, limit), or (0, 0).

    A run of mean/8 is two strides long, so probing every stride for 8 equal bytes finds it; most probes fail at once.
    """
    stride = mean // 16
    for point in range(at, min(limit + stride, len(data) - 7), stride):
        if data[point : point + 8] != data[point : point + 1] * 8:
            continue
        start, end = _run_start(data, point, at), _run_end(data, point, data[point])
        if end - start >= mean // 8:
            return (start, end) if start < limit else (0, 0)
    return 0, 0


def _run_start(data: bytes, at: int, floor: int) -> int:
    if at < 0:
        return 0
    front = data[floor : at + 1]
    return floor + len(front.rstrip(front[-1:]))


def _run_end(data: bytes, at: int, value: int) -> int:
    """Strip in growing steps: a run ends soon or is long, and lstrip copies what it leaves."""
    step, byte = 64, bytes([value])
    while at < len(data):
        rest = data[at : at + step].lstrip(byte)
        at += min(step, len(data) - at) - len(rest)
        if rest:
            break
        step *= 4
    return at


def find_least_python(data: Buffer, at: int, low: int, high: int, /) -> int:
    """Return the c in [low, high] whose window [at + c - 32, at + c) has the least H, the first such."""
    view = memoryview(data).cast("B")
    if at < 0 or not WINDOW <= low <= high <= len(view) - at:
        raise ValueError("there is no such range of windows")
    first, last = at + low - WINDOW, at + high - WINDOW
    return min(_least_of(view, s, min(BATCH, last + 1 - s)) for s in range(first, last + 1, BATCH))[1] - at + WINDOW


def _least_of(data: memoryview, start: int, count: int) -> tuple[int, int]:
    """Return (least H, where its window starts) of `count` windows from `start` on.

    Arithmetic on all of them at once: lane j of an integer, 64 bits wide, holds the word at 8j of one of 8 phases; a
    product of 32-bit words stays inside its lane, and a shift by whole lanes reaches later words.
    """
    lanes = (count + 7) // 8 + 4
    words = [int.from_bytes(data[start + k : start + k + 8 * lanes], "little") & _mask(lanes) for k in range(12)]
    least = WORD + 1, start
    for phase in range(8):
        inside = (count - phase + 7) // 8
        hashes = _hash_lanes(words[phase], words[phase + 4], lanes)
        values = unpack(f"<{inside}Q", (hashes & (1 << 64 * inside) - 1).to_bytes(8 * inside, "little"))
        if inside:
            value = min(values)
            least = min(least, (value, start + phase + 8 * values.index(value)))
    return least


def _hash_lanes(even: int, odd: int, lanes: int) -> int:
    mask = _mask(lanes)
    pairs = (even * M1 + odd) & mask
    halves = (pairs * M2 + (pairs >> 64)) & mask
    mixed = halves ^ (halves >> SHIFT & mask)
    return (mixed * M3 + (halves >> 128)) & mask


def _mask(lanes: int) -> int:
    return _MASK & (1 << 64 * lanes) - 1


_MASK: Final = int.from_bytes(WORD.to_bytes(8, "little") * (BATCH // 8 + 8), "little")

if native is None:
    cut, find_least, hash_window = cut_python, find_least_python, hash_window_python
else:
    cut, find_least, hash_window = native.cut, native.find_least, native.hash_window
