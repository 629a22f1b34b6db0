"""The small numbers and strings of the wire: LEB128, zigzag, length-prefixed bytes; every read is checked."""

from __future__ import annotations

from packetfs.errors import BadMessage
from packetfs.packet.layout import Buffer

_LIMIT = 1 << 64


def write_varint(out: bytearray, number: int) -> None:
    """Append an unsigned number, 7 bits a byte, low bits first."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def zigzag(number: int) -> int:
    """Map a signed number to an unsigned one, so that small ones of either sign stay small."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def unzigzag(number: int) -> int:
    return number >> 1 if not number & 1 else -(number >> 1) - 1


def write_bytes(out: bytearray, data: bytes) -> None:
    """Append a length and as many bytes."""
    write_varint(out, len(data))
    out += data


class Cursor:
    """Reads what the functions above wrote; raises BadMessage at the first thing that cannot be."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: Buffer, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.end = len(data)

    @property
    def done(self) -> bool:
        return self.at >= self.end

    def byte(self) -> int:
        if self.at >= self.end:
            raise BadMessage(reason="it is cut short")
        value = self.data[self.at]
        self.at += 1
        return value

    def varint(self, limit: int = _LIMIT) -> int:
        """Return a number below `limit`."""
        data, at, end = self.data, self.at, self.end
        number = shift = 0
        while True:
            if at >= end:
                raise BadMessage(reason="it is cut short")
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise BadMessage(reason="a number has more than 64 bits")
        self.at = at
        if number >= limit:
            raise BadMessage(reason=f"{number} where less than {limit} is allowed")
        return number

    def signed(self) -> int:
        return unzigzag(self.varint())

    def take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > self.end:
            raise BadMessage(reason="it is cut short")
        return bytes(self.data[start : self.at])

    def bytes(self, limit: int) -> bytes:
        """Return length-prefixed bytes, at most `limit`."""
        return self.take(self.varint(limit + 1))

    def finish(self) -> None:
        if self.at != self.end:
            raise BadMessage(reason="bytes after its end")
