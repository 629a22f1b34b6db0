"""The least that the two sides of a copy can do: read and hash the source once, and write once what the copy lacks.

`python -m bench.touch SOURCE COPY SIZE BLOCKS` writes the whole file where there is no copy. With BLOCKS it only writes
the blocks that `changed` names, as a destination does that keeps old content; without, all of a new file, as one does
that never shows a file half new. It sends nothing, compares nothing and remembers nothing.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from packetfs.limits import MEAN
from packetfs.packet.digest import digest_of

BLOCK = 4096
_PIECE = 256 * 1024
"""Bytes read at a time: they are in the second-level cache still when they are hashed."""


def changed(size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks that a re-sync has changed, 1 % of a file, and their content."""
    rng = random.Random(2)
    for _ in range(max(1, size // 100 // BLOCK)):
        yield rng.randrange(size // BLOCK or 1) * BLOCK, rng.randbytes(min(BLOCK, size))


def touch(source: Path, copy: Path, size: int, *, blocks: bool) -> None:
    memory = memoryview(bytearray(_PIECE))
    with source.open("rb", buffering=0) as file:
        while count := file.readinto(memory):
            for at in range(0, count, MEAN):
                digest_of(memory[at : min(at + MEAN, count)])
    if blocks and copy.exists():
        _write_blocks(source, copy, size)
    else:
        _write_all(source, copy, memory)


def _write_blocks(source: Path, copy: Path, size: int) -> None:
    with source.open("rb", buffering=0) as file, copy.open("r+b", buffering=0) as out:
        for at, _ in changed(size):
            os.pwrite(out.fileno(), os.pread(file.fileno(), BLOCK, at), at)


def _write_all(source: Path, copy: Path, memory: memoryview) -> None:
    staged = copy.with_suffix(".new")
    with source.open("rb", buffering=0) as file, staged.open("wb", buffering=0) as out:
        while count := file.readinto(memory):
            out.write(memory[:count])
    staged.rename(copy)


if __name__ == "__main__":
    touch(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), blocks=sys.argv[4:] == ["blocks"])
