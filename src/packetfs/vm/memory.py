"""What a running program can reach: seven regions, checked at every access. An address is region << 28 | offset.

The record is read where it lies in the window; the first store makes a private copy in the spill. `stack_low` bounds
what a paused microVM must keep, in steps of 64 bytes.
"""

from __future__ import annotations

from struct import Struct

from packetfs.packet.layout import Buffer
from packetfs.typing import Final
from packetfs.vm.image import Image
from packetfs.vm.layout import (
    HEADROOM,
    OFFSET_MASK,
    RECORD_COPY_MAX,
    REGION_SHIFT,
    RESERVE_BYTES,
    STACK_BYTES,
    TAILROOM,
    ContextKind,
    Fault,
    Region,
    Stop,
)

RESERVE_AT: Final = STACK_BYTES
COPY_AT: Final = STACK_BYTES + RESERVE_BYTES
"""Where in the spill the reserve and the private copy of the record (from offset 0 of its region on) lie."""
STACK_STEP: Final = 64
INDEX_BYTES: Final = range(24, 32)
"""Bytes of the record context that hold record_index."""

_CTX, _STACK, _DATA, _MAPS, _SHARED, _RESERVE = (
    int(region) for region in (Region.CTX, Region.STACK, Region.DATA, Region.MAPS, Region.SHARED, Region.RESERVE)
)
_PACKETFS: Final = Struct("<QQQQQIHHQQ")
_XDP: Final = Struct("<6I")


class Trap(Exception):
    """The program did what it may not. pc: where it stands, when that is not the instruction that runs."""

    def __init__(self, fault: Fault, address: int = 0, pc: int | None = None) -> None:
        super().__init__(fault, address)
        self.fault, self.address, self.pc = fault, address, pc


class Pause(Exception):
    """The program cannot go on for now. INDEX and OUTPUT repeat the instruction; number: what goes to fault_address."""

    def __init__(self, stop: Stop, number: int = 0) -> None:
        super().__init__(stop, number)
        self.stop, self.number = stop, number


class Memory:
    """The memory of one microVM while it runs, and the record that it sees."""

    def __init__(self, image: Image, spill: memoryview, maps: memoryview) -> None:
        self.kind = image.context
        self.maps, self.shared = maps, memoryview(image.shared)
        self.stack, self.stack_low = bytearray(STACK_BYTES), STACK_BYTES
        self.spill, self.reserve, self.copy = spill, spill[RESERVE_AT:COPY_AT], spill[COPY_AT:]
        self.reserved = 0
        self.record, self.record_at = memoryview(b""), HEADROOM
        self.length = self.file_offset = self.data = self.data_end = 0
        self.copied = False
        self.record_index: int | None = None
        self.file_id = self.vm = self.fields_read = 0

    def open_record(self, record: memoryview, file_offset: int) -> None:
        """Show the program a record of the window."""
        self.record, self.record_at, self.copied = record, HEADROOM, False
        self.length, self.file_offset = record.nbytes, file_offset
        self.data, self.data_end = HEADROOM, HEADROOM + record.nbytes

    def clear(self) -> None:
        """Make stack and reserve what a record begins with."""
        self.stack[self.stack_low :] = bytes(STACK_BYTES - self.stack_low)
        self.stack_low, self.reserved = STACK_BYTES, 0

    def take_copy(self) -> None:
        """Read the record from its private copy."""
        self.record, self.record_at, self.copied = self.copy, 0, True

    def make_private(self, address: int) -> None:
        """Copy the record, so that it can be changed; Trap RECORD at `address` when it is too long for that."""
        if self.copied:
            return
        if self.length > RECORD_COPY_MAX:
            raise Trap(Fault.RECORD, address)
        self.copy[:HEADROOM] = bytes(HEADROOM)
        self.copy[HEADROOM : HEADROOM + self.length] = self.record
        self.take_copy()

    @property
    def hard_end(self) -> int:
        """The offset that the record's end can move to."""
        return HEADROOM + self.length + TAILROOM

    def read(self, address: int, size: int) -> Buffer:
        """Return the `size` >= 1 bytes at `address`; Trap ADDRESS, or Pause INDEX."""
        region, offset = address >> REGION_SHIFT, address & OFFSET_MASK
        end = offset + size
        if region == _STACK and end <= STACK_BYTES:
            return self.stack[offset:end]
        if region == _DATA and self.data <= offset and end <= self.data_end:
            return self.record[offset - self.record_at : end - self.record_at]
        if region == _MAPS and end <= self.maps.nbytes:
            return self.maps[offset:end]
        if region == _CTX and end <= _context_bytes(self.kind):
            return self._describe(offset, end)
        if region == _SHARED and end <= self.shared.nbytes:
            return self.shared[offset:end]
        if region == _RESERVE and end <= self.reserved:
            return self.reserve[offset:end]
        raise Trap(Fault.ADDRESS, address)

    def check_write(self, address: int, size: int) -> None:
        """Trap where write() would because of the range: ADDRESS or READ_ONLY."""
        region, offset = address >> REGION_SHIFT, address & OFFSET_MASK
        end = offset + size
        low, high = {
            _CTX: (0, _context_bytes(self.kind)),
            _STACK: (0, STACK_BYTES),
            _DATA: (self.data, self.data_end),
            _MAPS: (0, self.maps.nbytes),
            _SHARED: (0, self.shared.nbytes),
            _RESERVE: (0, self.reserved),
        }.get(region, (0, 0))
        if offset < low or end > high:
            raise Trap(Fault.ADDRESS, address)
        if region in (_CTX, _SHARED):
            raise Trap(Fault.READ_ONLY, address)

    def write(self, address: int, data: Buffer) -> None:
        """Store at least one byte; Trap ADDRESS, READ_ONLY, or RECORD when the record is too long for a copy."""
        region, offset = address >> REGION_SHIFT, address & OFFSET_MASK
        end = offset + len(data)
        if region == _STACK and end <= STACK_BYTES:
            self.stack[offset:end] = data
            if offset < self.stack_low:
                self.stack_low = offset // STACK_STEP * STACK_STEP
            return
        if region == _MAPS and end <= self.maps.nbytes:
            self.maps[offset:end] = data
            return
        self.check_write(address, len(data))
        if region == _DATA:
            self.make_private(address)
            self.copy[offset:end] = data
        else:
            self.reserve[offset:end] = data

    def load(self, address: int, size: int) -> int:
        """Return the unsigned little-endian number of `size` bytes at `address`."""
        return int.from_bytes(self.read(address, size), "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes of `value`."""
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def _describe(self, offset: int, end: int) -> bytes:
        """Return bytes of the record context, and remember which were read: a result depends on nothing else of it."""
        indexed = offset < INDEX_BYTES.stop and end > INDEX_BYTES.start
        if self.kind == ContextKind.PACKETFS and indexed and self.record_index is None:
            raise Pause(Stop.INDEX)
        self.fields_read |= (1 << end) - (1 << offset)
        data, data_end = (Region.DATA << REGION_SHIFT | at for at in (self.data, self.data_end))
        if self.kind == ContextKind.XDP:
            return _XDP.pack(data, data_end, data, 1, 0, 0)[offset:end]
        out = Region.RESERVE << REGION_SHIFT
        places = (data, data_end, data, self.record_index or 0, self.file_offset)
        return _PACKETFS.pack(*places, self.file_id, self.vm, 0, out, out + RESERVE_BYTES)[offset:end]


def _context_bytes(kind: ContextKind) -> int:
    """Return how much of region CTX is mapped."""
    return {ContextKind.PACKETFS: _PACKETFS.size, ContextKind.XDP: _XDP.size, ContextKind.RAW: 0}[kind]
