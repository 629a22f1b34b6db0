"""What a lane can reach: buffers that the launch hands in, variables of the module, its own local memory.

A generic address is a number of a buffer above bit 32 and an offset below it, so that an access behind a buffer is
seen, whatever lies next to it on hardware.
"""

from __future__ import annotations

from typing import Final

from fuzz.ptx.syntax import Refused

LOCAL: Final = 1
"""The buffer that is the lane's own; each lane sees its own at the same address."""
_SHIFT: Final = 32
_UNWRITTEN: Final = 0xA5
"""What local memory holds before something is stored there: hardware promises nothing."""
LOCAL_MAX: Final = 512 * 1024
"""Bytes of local memory that hardware gives a thread at most."""


class Memory:
    """Buffers by number. Global ones are shared by all lanes of a launch."""

    def __init__(self) -> None:
        self.buffers: dict[int, bytearray | memoryview] = {LOCAL: bytearray()}
        self.constant: set[int] = set()

    def place(self, content: bytearray | memoryview, *, constant: bool = False) -> int:
        """Give a buffer an address, aligned as an allocation is (256 bytes and more)."""
        number = len(self.buffers) + LOCAL
        self.buffers[number] = content
        if constant:
            self.constant.add(number)
        return number << _SHIFT

    def load(self, address: int, size: int) -> int:
        """Return the little-endian number at a generic address; Refused when it is not aligned or not there."""
        buffer, at = self._find(address, size)
        return int.from_bytes(buffer[at : at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Store the low bytes of a number."""
        buffer, at = self._find(address, size)
        if address >> _SHIFT in self.constant:
            raise Refused(f"a store to constant memory at {address:#x}")
        buffer[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def _find(self, address: int, size: int) -> tuple[bytearray | memoryview, int]:
        buffer, at = self.buffers.get(address >> _SHIFT), address & (1 << _SHIFT) - 1
        if buffer is None or at + size > len(buffer):
            raise Refused(f"{size} bytes at {address:#x} are in no buffer")
        if at % size:
            raise Refused(f"{size} bytes at {address:#x} are not aligned")
        return buffer, at

    # local memory: a stack of the variables of functions that run

    def local(self, size: int, align: int) -> int:
        """Give the lane another variable; return its address within local memory."""
        lane = self.buffers[LOCAL]
        assert isinstance(lane, bytearray)
        at = -(-len(lane) // align) * align
        if at + size > LOCAL_MAX:
            raise Refused(f"a lane has {LOCAL_MAX} bytes of local memory")
        lane.extend(bytes([_UNWRITTEN]) * (at + size - len(lane)))
        return at

    def forget(self, size: int) -> None:
        """Leave `size` bytes of local memory, when a function returns."""
        lane = self.buffers[LOCAL]
        assert isinstance(lane, bytearray)
        del lane[size:]

    @property
    def local_used(self) -> int:
        return len(self.buffers[LOCAL])


BASES: Final = {"local": LOCAL << _SHIFT, "global": 0, "const": 0, "": 0}
"""What makes a generic address of one in that state space."""
