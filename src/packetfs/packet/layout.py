"""The one definition of the packet's layout, with fields.py: docs/format.md and native/packet.h are made from them."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum, IntFlag
from packetfs.typing import Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What functions of bytes take (collections.abc.Buffer needs Python 3.12)."""

PACKET: Final = 64
HEADER: Final = 16
BODY: Final = PACKET - HEADER
STRUCT: Final = "<BBHIQ48s"
"""op, flags, vm, length, operand, body."""


class Op(IntEnum):
    """What a packet does. Numbers are part of the format and never change their meaning."""

    NOP = 0
    HEAD = 1
    DATA = 2
    FILL = 3
    COPY = 4
    TREE = 5
    ENTRY = 6
    EXTENT = 7
    CODE = 8
    MAP = 9
    CALL = 10
    ON = 11


class EntryFlag(IntFlag):
    """Which optional fields the tail of an ENTRY has, and that a file had holes."""

    SPARSE = 1
    GROUP = 2
    RDEV = 4
    TARGET = 8
    XATTRS = 16


class CopyFlag(IntFlag):
    """PROGRAM: the digest names a program, and the bytes come from its output (in deltas, never in canonical files)."""

    PROGRAM = 1


class CallRecords(IntEnum):
    """What one invocation of a called program sees."""

    FIXED = 1
    LINE = 2
    LINES = 3
    PCAP = 4
    EXTENT = 5


class Mark(IntEnum):
    """What an extent's payload is; bits 2 and 3 of the flags of EXTENT."""

    DATA = 0
    PROGRAM = 1
    SNAPSHOT = 2


class Encoding(IntEnum):
    """How an extent's payload is stored; bits 0 and 1 of the flags of EXTENT. Bits 4 and 5 are the depth of a patch: 1
    above that of the deepest extent that it is over."""

    RAW = 0
    ZSTD = 1
    PATCH = 2


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a layout table: bytes `offset` to `offset + size` of the packet."""

    offset: int
    size: int
    name: str
    meaning: str


FLAGS: Final[dict[Op, int]] = {
    Op.COPY: int(CopyFlag.PROGRAM),
    Op.ENTRY: 0b11111,
    Op.EXTENT: 0b111111,
}
"""The flag bits that each op knows; ops not named here know none."""
