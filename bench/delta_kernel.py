"""Bytes and speed of the delta kernel beside xdelta3 and zstd, which both see the whole base.

    python -m bench.delta_kernel [--dir DIR] [--megabytes N] [NAME...]

The kernel sees windows, as in a sync: 1 MiB of new against the old about it. What it emits is compressed as a sync
would: instructions and literals apart, in batches of about 1 MiB of literals.
"""

from __future__ import annotations

import argparse
import io
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from time import process_time
from typing import Final

from bench import content
from packetfs.limits import BATCH_LITERALS, WINDOW_NEW, WINDOW_OLD, WINDOW_SLACK
from packetfs.net.wire.varint import Cursor
from packetfs.packet.kernels import match
from packetfs.packet.zstd import compress

MB: Final = 1_000_000
LEVEL: Final = 12


@dataclass(frozen=True, slots=True)
class Result:
    """What one pair cost: instructions and literals before, both after compression; GB/s of new bytes."""

    instructions: int
    literals: int
    packed: int
    speed: float


def overwrite(edit: int, aligned: bool) -> Callable[[bytearray, Random], bytearray]:
    """Overwrite 1 % in runs of `edit` bytes."""

    def change(data: bytearray, rng: Random) -> bytearray:
        for _ in range(len(data) // 100 // edit):
            at = rng.randrange(len(data) - edit)
            at -= at % edit if aligned else 0
            data[at : at + edit] = rng.randbytes(edit)
        return data

    return change


def touch(data: bytearray, rng: Random) -> bytearray:
    """100 bytes overwritten, 100 inserted."""
    for at in sorted(rng.sample(range(len(data)), 100)):
        data[at] ^= 1 + rng.randrange(255)
    cuts = [0, *sorted(rng.sample(range(1, len(data)), 100)), len(data)]
    return bytearray(b"".join(data[a:b] + (rng.randbytes(1) if b < len(data) else b"") for a, b in pairwise(cuts)))


def edit_lines(data: bytearray, rng: Random) -> bytearray:
    """Every 200th line or so is dropped, copied from nearby, moved, replaced or changed by a character."""
    lines = bytes(data).splitlines(keepends=True)
    for at in sorted(rng.sample(range(len(lines)), len(lines) // 200), reverse=True):
        match rng.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[max(0, at - rng.randrange(500))])
            case 2:
                lines.insert(max(0, at - rng.randrange(1, 200)), lines.pop(at))
            case 3:
                lines[at] = rng.randbytes(30).hex().encode() + b"\n"
            case _:
                where = rng.randrange(len(lines[at]))
                lines[at] = lines[at][:where] + b"x" + lines[at][where:]
    return bytearray(b"".join(lines))


def random_bytes(size: int, rng: Random) -> bytearray:
    return bytearray(b"".join(content.random_blocks(rng, size)))


def log(size: int, rng: Random) -> bytearray:
    return bytearray("".join(content.log_lines(rng, size, 1.7e9)).encode())


def csv(size: int, rng: Random) -> bytearray:
    rows = (
        f"{i},{rng.randrange(1000)},{rng.choice(content.WORDS)},{rng.random():.4f},2024-0{rng.randrange(1, 10)}-1"
        for i in range(size // 36)
    )
    return bytearray("\n".join(rows).encode())


def pack_sources(change: Callable[[bytes], bytes]) -> bytearray:
    """Make a tar of the standard library's sources, each passed through `change`."""
    root = Path(os.__file__).parent
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(root.rglob("*.py")):
            data = change(path.read_bytes())
            entry = tarfile.TarInfo(str(path.relative_to(root)))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return bytearray(out.getvalue())


def edit_some(rng: Random) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        if rng.randrange(10) or not lines:
            return data
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(lines))
            added = f"    result = {rng.choice(content.WORDS)}({rng.randrange(100)})\n"
            lines[at : at + rng.randrange(3)] = [added.encode()]
        return b"".join(lines)

    return change


Maker = Callable[[Path, Path, int, Random], None]


def in_memory(make: Callable[[int, Random], bytearray], change: Callable[[bytearray, Random], bytearray]) -> Maker:
    def build(old: Path, new: Path, size: int, rng: Random) -> None:
        data = make(size, rng)
        old.write_bytes(data)
        new.write_bytes(change(data, rng))

    return build


def sources(old: Path, new: Path, _: int, rng: Random) -> None:
    old.write_bytes(pack_sources(bytes))
    new.write_bytes(pack_sources(edit_some(rng)))


def unrelated(old: Path, new: Path, size: int, rng: Random) -> None:
    old.write_bytes(random_bytes(size, rng))
    new.write_bytes(random_bytes(size, rng))


def unrelated_text(old: Path, new: Path, size: int, rng: Random) -> None:
    old.write_bytes(log(size // 2, rng))
    new.write_bytes(csv(size // 2, rng))


def database(*statements: str) -> Maker:
    """Run statements on 1 % of the rows; `?` is the row, text of random length comes from a function."""

    def build(old: Path, new: Path, size: int, rng: Random) -> None:
        content.write_database(old, size, rng)
        new.write_bytes(old.read_bytes())
        with sqlite3.connect(new) as base:
            base.create_function("text", 0, lambda: content.small_text(rng, 40).decode())
            base.create_function("number", 0, lambda: rng.random() * 1e6)
            (count,) = base.execute("SELECT count(*) FROM orders").fetchone()
            for key in rng.sample(range(count), count // 100):
                for statement in statements:
                    base.execute(statement, (key,))
        base.close()

    return build


def orders(old: Path, new: Path, size: int, rng: Random) -> None:
    content.write_database(old, size, rng)
    new.write_bytes(old.read_bytes())
    content.update_rows(new, 0.01, rng)


PAIRS: Final[dict[str, Maker]] = {
    "sqlite-fixed": database("UPDATE orders SET updated=number() WHERE id=?"),
    "sqlite-text": database("UPDATE orders SET note=text() WHERE id=?"),
    "sqlite-delete": database("DELETE FROM orders WHERE id=?"),
    "sqlite-orders": orders,
    "random-4096": in_memory(random_bytes, overwrite(4096, False)),
    "random-4096-aligned": in_memory(random_bytes, overwrite(4096, True)),
    "random-256": in_memory(random_bytes, overwrite(256, False)),
    "random-256-aligned": in_memory(random_bytes, overwrite(256, True)),
    "random-64": in_memory(random_bytes, overwrite(64, False)),
    "random-64-aligned": in_memory(random_bytes, overwrite(64, True)),
    "random-tiny": in_memory(random_bytes, touch),
    "log": in_memory(log, edit_lines),
    "csv": in_memory(csv, edit_lines),
    "sources": sources,
    "unrelated": unrelated,
    "unrelated-text": unrelated_text,
}


def run_kernel(old: bytes, new: bytes) -> Result:
    """Match and compress window by window; applying the delta must give the new bytes."""
    instructions, literals = bytearray(), bytearray()
    made_of, packed = [0, 0], 0
    expected, spent, made = 0, 0.0, bytearray()

    def flush() -> None:
        nonlocal packed
        for i, part in enumerate((instructions, literals)):
            packed += min(len(part), len(compress(part, LEVEL)))
            made_of[i] += len(part)
            part.clear()

    for at in range(0, len(new), WINDOW_NEW):
        data = memoryview(new)[at : at + WINDOW_NEW]
        middle = min(expected, len(old))
        start = max(0, middle - WINDOW_SLACK)
        window = memoryview(old)[start : min(middle + len(data) + WINDOW_SLACK, start + WINDOW_OLD)]
        begun = process_time()
        found = match(window, start, data, expected)
        spent += process_time() - begun
        made += b"".join(apply(old, expected, *found[:2]))
        expected = found[2]
        instructions += found[0]
        literals += found[1]
        if len(literals) >= BATCH_LITERALS:
            flush()
    flush()
    if made != new:
        raise AssertionError("the delta does not give the new bytes")
    return Result(made_of[0], made_of[1], packed, len(new) / spent / 1e9)


def apply(old: bytes, expected: int, instructions: bytes, literals: bytes) -> Iterator[bytes]:
    cursor, taken = Cursor(instructions), 0
    while not cursor.done:
        head = cursor.varint()
        length = head >> 2
        if head & 3 == 1:
            shift = cursor.varint()
            expected += shift >> 1 ^ -(shift & 1)
            yield old[expected : expected + length]
        elif head & 3 == 2:
            yield bytes([cursor.byte()]) * length
        else:
            yield literals[taken : taken + length]
            taken += length
        expected += length


def run_peers(old: Path, new: Path) -> dict[str, int]:
    """Return what the peers make of the pair; remembered beside it."""
    sizes: dict[str, int] = {}
    for name, command in (
        ("xdelta3", ("xdelta3", "-e", "-f", "-s", old, new)),
        ("xdelta3 -S none", ("xdelta3", "-e", "-f", "-S", "none", "-s", old, new)),
        ("zstd -3", ("zstd", "-q", "-f", "-3", "--long=30", f"--patch-from={old}", new, "-o")),
    ):
        kept = new.with_suffix("." + name.replace(" ", ""))
        if not kept.exists():
            out = new.with_suffix(".out")
            subprocess.run([*map(str, command), str(out)], check=True)
            kept.write_text(str(out.stat().st_size))
            out.unlink()
        sizes[name] = int(kept.read_text())
    return sizes


def measure(name: str, folder: Path, size: int) -> None:
    old, new = folder / f"{name}-{size}.old", folder / f"{name}-{size}.new"
    if not new.exists():
        PAIRS[name](old, new, size, Random(name))
    peers = run_peers(old, new)
    ours = run_kernel(old.read_bytes(), new.read_bytes())
    best = min(peers["xdelta3"], peers["xdelta3 -S none"], peers["zstd -3"] * 11 // 10)
    print(
        f"{name:22} {ours.instructions:>10,} + {ours.literals:>11,} = {ours.packed:>11,} B  {ours.speed:5.2f} GB/s"
        f"  {ours.packed / best:5.2f} of the best;  " + "  ".join(f"{peer} {size:,}" for peer, size in peers.items())
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PAIRS, []], metavar="NAME")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "packetfs-bench-delta")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    for name in options.names or PAIRS:
        measure(name, options.dir, options.megabytes * MB)
    return 0


if __name__ == "__main__":
    sys.exit(main())
