"""The shipped program about network captures: pcap, a summary of packet headers."""

from __future__ import annotations

from typing import Final

from packetfs.toolchain.python.decorator import program
from packetfs.toolchain.python.language import Array, Hash, Record

packets = Array(1)
size = Array(1, name="bytes")
ether_types = Hash(2, 4096)
protocols = Hash(1, 256)
protocol_bytes = Hash(1, 256)
ports = Hash(2, 65_536)
port_bytes = Hash(2, 65_536)
cut_short = Array(1)

IPV4: Final = 0x0800
IPV6: Final = 0x86DD
VLAN: Final = 0x8100
SERVICE_VLAN: Final = 0x88A8
TCP: Final = 6
UDP: Final = 17
SCTP: Final = 132
EXTENSIONS_MAX: Final = 8
"""Extension headers of IPv6 that are passed over; more do not occur outside of attacks."""


@program(records="pcap")
def pcap(record: Record) -> None:
    """Count packets and bytes of an Ethernet capture by ether type, IP protocol and port (the lower one of both ends).

    Example: pfs run pcap traffic.pcap
    """
    packets[0] += 1
    size[0] += len(record)
    if len(record) < 14:
        cut_short[0] += 1
        return
    kind = record.u16be(12)
    start = 14
    while kind in (VLAN, SERVICE_VLAN) and start + 4 <= len(record):
        kind = record.u16be(start + 2)
        start += 4
    ether_types[kind] += 1
    if kind == IPV4 and start + 20 <= len(record):
        header = (record[start] & 15) * 4
        whole = record.u16be(start + 6) & 0x1FFF == 0
        _transport(record, record[start + 9], start + header, whole)
    elif kind == IPV6 and start + 40 <= len(record):
        _behind_extensions(record, start)
    elif kind in (IPV4, IPV6):
        cut_short[0] += 1


def _behind_extensions(record: Record, start: int) -> None:
    protocol = record[start + 6]
    at = start + 40
    whole = True
    left = EXTENSIONS_MAX
    while left > 0 and at + 8 <= len(record):
        if protocol == 44:  # fragment
            whole = whole and record.u16be(at + 2) & 0xFFF8 == 0
            protocol = record[at]
            at += 8
        elif protocol in (0, 43, 60):  # hop by hop, routing, destination
            step = (record[at + 1] + 1) * 8
            protocol = record[at]
            at += step
        else:
            break
        left -= 1
    _transport(record, protocol, at, whole)


def _transport(record: Record, protocol: int, at: int, whole: bool) -> None:
    protocols[protocol] += 1
    protocol_bytes[protocol] += len(record)
    if whole and protocol in (TCP, UDP, SCTP):
        if at + 4 > len(record):
            cut_short[0] += 1
            return
        port = min(record.u16be(at), record.u16be(at + 2))
        ports[port] += 1
        port_bytes[port] += len(record)
