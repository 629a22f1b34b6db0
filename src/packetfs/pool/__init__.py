"""Bytes at rest: an append-only arena of extents, its digest index, leases, and the SQLite databases next to it."""
