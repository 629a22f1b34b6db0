"""What of a mapped segment is in memory, asked without reading anything: a look by a read has the disk read it."""

from __future__ import annotations

from packetfs.accel import native
from packetfs.packet.layout import Buffer


def resident_python(mapped: Buffer, /) -> int:
    """Return how many bytes of a mapping are in memory, from its first one on: 0, as Python cannot ask the kernel."""
    del mapped
    return 0


resident = resident_python if native is None else native.resident
