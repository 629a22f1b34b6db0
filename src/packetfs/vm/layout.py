"""What a microVM looks like in memory: address regions, the live context, the record context, statuses.

These tables are the one definition: `native/vm_layout.h` and docs/vm.md are generated from them. Everything is
little-endian, position-independent and free of host pointers, so that a context moves between processes as it lies.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum, IntFlag
from packetfs.packet.layout import Field
from packetfs.typing import Final

REGION_SHIFT: Final = 28
"""An address is region << 28 | offset: below 2**32, as unmodified XDP objects keep addresses in 32 bits."""
OFFSET_MASK: Final = (1 << REGION_SHIFT) - 1

SEMANTICS: Final = 1
"""Counts up whenever a program may give another result than before: what was remembered until then is then not used."""
SLOTS_A_PACKET: Final = 6
"""eBPF slots of 8 bytes in the body of a CODE packet."""
VMS_MAX: Final = 65_535
"""MicroVMs of a filesystem: ids 1 to 65,535; 0 = any."""
CONTEXT_BYTES: Final = 1024
"""Bytes of a live context."""
STORE_AT: Final = 640
STORE_BYTES: Final = CONTEXT_BYTES - STORE_AT
"""The end of a context, where a paused microVM keeps its used stack if that fits."""
FRAME_BYTES: Final = 512
"""Bytes of stack of one function, as in Linux."""
FRAMES: Final = 8
"""Functions that may be active at once, main included, as in Linux."""
STACK_BYTES: Final = FRAME_BYTES * FRAMES
RESERVE_BYTES: Final = 4096
"""Bytes that one record may reserve for output (helper 131, ctx.out to ctx.out_end)."""
HEADROOM: Final = 256
"""Bytes before a record that helper 44 can take, as in XDP."""
TAILROOM: Final = 256
"""Bytes behind a record that helper 65 can take."""
RECORD_COPY_MAX: Final = 64 * 1024
"""Bytes of a record that a program may change: the first store makes a private copy of the record."""
SPILL_BYTES: Final = STACK_BYTES + RESERVE_BYTES + HEADROOM + RECORD_COPY_MAX + TAILROOM
"""A paused microVM's memory beside its context: stack, reserve, private copy of the record. Sparse: few touch it."""
SPILL_STRIDE: Final = -(-SPILL_BYTES // 4096) * 4096
"""Bytes from one microVM's spill to the next: whole pages, so that what is not used costs no memory."""


class Region(IntEnum):
    """Bits 28 to 31 of an address. What is not here, or not mapped, faults."""

    NULL = 0
    CTX = 1
    STACK = 2
    DATA = 3
    MAPS = 4
    MAP = 5
    SHARED = 6
    RESERVE = 7
    CODE = 8


REGION_MEANING: Final = {
    Region.NULL: "never mapped; a number below 2**28 in callx names a helper",
    Region.CTX: "the record context, read only",
    Region.STACK: "frames of 512 bytes, zero when a record begins; r10 is the end of the current frame",
    Region.DATA: f"the record, at offset {HEADROOM}; the first store makes a private copy",
    Region.MAPS: "values of the microVM's own maps",
    Region.MAP: "handles of maps: region | index; never dereferenced",
    Region.SHARED: "values of read-only maps, shared by all microVMs of a program",
    Region.RESERVE: "output that was reserved and not yet submitted",
    Region.CODE: "addresses of functions: region | slot; never dereferenced",
}


class State(IntEnum):
    """What a context is doing."""

    FREE = 0
    READY = 1
    RUNNING = 2
    PAUSED = 3
    DONE = 4
    FAULTED = 5


class Stop(IntEnum):
    """Why a run came back."""

    DONE = 0
    SLICE = 1
    OUTPUT = 2
    WINDOW = 3
    HELPER = 4
    INDEX = 5
    FAULT = 6


class Fault(IntEnum):
    """Why a microVM ended before its shard did."""

    NONE = 0
    ADDRESS = 1
    READ_ONLY = 2
    FUEL = 3
    INSTRUCTION = 4
    HELPER = 5
    DEPTH = 6
    TARGET = 7
    RECORD = 8
    MAP = 9


FAULT_MEANING: Final = {
    Fault.NONE: "no fault",
    Fault.ADDRESS: "a load or store outside mapped memory",
    Fault.READ_ONLY: "a store into memory that is read only",
    Fault.FUEL: "the record used up its fuel",
    Fault.INSTRUCTION: "an instruction that cannot be executed",
    Fault.HELPER: "a helper that does not exist",
    Fault.DEPTH: "more than 8 nested functions",
    Fault.TARGET: "callx to what is neither a helper nor a function",
    Fault.RECORD: "a record longer than 2**28 - 512 bytes, or a store into one longer than 65,536",
    Fault.MAP: "a helper was given what is no map",
}


class ContextKind(IntEnum):
    """What r1 points to when a record begins; r2 is the record's length in each."""

    PACKETFS = 0
    XDP = 1
    RAW = 2


class Framing(IntEnum):
    """How bytes become records. LINES: whole lines, as many as begin within so many bytes, none of the next shard."""

    FIXED = 1
    LINE = 2
    LIST = 3
    LINES = 4


class MapType(IntEnum):
    """Linux's numbers. PERCPU means: per microVM."""

    HASH = 1
    ARRAY = 2
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    RINGBUF = 27


class MapFlag(IntFlag):
    """Linux's numbers; others are ignored when an object is loaded."""

    READ_ONLY = 0x80


class Reducer(IntEnum):
    """How the maps of shards become one, element by element, in shard order."""

    LAST = 0
    SUM = 1
    MIN = 2
    MAX = 3
    SIGNED_MIN = 4
    SIGNED_MAX = 5
    OR = 6
    AND = 7
    XOR = 8
    FIRST = 9


class Show(IntEnum):
    """How keys of a map are shown."""

    HEX = 0
    UNSIGNED = 1
    SIGNED = 2
    TEXT = 3
    IPV4 = 4


CONTEXT: Final = (
    Field(0, 4, "state", "FREE, READY, RUNNING, PAUSED, DONE, FAULTED"),
    Field(4, 2, "vm", "1 + shard index modulo 65,535"),
    Field(6, 2, "flags", "1 = inside a record, 2 = the stack is in the spill, 4 = the record is a private copy"),
    Field(8, 4, "owner", "process that runs it"),
    Field(12, 4, "fault", "why it ended early"),
    Field(16, 8, "shard", "index of the shard"),
    Field(24, 8, "start", "file offset where the shard begins"),
    Field(32, 8, "stop", "records of the shard begin before this file offset (LIST: index behind its last record)"),
    Field(40, 8, "position", "file offset of the record that runs, else of the next one (LIST: its index)"),
    Field(48, 8, "record_start", "file offset of the record that runs"),
    Field(56, 8, "record_stop", "file offset where that record ends"),
    Field(64, 8, "records", "records that are done"),
    Field(72, 8, "fuel", "slots that this record may still execute"),
    Field(80, 8, "executed", "slots executed in this shard"),
    Field(88, 8, "emitted", "bytes of output so far"),
    Field(96, 4, "pc", "next slot"),
    Field(100, 4, "depth", "active local calls"),
    Field(104, 88, "registers", "r0 to r10"),
    Field(192, 280, "frames", "7 times: return slot u64, r6 to r9"),
    Field(472, 48, "verdicts", "6 counters: ABORTED, DROP, PASS, TX, REDIRECT, any other r0"),
    Field(520, 8, "result", "r0 of the last record"),
    Field(528, 8, "fields_read", "bit i: byte i of the record context was read"),
    Field(536, 8, "record_base", "index of the shard's first record in the file; 2**64 - 1 = not known yet"),
    Field(544, 8, "fault_address", "what could not be reached, or the helper's number"),
    Field(552, 8, "random", "state of helper 7"),
    Field(560, 4, "stack_low", "lowest offset of the stack that was stored to; the rest is zero"),
    Field(564, 4, "reserved", "bytes of the reserve in use"),
    Field(568, 4, "data", "offset of the record's first byte in its region"),
    Field(572, 4, "data_end", "offset behind its last byte"),
    Field(576, 4, "traced", "calls of helper 6"),
    Field(580, 4, "padding", "zero"),
    Field(584, 8, "helper_pc", "slot behind a call that Python answers"),
    Field(592, 48, "zero", "room"),
    Field(STORE_AT, STORE_BYTES, "store", "used stack of a paused microVM, from stack_low on, if it fits"),
)
"""A live context, 1 KiB. A microVM that is not RUNNING is entirely here, in its spill and in its maps."""

RECORD_CONTEXT: Final = (
    Field(0, 8, "data", "address of the record's first byte"),
    Field(8, 8, "data_end", "address behind its last byte"),
    Field(16, 8, "data_meta", "same as data"),
    Field(24, 8, "record_index", "number of the record in the file, from 0 (LINES: rising, with gaps)"),
    Field(32, 8, "file_offset", "where the record begins in the file"),
    Field(40, 4, "file_id", "number of the file in the job, from 0"),
    Field(44, 2, "vm", "the microVM: 1 + shard index modulo 65,535"),
    Field(46, 2, "zero", "zero"),
    Field(48, 8, "out", "address of the reserve"),
    Field(56, 8, "out_end", "address behind it"),
)
"""What r1 points to (ContextKind.PACKETFS): one packet."""

XDP_CONTEXT: Final = (
    Field(0, 4, "data", "address of the record's first byte"),
    Field(4, 4, "data_end", "address behind its last byte"),
    Field(8, 4, "data_meta", "same as data"),
    Field(12, 4, "ingress_ifindex", "1"),
    Field(16, 4, "rx_queue_index", "0"),
    Field(20, 4, "egress_ifindex", "0"),
)
"""Linux's xdp_md (ContextKind.XDP): what programs of section `xdp` get."""


class ContextFlag(IntFlag):
    """Bits of a context's flags."""

    IN_RECORD = 1
    SPILLED = 2
    COPIED = 4


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that programs call by number. `pure`: the same arguments and memory give the same result."""

    number: int
    name: str
    meaning: str
    pure: bool = True


HELPERS: Final = (
    Helper(1, "map_lookup_elem", "r1 map, r2 key: address of the value, or 0"),
    Helper(2, "map_update_elem", "r1 map, r2 key, r3 value, r4 flags (0 any, 1 new, 2 held): 0, or -errno"),
    Helper(3, "map_delete_elem", "r1 map, r2 key: 0, or -errno"),
    Helper(5, "ktime_get_ns", "slots executed in this shard: a clock that is the same in every run", pure=False),
    Helper(6, "trace_printk", "r1 format, r2 its size, r3 to r5 values: bytes written; 1,000 a microVM are shown"),
    Helper(7, "get_prandom_u32", "SplitMix64, seeded by the job's seed and the shard", pure=False),
    Helper(8, "get_smp_processor_id", "0", pure=False),
    Helper(28, "csum_diff", "r1 from, r2 size, r3 to, r4 size, r5 seed: difference of Internet checksums"),
    Helper(44, "xdp_adjust_head", "r1 ctx, r2 delta: 0, or -22; the record becomes a private copy"),
    Helper(51, "redirect_map", "r3, as if the map were empty; 0 when r3 is above 3"),
    Helper(65, "xdp_adjust_tail", "r1 ctx, r2 delta: 0, or -22; the record becomes a private copy"),
    Helper(130, "ringbuf_output", "r1 ring, r2 data, r3 size, r4 flags: 0; the bytes are output"),
    Helper(131, "ringbuf_reserve", "r1 ring, r2 size, r3 flags: address of zeroed room in the reserve, or 0"),
    Helper(132, "ringbuf_submit", "r1 reserved room: its bytes are output"),
    Helper(133, "ringbuf_discard", "r1 reserved room: nothing is output"),
    Helper(189, "xdp_load_bytes", "r1 ctx, r2 offset, r3 to, r4 size: 0, or -22"),
    Helper(190, "xdp_store_bytes", "r1 ctx, r2 offset, r3 from, r4 size: 0, or -22"),
    Helper(4096, "emit", "r1 data, r2 size: 0; the bytes are output"),
    Helper(4097, "find", "r1 data, r2 size, r3 word, r4 its size: offset of the word, or -1"),
    Helper(4098, "find_byte", "r1 data, r2 size, r3 byte, r4 n: offset of the n-th one, from 1 on, or -1"),
    Helper(4099, "find_last_byte", "r1 data, r2 size, r3 byte: offset of the last one, or -1"),
    Helper(4100, "count_byte", "r1 data, r2 size, r3 byte: how many there are"),
    Helper(4101, "count_words", "r1 data, r2 size: stretches of bytes that are not white space (9 to 13, 32)"),
    Helper(4102, "decimal", "r1 text, r2 size, r3 decimals: the number in units of 10**-r3, or -(2**63)"),
    Helper(4103, "tally", "r1 array of u64, r2 data, r3 size, r4 stride, r5 width (< 0: high first): those not in it"),
    Helper(4104, "count_parts", "r1 data, r2 size, r3 byte, r4 word, r5 its size: parts, ended by r3, that contain r4"),
)
"""Linux's numbers below 4096, ours from there on."""
