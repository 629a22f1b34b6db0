"""What one invocation of a program sees: `packet`, `line`, `fixed:N`, `pcap` or `extent`."""

from __future__ import annotations

from enum import Enum
from typing import Final

from packetfs.dataclass import dataclass
from packetfs.errors import UsageError
from packetfs.packet.layout import PACKET
from packetfs.vm.layout import HEADROOM, OFFSET_MASK, TAILROOM, Framing

RECORD_MAX: Final = OFFSET_MASK + 1 - HEADROOM - TAILROOM
"""Bytes of a record at the most: it must fit a region with its head- and tailroom."""


class RecordKind(Enum):
    """How records are found."""

    FIXED = "fixed"
    LINE = "line"
    PCAP = "pcap"
    EXTENT = "extent"


_FRAMINGS: Final = {RecordKind.FIXED: Framing.FIXED, RecordKind.LINE: Framing.LINE}


@dataclass(frozen=True, slots=True)
class Records:
    """The framing of a job. `size`: bytes of a FIXED record, else 0; the last one of a file may be shorter."""

    kind: RecordKind
    size: int = 0

    @property
    def framing(self) -> Framing:
        """What the interpreters call it: PCAP and EXTENT are lists of where records lie."""
        return _FRAMINGS.get(self.kind, Framing.LIST)

    def __str__(self) -> str:
        if self.kind is RecordKind.FIXED:
            return "packet" if self.size == PACKET else f"fixed:{self.size}"
        return str(self.kind.value)


def parse_records(text: str) -> Records:
    """Return what `packet`, `line`, `fixed:N`, `pcap` or `extent` says; UsageError for anything else."""
    if text == "packet":
        return Records(RecordKind.FIXED, PACKET)
    name, colon, number = text.partition(":")
    if name == RecordKind.FIXED.value and colon:
        return Records(RecordKind.FIXED, _parse_size(number))
    if not colon and name in (RecordKind.LINE.value, RecordKind.PCAP.value, RecordKind.EXTENT.value):
        return Records(RecordKind(name))
    raise UsageError(reason=f"records are packet, line, fixed:N, pcap or extent; {text} is none of them")


def _parse_size(number: str) -> int:
    size = int(number) if number.isascii() and number.isdecimal() and len(number) <= 9 else 0
    if not 1 <= size <= RECORD_MAX:
        raise UsageError(reason=f"fixed:{number}: a record has 1 to {RECORD_MAX} bytes")
    return size
