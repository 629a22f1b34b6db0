"""Bytes at rest: an append-only arena of extents, its digest index, leases, and the SQLite databases next to it.

Nouns: arena (segments of extents, the only truth), extent (a header that describes itself, and its payload), index
(digest to position; derived), lease (who writes, and whose views show a segment), verified (what was compared with its
digest since boot), storage (the one layer under every write, which tests record, tear and fail).
Rule: payload, barrier, then whatever refers to it; what the index or another process says is a hint, digests decide.
In the order of the data: storage -> arena, extent, superblock -> index, recovery -> lookup, mapping, verified -> pool;
beside them database, scan, check, gc; outputs -> memo.
May import: packet, the ground.
"""

from __future__ import annotations
