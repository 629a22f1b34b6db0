"""How many records run at a time, of which sizes, and how the functions that do it are called."""

from __future__ import annotations

from packetfs.typing import Final

LANES: Final = 16
"""Two vectors of AVX-512, four of AVX2: as many hide the latency of a multiplication."""
RECORD_MAX: Final = 1024
"""Bytes of a record in lanes: sixteen of them should fit the first-level cache."""
BLOCKS: Final = "packetfs_lanes"
"""Runs block after block of records of a fixed size."""
ALONE: Final = "packetfs_lane"
"""Runs the record at hand, alone in one lane."""
POSITION: Final = "packetfs_position"
"""Which lane the record of ALONE takes: 64 bits in its module."""
