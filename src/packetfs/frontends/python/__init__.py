"""PacketFS for programs in Python: what `packetfs.Pool` is, for scripts, notebooks and the fsspec filesystem.

Nouns: pool (the facade; text paths in, plain records out), connection (one pool of this process: a reader, and a writer
while something is being written), file (what `Pool.open` returns), record (what a name stands for), table (HTML).
Rule: opening a pool takes nothing from anybody; the writer's lease is taken with the first change and given back when
nothing has been written for a while. Everything may be called from several threads.
May import: everything below. Third-party modules: none.
"""

from __future__ import annotations
