"""Every number that bounds or tunes PacketFS, with its unit and its reason, by layer."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# packet
MEAN: Final = 64 * KIB
"""Bytes of a chunk on average: 32 bytes of digest then cost 0.05 % of the data; smaller finds more, and costs more."""
MEAN_MIN: Final = 4 * KIB
MEAN_MAX: Final = 4 * MIB
"""Chunks reach 3/2 of the mean; one must fit a read buffer and a microVM window."""
EXTENT_MAX: Final = MEAN_MAX * 3 // 2
"""Bytes of the longest extent: the longest chunk. Anything that claims more is damaged."""
NODE_FANOUT: Final = 128
"""Leaves of a tree node on average (8 KiB): a changed byte re-writes one node a level."""
NODE_LEAVES_MAX: Final = 8 * NODE_FANOUT
"""Leaves of a node at the most, so that constant data cannot grow one without end."""
TREE_DEPTH_MAX: Final = 12
"""Levels of a tree: 2 leaves a node would still reach past 2**64 bytes long before."""
ENTRY_TAIL_MAX: Final = 4 * MIB
"""Bytes of name, target and extended attributes of one entry; Linux holds 64 KiB a value."""

# pool

# fs

# net

# frontends
