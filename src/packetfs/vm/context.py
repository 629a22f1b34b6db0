"""The live context of a microVM as an object: 1,024 bytes somewhere, read and written field by field."""

from __future__ import annotations

from struct import Struct

from packetfs.packet.layout import Buffer
from packetfs.typing import Final, Sequence, overload
from packetfs.vm.layout import CONTEXT, CONTEXT_BYTES, STORE_AT, STORE_BYTES, VMS_MAX, Fault, State

BASE_UNKNOWN: Final = (1 << 64) - 1
"""record_base of a shard whose first record's index is not known yet."""
GOLDEN: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: SplitMix64's step, and the multiplier of hashes."""

_FIELDS: Final = {field.name: field for field in CONTEXT}
_NUMBERS: Final = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}


def _begun() -> Struct:
    """Return the struct of a READY context: the fields that begin_shard sets, zeros between and behind them."""
    form, at = "<", 0
    for name in ("state", "vm", "shard", "start", "stop", "position", "record_base", "random"):
        field = _FIELDS[name]
        form += f"{field.offset - at}x{_NUMBERS[field.size][1:]}"
        at = field.offset + field.size
    return Struct(f"{form}{CONTEXT_BYTES - at}x")


_READY: Final = _begun()
"""One pack instead of a field after the other: a table of 65,535 takes 35 ms instead of 160 (CPU time)."""


class Number:
    """A field that is one unsigned number, or a signed one."""

    def __init__(self, name: str, *, signed: bool = False) -> None:
        field = _FIELDS[name]
        form = _NUMBERS[field.size]
        self.offset, self.codec = field.offset, Struct(form.lower() if signed else form)

    @overload
    def __get__(self, context: None, owner: type) -> Number: ...
    @overload
    def __get__(self, context: Context, owner: type) -> int: ...
    def __get__(self, context: Context | None, owner: type) -> int | Number:
        if context is None:
            return self
        return int(self.codec.unpack_from(context.view, self.offset)[0])

    def __set__(self, context: Context, value: int) -> None:
        self.codec.pack_into(context.view, self.offset, value)


class Numbers:
    """A field that is several unsigned numbers of 64 bits."""

    def __init__(self, name: str) -> None:
        field = _FIELDS[name]
        self.offset, self.codec = field.offset, Struct(f"<{field.size // 8}Q")

    @overload
    def __get__(self, context: None, owner: type) -> Numbers: ...
    @overload
    def __get__(self, context: Context, owner: type) -> tuple[int, ...]: ...
    def __get__(self, context: Context | None, owner: type) -> tuple[int, ...] | Numbers:
        return self if context is None else self.codec.unpack_from(context.view, self.offset)

    def __set__(self, context: Context, values: Sequence[int]) -> None:
        self.codec.pack_into(context.view, self.offset, *values)


class Context:
    """One slot of a table of contexts. Fields are those of layout.CONTEXT; `store` is its bytes, not a copy."""

    __slots__ = ("view",)

    state = Number("state")
    vm = Number("vm")
    flags = Number("flags")
    owner = Number("owner")
    fault = Number("fault")
    shard = Number("shard")
    start = Number("start")
    stop = Number("stop")
    position = Number("position")
    record_start = Number("record_start")
    record_stop = Number("record_stop")
    records = Number("records")
    fuel = Number("fuel", signed=True)
    executed = Number("executed")
    emitted = Number("emitted")
    pc = Number("pc")
    depth = Number("depth")
    registers = Numbers("registers")
    frames = Numbers("frames")
    verdicts = Numbers("verdicts")
    result = Number("result")
    fields_read = Number("fields_read")
    record_base = Number("record_base")
    fault_address = Number("fault_address")
    random = Number("random")
    stack_low = Number("stack_low")
    reserved = Number("reserved")
    data = Number("data")
    data_end = Number("data_end")
    traced = Number("traced")
    helper_pc = Number("helper_pc")

    def __init__(self, contexts: Buffer, slot: int = 0) -> None:
        """Take slot `slot` of a table; ValueError when the table is shorter."""
        table = memoryview(contexts).cast("B")
        if not 0 <= slot < table.nbytes // CONTEXT_BYTES:
            raise ValueError(f"slot {slot} of a table of {table.nbytes // CONTEXT_BYTES} contexts")
        self.view = table[slot * CONTEXT_BYTES : (slot + 1) * CONTEXT_BYTES]

    @property
    def store(self) -> memoryview:
        return self.view[STORE_AT : STORE_AT + STORE_BYTES]

    @property
    def faulted(self) -> Fault | None:
        """The fault that ended it, or None."""
        return Fault(self.fault) if self.state == State.FAULTED else None


def begin_shard(
    contexts: Buffer, slot: int, *, shard: int, start: int, stop: int, position: int, record_base: int, seed: int
) -> None:
    """Write a READY context for a shard: its records begin in [start, stop), the first one at `position`.

    For LIST framing, stop and position are indices of pairs. record_base: the index of the first record in its file,
    BASE_UNKNOWN when that is to be counted later. All other fields become zero.
    """
    random = (seed * GOLDEN + shard) % (1 << 64)
    vm = 1 + shard % VMS_MAX
    _READY.pack_into(contexts, slot * CONTEXT_BYTES, State.READY, vm, shard, start, stop, position, record_base, random)


def open_maps(initial: bytes, maps_bytes: int, maps: Buffer, slot: int) -> None:
    """Give slot `slot` the maps memory that a shard begins with."""
    view = memoryview(maps).cast("B")[slot * maps_bytes : (slot + 1) * maps_bytes]
    view[:] = initial.ljust(maps_bytes, b"\0")
