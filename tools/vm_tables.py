"""Tables of docs/vm.md, from those in vm/layout.py, and from engines/ for kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from packetfs.engines.gpu.kernel import ARGUMENTS, RESULTS
from packetfs.engines.ir.helpers import ANSWERED
from packetfs.enum import IntEnum
from packetfs.vm.layout import (
    CONTEXT,
    FAULT_MEANING,
    HELPERS,
    RECORD_CONTEXT,
    REGION_MEANING,
    XDP_CONTEXT,
    MapType,
    Reducer,
    Region,
    State,
    Stop,
)
from tools.formats import field_table, table

_Number = TypeVar("_Number", bound=IntEnum)

STATE_MEANING = {
    State.FREE: "no microVM",
    State.READY: "a shard that has not begun",
    State.RUNNING: "being run by process `owner`; if that is dead, the shard begins anew",
    State.PAUSED: "can go on, here or elsewhere",
    State.DONE: "all records of the shard are done",
    State.FAULTED: "ended early: `fault`, `pc` and `fault_address` say why and where",
}
STOP_MEANING = {
    Stop.DONE: "of a run: all microVMs of the range had their turn",
    Stop.SLICE: "its slice is used up; the run goes on with the next microVM",
    Stop.OUTPUT: "an emission of `fault_address` bytes does not fit; the instruction will be repeated",
    Stop.WINDOW: "the record is not wholly in the window",
    Stop.HELPER: "a call that Python answers (`fault_address` = its number); `answer`, then run again",
    Stop.INDEX: "record_index was read and `record_base` is not known; the instruction will be repeated",
    Stop.FAULT: "it faulted; the run goes on with the next microVM",
}
MAP_MEANING = {
    MapType.HASH: "open addressing; full: -7",
    MapType.ARRAY: "keys are u32 indices; values begin at multiples of 8",
    MapType.PERCPU_HASH: "as HASH",
    MapType.PERCPU_ARRAY: "as ARRAY",
    MapType.LRU_HASH: "as HASH: nothing is evicted",
    MapType.RINGBUF: "no memory: what is submitted is output",
}
REDUCER_MEANING = {
    Reducer.LAST: "the later shard's",
    Reducer.SUM: "the sum, wrapping",
    Reducer.MIN: "the least, unsigned",
    Reducer.MAX: "the greatest, unsigned",
    Reducer.SIGNED_MIN: "the least, signed",
    Reducer.SIGNED_MAX: "the greatest, signed",
    Reducer.OR: "all bits of either",
    Reducer.AND: "the bits of both",
    Reducer.XOR: "the bits of one",
    Reducer.FIRST: "the earlier shard's",
}


def numbered(meaning: Mapping[_Number, str]) -> str:
    """Return the table of an enumeration."""
    return table(("number", "name", "meaning"), [(str(int(m)), m.name, text) for m, text in meaning.items()])


def regions() -> str:
    """Return the regions of memory, with their first address."""
    rows = [(f"{int(r)}", r.name, f"`{r << 28:#010x}`", REGION_MEANING[r]) for r in Region]
    return table(("bits 28 to 31", "region", "first address", "meaning"), rows)


def context() -> str:
    """Return the layout of a live context."""
    return field_table(CONTEXT)


def record_context() -> str:
    """Return what r1 points to."""
    return field_table(RECORD_CONTEXT)


def xdp_context() -> str:
    """Return what r1 points to in XDP programs."""
    return field_table(XDP_CONTEXT)


def helpers() -> str:
    """Return all helpers."""
    says = {True: "yes", False: "no"}
    rows = [(str(h.number), h.name, h.meaning, says[h.pure], says[h.number in ANSWERED]) for h in HELPERS]
    return table(("number", "name", "arguments: r0", "pure", "in kernels"), rows)


def kernel_arguments() -> str:
    """Return what a kernel is launched with."""
    return table(("argument", "type", "meaning"), ARGUMENTS)


def kernel_results() -> str:
    """Return what the threads of a kernel leave."""
    return table(("array", "meaning"), [(name, meaning) for name, _, meaning in RESULTS])


def states() -> str:
    """Return the states of a context."""
    return numbered(STATE_MEANING)


def stops() -> str:
    """Return why a run comes back."""
    return numbered(STOP_MEANING)


def faults() -> str:
    """Return why a microVM ends early."""
    return numbered(FAULT_MEANING)


def map_types() -> str:
    """Return the types of maps."""
    return numbered(MAP_MEANING)


def reducers() -> str:
    """Return how maps of shards become one."""
    return numbered(REDUCER_MEANING)
