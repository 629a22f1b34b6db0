"""Speed of the cutter beside pyfastcdc, what it re-sends after inserts beside Gear; speed of the small kernels.

    python -m bench.cutter [--megabytes N] [--mean BYTES] [NAME...]

Re-sent is the share of bytes in chunks that the old version does not have, after 50 inserts of 1000 random bytes. Gear
is the plain algorithm: cut where 16 bits (for 64 KiB) of a rolling sum of table words are 0, from mean/4 to 4 mean. It
runs in C, compiled beside the measurement, since no Python loop could. pyfastcdc normalises its chunks' sizes.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import itertools
import math
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from time import process_time
from typing import Final

from pyfastcdc import FastCDC

from bench import content
from packetfs.accel import native
from packetfs.limits import MEAN
from packetfs.packet.codec import Packet, encode
from packetfs.packet.cut import cut, cut_python
from packetfs.packet.digest import digest_of
from packetfs.packet.kernels import common_prefix, expand
from packetfs.packet.layout import Op

MB: Final = 1_000_000
ROUNDS: Final = 3
GEAR: Final = """
#include <stddef.h>
#include <stdint.h>
size_t gear(const uint8_t *data, size_t size, size_t mean, const uint64_t *table, size_t *ends) {
    size_t start = 0, count = 0;
    uint64_t mask = ~0ull << (64 - __builtin_ctzll(mean));
    while (start < size) {
        size_t left = size - start, most = left < mean * 4 ? left : mean * 4, i = mean / 4 < most ? mean / 4 : most;
        for (uint64_t sum = 0; i < most;) {
            sum = (sum << 1) + table[data[start + i++]];
            if (!(sum & mask)) break;
        }
        ends[count++] = start += i;
    }
    return count;
}
"""

Cutter = Callable[[bytes, int], list[int]]


def compile_gear(folder: Path) -> Cutter:
    source, library = folder / "gear.c", folder / "gear.so"
    source.write_text(GEAR)
    subprocess.run(["cc", "-O3", "-shared", "-fPIC", "-o", library, source], check=True)
    gear = ctypes.CDLL(str(library)).gear
    gear.restype = ctypes.c_size_t
    rng = Random("gear")
    table = (ctypes.c_uint64 * 256)(*(rng.getrandbits(64) for _ in range(256)))

    def run(data: bytes, mean: int) -> list[int]:
        ends = (ctypes.c_size_t * (len(data) * 4 // mean + 2))()
        count = gear(data, ctypes.c_size_t(len(data)), ctypes.c_size_t(mean), table, ends)
        return lengths(ends[:count])

    return run


def lengths(ends: Iterable[int]) -> list[int]:
    return [end - start for start, end in itertools.pairwise([0, *ends])]


def run_fastcdc(data: bytes, mean: int) -> list[int]:
    return [chunk.length for chunk in FastCDC(mean).cut_buf(data)]


def run_ours(data: bytes, mean: int) -> list[int]:
    return [abs(n) for n in cut(data, mean, True)]


def chunk_ids(data: bytes, sizes: list[int]) -> list[tuple[bytes, int]]:
    view, ends = memoryview(data), itertools.accumulate(sizes)
    return [(digest_of(view[end - size : end]), size) for end, size in zip(ends, sizes, strict=True)]


def resent(run: Cutter, old: bytes, new: bytes, mean: int) -> float:
    """Return the share of `new` in chunks that `old` does not have."""
    held = {digest for digest, _ in chunk_ids(old, run(old, mean))}
    return sum(size for digest, size in chunk_ids(new, run(new, mean)) if digest not in held) / len(new)


def insert(data: bytes, rng: Random) -> bytes:
    cuts = [0, *sorted(rng.sample(range(len(data)), 50)), len(data)]
    parts = (data[a:b] + (rng.randbytes(1000) if b < len(data) else b"") for a, b in itertools.pairwise(cuts))
    return b"".join(parts)


def speed(run: Callable[[], object], size: int) -> float:
    """Return GB/s of the fastest of some rounds."""
    best = math.inf
    for _ in range(ROUNDS):
        begun = process_time()
        run()
        best = min(best, process_time() - begun)
    return size / best / 1e9


def random_bytes(size: int, rng: Random) -> bytes:
    return b"".join(content.random_blocks(rng, size))


def letters(alphabet: bytes) -> Callable[[int, Random], bytes]:
    table = bytes(alphabet[i % len(alphabet)] for i in range(256))
    return lambda size, rng: random_bytes(size, rng).translate(table)


def sparse_bits(size: int, rng: Random) -> bytes:
    """Bytes whose bits are set with a probability of 1/16."""
    parts = [int.from_bytes(random_bytes(size, rng), "little") for _ in range(4)]
    return (parts[0] & parts[1] & parts[2] & parts[3]).to_bytes(size, "little")


def integers(kind: str, modulus: int) -> Callable[[int, Random], bytes]:
    def make(size: int, rng: Random) -> bytes:
        count = size // array(kind).itemsize
        return array(kind, (x % modulus for x in array("H", random_bytes(2 * count, rng)))).tobytes()

    return make


def counter(size: int, _: Random) -> bytes:
    return array("I", range(size // 4)).tobytes()


def floats(size: int, rng: Random) -> bytes:
    return array("d", itertools.accumulate(rng.gauss(0, 1) for _ in range(size // 8))).tobytes()


def rounded_floats(size: int, rng: Random) -> bytes:
    return array("d", (round(rng.random(), 2) for _ in range(size // 8))).tobytes()


def csv(size: int, rng: Random) -> bytes:
    rows = (f"{i},{rng.randrange(1000)},{rng.choice(content.WORDS)},{rng.random():.4f}\n" for i in range(size // 26))
    return "".join(rows).encode()


def log(size: int, rng: Random) -> bytes:
    return "".join(content.log_lines(rng, size, 1.7e9)).encode()


def tar(size: int, _: Random) -> bytes:
    """The standard library and what is installed beside it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*")):
            if path.is_file() and not path.is_symlink() and out.tell() < size:
                archive.add(path)
    return out.getvalue()[:size]


DATA: Final[dict[str, Callable[[int, Random], bytes]]] = {
    "random": random_bytes,
    "dna": letters(b"ACGT"),
    "ascii bits": letters(b"01"),
    "sparse bits": sparse_bits,
    "u32 below 100": integers("I", 100),
    "u16 below 100": integers("H", 100),
    "u16 below 1000": integers("H", 1000),
    "u32 counter": counter,
    "float64 walk": floats,
    "float64 rounded": rounded_floats,
    "csv": csv,
    "log": log,
    "tar": tar,
}


def measure_resent(names: list[str], size: int, mean: int, gear: Cutter) -> None:
    print(f"{'re-sent after 50 inserts':24} {'ours':>8} {'Gear':>8} {'FastCDC':>8}   ours / Gear")
    for name in names:
        rng = Random(name)
        old = DATA[name](size, rng)
        new = insert(old, rng)
        ours, theirs, normal = (resent(run, old, new, mean) for run in (run_ours, gear, run_fastcdc))
        print(f"{name:24} {ours:8.2%} {theirs:8.2%} {normal:8.2%}   {ours / theirs:.2f}")


def measure_speed(size: int, mean: int, gear: Cutter) -> None:
    data = random_bytes(size, Random("speed"))
    print(f"pyfastcdc {speed(lambda: list(FastCDC(mean).cut_buf(data)), size):6.2f} GB/s")
    print(f"Gear in C {speed(lambda: gear(data, mean), size):6.2f} GB/s")
    print(f"twin      {speed(lambda: cut_python(data[: 4 * MB], mean, True), 4 * MB):6.3f} GB/s")
    if native is None:
        return
    for unit in ("scalar", "avx2", "avx512"):
        try:
            native.set_simd(unit)
        except ValueError:
            continue
        print(f"{unit:9} {speed(lambda: cut(data, mean, True), size):6.2f} GB/s")
    for period in (1, 2, 3, 7, 100, 1000, mean // 8 - 1):
        pattern = (data[:period] * (size // period + 1))[:size]
        print(f"period {period:5} {speed(lambda data=pattern: cut(data, mean, True), size):6.2f} GB/s")  # type: ignore[misc]


def measure_kernels(size: int) -> None:
    """Measure expand beside memcpy, and common_prefix."""
    data = random_bytes(size - size % MEAN, Random("kernels"))
    chunks = [memoryview(data)[at : at + MEAN] for at in range(0, len(data), MEAN)]
    program = b"".join(encode(Packet(Op.COPY, length=MEAN)) for _ in chunks)
    out, twice = bytearray(len(data)), bytearray(data)
    copied = speed(lambda: memoryview(out).__setitem__(slice(None), data), len(data))
    expanded = speed(lambda: expand(program, chunks, out), len(data))
    print(f"expand    {expanded:6.2f} GB/s, {expanded / copied:.2f} of memcpy")
    print(f"prefix    {speed(lambda: common_prefix(data, twice), len(data)):6.2f} GB/s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--mean", type=int, default=MEAN)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        gear = compile_gear(Path(folder))
        measure_speed(options.megabytes * MB, options.mean, gear)
        measure_kernels(options.megabytes * MB)
        measure_resent(options.names or [*DATA], options.megabytes * MB, options.mean, gear)
    return 0


if __name__ == "__main__":
    sys.exit(main())
