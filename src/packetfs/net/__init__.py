"""Moving offsets: what one side lacks is found, and only that travels.

Nouns: base (what the receiver holds and the sender knows), delta (a program that makes the new file from the base),
batch (a frame of items with their literals), channel (frames over two file descriptors), source and target (the two
ends of a sync: a plain directory or a path in a pool).
Rule: short ids and stat may find, roots decide: nothing is committed that does not hash to the root announced.
In order, checked: wire -> access -> link -> finding -> sending, receiving -> ends -> serving -> push, pull -> sync ->
watch. May import: fs, pool, packet, the ground.
"""

from __future__ import annotations
