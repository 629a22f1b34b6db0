"""Where the packets of a capture lie: classic pcap, either byte order, stamps in micro- or nanoseconds.

A record is a packet's bytes without its 16-byte header. A last packet that is cut off is left out, and told.
"""

from __future__ import annotations

import struct

from packetfs.engines.input.source import Source
from packetfs.errors import BadCapture
from packetfs.limits import PCAP_RECORD_MAX, RUN_WINDOW
from packetfs.typing import Callable, Final, Iterator

FILE_HEADER: Final = 24
PACKET_HEADER: Final = 16
_CAPTURED: Final = {"<": struct.Struct("<8xII"), ">": struct.Struct(">8xII")}
_MAGIC: Final = {
    bytes.fromhex("d4c3b2a1"): "<",
    bytes.fromhex("4d3cb2a1"): "<",
    bytes.fromhex("a1b2c3d4"): ">",
    bytes.fromhex("a1b23c4d"): ">",
}
_PCAPNG: Final = bytes.fromhex("0a0d0d0a")


def packets(source: Source, tell: Callable[[str], None]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each packet, as offsets in the file; BadCapture where a length cannot be right."""
    captured = _CAPTURED[_byte_order(source)].unpack_from
    start = FILE_HEADER
    while True:
        window = source.read(start, start + RUN_WINDOW)
        at, size = 0, len(window)
        while at + PACKET_HEADER <= size:
            length, original = captured(window, at)
            if length > PCAP_RECORD_MAX:
                _refuse(source, start + at, length, original)
            stop = at + PACKET_HEADER + length
            if stop > size and source.ensure(start + stop) < start + stop:
                break
            yield start + at + PACKET_HEADER, start + stop
            at = stop
        start += at
        if at < PACKET_HEADER:
            break
    if source.ensure(start + 1) > start:
        tell(f"the capture ends within the packet at byte {start}, which is left out")


def _byte_order(source: Source) -> str:
    header = bytes(source.read(0, FILE_HEADER))
    if header[:4] == _PCAPNG:
        raise BadCapture(path=source.name, reason="it is in the newer pcapng format")
    if len(header) < FILE_HEADER or header[:4] not in _MAGIC:
        raise BadCapture(path=source.name, reason="it does not begin with the header of a capture")
    return _MAGIC[header[:4]]


def _refuse(source: Source, at: int, length: int, original: int) -> None:
    reason = f"the packet at byte {at} claims {length} bytes of {original}; {PCAP_RECORD_MAX} are possible"
    raise BadCapture(path=source.name, reason=reason)
