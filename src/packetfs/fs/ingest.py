"""The canonical program of a byte stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from packetfs.limits import INGEST_WINDOW
from packetfs.packet.cut import cut
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.file import copy_leaf, data_leaf, fill_leaf
from packetfs.packet.head import Kind
from packetfs.packet.tree import TreeWriter
from packetfs.pool.pool import Pool


@dataclass(frozen=True, slots=True)
class Ingested:
    root: Digest
    size: int
    new_bytes: int
    sparse: bool = False


def ingest(
    pool: Pool,
    read: Callable[[int, memoryview], int],
    size_hint: int,
    old_root: Digest | None = None,
    keep: bool = True,
) -> Ingested:
    writer = TreeWriter(pool, Kind.FILE, pool.mean)
    buffer = bytearray(max(INGEST_WINDOW, 4 * pool.mean))
    filled = offset = new = 0
    run: tuple[int, int] | None = None
    final = False
    while True:
        while filled < len(buffer) and not final:
            count = read(offset + filled, memoryview(buffer)[filled:])
            final = count == 0
            filled += count
        data = memoryview(buffer)[:filled]
        at = 0
        for length in cut(data, pool.mean, final, run[0] if run else -1):
            if length < 0:
                byte = data[at]
                run = (byte, (run[1] if run and run[0] == byte else 0) - length)
                at -= length
                continue
            if run:
                writer.add(fill_leaf(*run), run[1])
                run = None
            chunk = data[at : at + length]
            if length <= 48:
                writer.add(data_leaf(bytes(chunk)), length)
            else:
                digest = digest_of(chunk)
                if keep:
                    pool.put(chunk, digest)
                new += length
                writer.add(copy_leaf(digest, length), length, digest)
            at += length
        rest = filled - at
        if final and not rest:
            break
        buffer[:rest] = buffer[at:filled]
        offset += at
        filled = rest
    if run:
        writer.add(fill_leaf(*run), run[1])
    return Ingested(writer.close(), offset + filled, new)
