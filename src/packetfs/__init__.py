"""PacketFS: files are programs of 64-byte packets; a copy moves offsets, a read runs the program."""

from __future__ import annotations

__version__ = "0.1.0"
