"""Verify a pool: every superblock, header, tag and payload, the index against the arena, and every database page.

Reads by pread, past the kernel's cache, and only reads: it can be stopped anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from packetfs.dataclass import dataclass
from packetfs.errors import PacketFSError
from packetfs.limits import SEGMENT
from packetfs.packet.digest import Digest, short
from packetfs.packet.layout import PACKET
from packetfs.pool.index import fingerprint
from packetfs.pool.recovery import is_whole
from packetfs.pool.scan import read_header, scan_segment
from packetfs.pool.superblock import COPIES, FIRST, is_good_copy
from packetfs.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packetfs.pool.extent import Extent
    from packetfs.pool.pool import Pool


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: what, where (a path and an offset), and the digest that it concerns, if any."""

    what: str
    where: str
    digest: Digest | None = None


def check(pool: Pool) -> Iterator[Finding]:
    """Yield everything that is wrong; nothing where all is well."""
    if pool.writable:
        pool.flush()
    for number in pool.arena.segments():
        pool.arena.forget_cached(number)
        yield from _check_superblock(pool, number)
        yield from _check_segment(pool, number)
    yield from _check_index(pool)
    yield from _check_databases(pool)


def _check_superblock(pool: Pool, number: int) -> Iterator[Finding]:
    head = pool.arena.read(number * SEGMENT, FIRST)
    for offset in COPIES:
        if not is_good_copy(head, offset, number):
            yield Finding("a copy of the superblock is damaged", _where(pool, number * SEGMENT + offset))


def _check_segment(pool: Pool, number: int) -> Iterator[Finding]:
    for extent in scan_segment(pool.arena, number):
        if not is_whole(pool.arena, extent, pool.lookup.index.get):
            pool.doubt(extent)
            if _is_replaced(pool, extent):
                continue
            yield Finding("the payload does not match its digest", _where(pool, extent.position), extent.digest)
        elif not pool.holds(extent.digest):
            yield Finding("the index does not lead to this extent", _where(pool, extent.position), extent.digest)


def _is_replaced(pool: Pool, extent: Extent) -> bool:
    """Say whether the index leads to another copy alone: the content was stored again, and nothing reads this one."""
    positions = [copy.position for copy in pool.lookup.extents(extent.digest)]
    return bool(positions) and extent.position not in positions


def _check_index(pool: Pool) -> Iterator[Finding]:
    """Every slot leads to a header that this pool wrote; a damaged header shows here."""
    for key, value in pool.lookup.index.entries():
        position = value * PACKET
        raw = pool.arena.read(position, PACKET)
        extent = read_header(pool.arena, raw, 0, position) if len(raw) == PACKET else None
        if extent is None or fingerprint(extent.digest) != key:
            yield Finding("the index leads to no header, or this header is damaged", _where(pool, position))


def _check_databases(pool: Pool) -> Iterator[Finding]:
    for name in sorted(os.listdir(pool.path)):
        if name.endswith(".db"):
            yield from _check_database(pool, name)


def _check_database(pool: Pool, name: str) -> Iterator[Finding]:
    from packetfs.pool.database import check_database, connect

    path = f"{pool.path}/{name}"
    try:
        connection = connect(path, writable=pool.writable, durable=pool.durable, vfs=pool.storage.vfs)
    except PacketFSError as error:
        yield Finding(error.message, path)
        return
    try:
        for text in check_database(connection, path):
            yield Finding(text, path)
    finally:
        connection.close()


def _where(pool: Pool, position: int) -> str:
    return f"{pool.arena.segment_path(position // SEGMENT)}:{position % SEGMENT}"


def describe(finding: Finding) -> str:
    """Return one line for people."""
    digest = f" ({short(finding.digest)})" if finding.digest else ""
    return f"{finding.where}: {finding.what}{digest}"
