"""Content that is hard on kernels: little entropy, periods, runs about every threshold, and edits of it."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

WORDS = (b"packet", b"pool", b"extent", b"root", b"a", b"digest", b"\n", b", ")
RUNS = (1, 8, 255, 511, 512, 513, 2000)


def make(kind: int, size: int, rng: Random) -> bytes:
    """Make `size` bytes of one of 6 kinds."""
    match kind:
        case 0:
            return rng.randbytes(size)
        case 1:
            return rng.randbytes(size).translate(bytes(b"ACGT"[i & 3] for i in range(256)))
        case 2:
            period = rng.choice((1, 2, 3, 7, 64, 100, 1000))
            return (rng.randbytes(period) * (size // period + 1))[:size]
        case 3:
            return b"".join(rng.choice(WORDS) for _ in range(size // 4 + 1))[:size]
        case 4:
            return b"".join(n.to_bytes(4, "little") for n in range(size // 4 + 1))[:size]
        case _:
            runs = (bytes([rng.randrange(3)]) * rng.choice(RUNS) for _ in range(size // 400 + 1))
            return b"".join(runs)[:size]


def edit(data: bytes, rng: Random) -> bytes:
    """Overwrite, insert, delete, copy, move or fill a few places."""
    out = bytearray(data)
    for _ in range(rng.randrange(10)):
        at, size, other = rng.randrange(len(out) + 1), rng.choice((1, 3, 8, 20, 100, 600)), rng.randrange(len(out) + 1)
        part = bytes(out[other : other + size])
        match rng.randrange(6):
            case 0:
                out[at : at + size] = rng.randbytes(size)
            case 1:
                out[at:at] = rng.randbytes(size)
            case 2:
                del out[at : at + size]
            case 3:
                out[at:at] = part
            case 4:
                out[at:at] = bytes([rng.randrange(256)]) * size
            case _:
                del out[other : other + size]
                out[at:at] = part
    return bytes(out)


seeds = st.integers(0, 2**32 - 1)
kinds = st.integers(0, 5)
