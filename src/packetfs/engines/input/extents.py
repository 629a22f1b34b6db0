"""Where the extents of a file lie: its program's leaves in a pool, else what the cutter would make of its bytes.

Both give the same records when the pool's mean is the default. A run of one byte value is one extent however long it
is; as records it comes in pieces of EXTENT_MAX, counted from its beginning.
"""

from __future__ import annotations

from packetfs.engines.input.source import PoolFile, Source
from packetfs.limits import EXTENT_MAX, MEAN, RUN_WINDOW
from packetfs.packet.cut import cut
from packetfs.packet.tree import produces
from packetfs.typing import Iterator


def extents(source: Source) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each extent, as offsets in the file."""
    found = _leaves(source) if isinstance(source, PoolFile) else _merge(_cuts(source))
    for start, stop in found:
        for at in range(start, stop, EXTENT_MAX):
            yield at, min(at + EXTENT_MAX, stop)


def _leaves(source: PoolFile) -> Iterator[tuple[int, int]]:
    for at, leaf in source.program.between(source.root, 0, source.size):
        yield at, at + produces(leaf)


def _cuts(source: Source) -> Iterator[tuple[int, int]]:
    """Yield (end, byte of a run or -1) of what the cutter finds; a run may come in parts."""
    start, run, rest = 0, -1, b""
    while True:
        new = source.read(start + len(rest), start + len(rest) + RUN_WINDOW)
        data = rest + bytes(new)
        if not data:
            return
        at = 0
        for length in cut(data, MEAN, not len(new), run):
            at += abs(length)
            run = data[at - 1] if length < 0 else -1
            yield start + at, run
        start, rest = start + at, data[at:]


def _merge(cuts: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join the parts of a run."""
    start = end = 0
    run = -1
    for stop, byte in cuts:
        if end > start and (byte < 0 or byte != run):
            yield start, end
            start = end
        end, run = stop, byte
    if end > start:
        yield start, end
