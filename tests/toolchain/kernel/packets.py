"""Packets of every kind that programs look at, the same in every run: whole, cut short, tagged, bent, random."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

MACS = bytes.fromhex("0202020202020a0a0a0a0a0a")
LEAST = 14
"""The kernel takes no packet that is shorter than an Ethernet header."""


def checksum(data: bytes) -> int:
    """Return the Internet checksum."""
    even = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind: int, payload: bytes, *tags: int) -> bytes:
    """Return a frame; each tag is a VLAN number."""
    head = b"".join(struct.pack("!HH", 0x8100 if i else 0x88A8, tag) for i, tag in enumerate(reversed(tags)))
    return MACS + head[: 4 * len(tags)] + struct.pack("!H", kind) + payload


def ipv4(protocol: int, payload: bytes, *, ttl: int = 64, options: bytes = b"", source: str = "0a000001") -> bytes:
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(payload), 7, 0, ttl, protocol, 0)
    head += bytes.fromhex(source + "0a000002") + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(protocol: int, payload: bytes, *, hops: int = 64) -> bytes:
    addresses = bytes.fromhex("fd00" + "00" * 13 + "01" + "fd00" + "00" * 13 + "02")
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + addresses + payload


def udp(payload: bytes, source: int = 4000, destination: int = 53) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def tcp(flags: int, payload: bytes = b"", source: int = 5000, destination: int = 80) -> bytes:
    return struct.pack("!HHIIBBHHH", source, destination, 1, 2, 0x50, flags, 1024, 0, 0) + payload


def echo(kind: int, number: int = 1, payload: bytes = b"abcdefgh") -> bytes:
    body = struct.pack("!HH", 99, number) + payload
    return struct.pack("!BBH", kind, 0, checksum(struct.pack("!BBH", kind, 0, 0) + body)) + body


def whole() -> Iterator[bytes]:
    """Yield packets that are well formed."""
    transports = [(17, udp(b"query")), (17, udp(b"", 53, 9999))]
    transports += [(6, tcp(2)), (6, tcp(16, b"GET /")), (6, tcp(2, b"", 9, 22))]
    for protocol, payload in transports:
        yield ethernet(0x0800, ipv4(protocol, payload))
        yield ethernet(0x86DD, ipv6(protocol, payload))
        yield ethernet(0x0800, ipv4(protocol, payload), 42)
        yield ethernet(0x86DD, ipv6(protocol, payload), 42, 7)
    for number in range(1, 5):
        yield ethernet(0x0800, ipv4(1, echo(8, number)))
        yield ethernet(0x86DD, ipv6(58, echo(128, number)))
    yield ethernet(0x0800, ipv4(1, echo(0)))
    yield ethernet(0x86DD, ipv6(58, echo(135)))
    yield ethernet(0x0806, bytes.fromhex("0001080006040001") + MACS[:6] + bytes(4) + MACS[6:] + bytes(4))
    for ttl in (0, 1, 2, 255):
        yield ethernet(0x0800, ipv4(17, udp(b"ttl"), ttl=ttl))
        yield ethernet(0x86DD, ipv6(17, udp(b"ttl"), hops=ttl))
    yield ethernet(0x0800, ipv4(17, udp(b"options"), options=bytes.fromhex("0101010100000000")))
    yield ethernet(0x0800, ipv4(4, ipv4(17, udp(b"tunnel"))))
    yield ethernet(0x0800, ipv4(17, udp(bytes(400), 68, 67)))
    yield ethernet(0x0800, ipv4(17, udp(bytes(1200))))
    yield ethernet(0x88CC, bytes(46))
    yield ethernet(0x0800, ipv4(17, udp(b"six"), source="c0a80101"), 1, 2, 3)


def packets(seed: int = 1) -> list[bytes]:
    """Return all packets: whole ones, their beginnings, ones with changed bytes, and noise."""
    dice, made = random.Random(seed), list(whole())
    cut = [packet[: dice.randrange(LEAST, len(packet) + 1)] for packet in made for _ in range(2)]
    bent = []
    for packet in made:
        changed = bytearray(packet)
        for _ in range(3):
            changed[dice.randrange(12, min(len(packet), 60))] = dice.randrange(256)
        bent.append(bytes(changed))
    noise = [dice.randbytes(dice.randrange(LEAST, 200)) for _ in range(20)]
    return [*made, *cut, *bent, *noise, bytes(LEAST), bytes(64)]
