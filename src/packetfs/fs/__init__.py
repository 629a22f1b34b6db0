"""Names, files and snapshots over a pool.

Nouns: namespace (live inodes and names in SQLite), program (what a file or directory is at rest; equal trees have equal
roots), seen (the stat of a host's file when it was imported), snapshot (a named root, recorded in the arena).
Rule: paths are bytes below a root, without a leading slash; nothing is visible to others before `commit`, which makes
payloads durable first. What the namespace says can be made anew from the last snapshots.
In the order of the data: host -> mirror -> window, oldprogram, ingest -> paths, namespace -> build, directory ->
filesystem, snapshot -> transient, diff, reader, survey -> export; beside them check, gc, graft, mending, rebuild.
May import: pool, packet, the ground.
"""

from __future__ import annotations
