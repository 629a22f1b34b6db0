"""The packet: 64 bytes, one instruction and its data, the only unit at rest, on the wire and in a microVM.

Nouns: packet, program (a sequence of packets), extent (payload bytes under their BLAKE3 digest), root (the digest of a
canonical program), entry (one name of a directory), leaf (the packets that a tree node never splits).
Rule: everything here is a pure function of bytes; where payload comes from is handed in as a `Store`.
In the order of the data: layout -> codec -> head, entry -> digest -> cut -> tree -> execute -> patch -> text.
May import: errors, limits, events, accel.
"""

from __future__ import annotations
