"""What a collection keeps, of digests that a test names."""

from __future__ import annotations

from collections.abc import Iterable

from packetfs.packet.digest import Digest
from packetfs.pool.gc import LiveSet
from packetfs.pool.pool import Pool


def live(pool: Pool, digests: Iterable[Digest]) -> LiveSet:
    kept = LiveSet(pool)
    for digest in digests:
        kept.add(digest, program=False)
    return kept
