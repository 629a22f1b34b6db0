"""What one invocation of a program sees: `packet`, `line`, `lines`, `lines:N`, `fixed:N`, `pcap` or `extent`."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.enum import Enum
from packetfs.errors import UsageError
from packetfs.limits import KIB
from packetfs.packet.layout import PACKET
from packetfs.typing import Final
from packetfs.vm.layout import HEADROOM, OFFSET_MASK, TAILROOM, Framing

RECORD_MAX: Final = OFFSET_MASK + 1 - HEADROOM - TAILROOM
"""Bytes of a record at the most: it must fit a region with its head- and tailroom."""


class RecordKind(Enum):
    """How records are found."""

    FIXED = "fixed"
    LINE = "line"
    LINES = "lines"
    PCAP = "pcap"
    EXTENT = "extent"


LINES: Final = 64 * KIB
"""Bytes within which the lines of one record begin, where `lines` names no other number: few invocations, and what one
sees stays in the first caches."""
_FRAMINGS: Final = {
    RecordKind.FIXED: Framing.FIXED,
    RecordKind.LINE: Framing.LINE,
    RecordKind.LINES: Framing.LINES,
}
_SIZED: Final = (RecordKind.FIXED, RecordKind.LINES)


@dataclass(frozen=True, slots=True)
class Records:
    """The framing of a job. `size`: bytes of a FIXED record, the last one of a file may be shorter; within which the
    lines of LINES begin; else 0."""

    kind: RecordKind
    size: int = 0

    @property
    def framing(self) -> Framing:
        """What the interpreters call it: PCAP and EXTENT are lists of where records lie."""
        return _FRAMINGS.get(self.kind, Framing.LIST)

    @property
    def by_lines(self) -> bool:
        """Whether a record ends where a line does, so that a shard begins with the first line that does in it."""
        return self.kind in (RecordKind.LINE, RecordKind.LINES)

    def __str__(self) -> str:
        if self == PACKETS:
            return "packet"
        return f"{self.kind.value}:{self.size}" if self.kind in _SIZED else str(self.kind.value)


PACKETS: Final = Records(RecordKind.FIXED, PACKET)


def parse_records(text: str) -> Records:
    """Return what `packet`, `line`, `lines`, `lines:N`, `fixed:N`, `pcap` or `extent` says; UsageError for others."""
    name, colon, number = text.partition(":")
    kind = _BY_NAME.get(name)
    if text == "packet":
        return PACKETS
    if kind in _SIZED and colon:
        return Records(kind, _parse_size(name, number))
    if kind is RecordKind.LINES:
        return Records(kind, LINES)
    if kind is None or kind is RecordKind.FIXED or colon:
        reason = f"records are packet, line, lines, lines:N, fixed:N, pcap or extent; {text} is none of them"
        raise UsageError(reason=reason)
    return Records(kind)


_BY_NAME: Final = {kind.value: kind for kind in RecordKind}


def _parse_size(name: str, number: str) -> int:
    size = int(number) if number.isascii() and number.isdecimal() and len(number) <= 9 else 0
    if not 1 <= size <= RECORD_MAX:
        raise UsageError(reason=f"{name}:{number}: a record has 1 to {RECORD_MAX} bytes")
    return size
