"""Fields of consecutive contexts as columns: 64 of them are read or written in one step instead of 64.

A context is 128 words of 64 bits, little-endian as the hosts that PacketFS runs on.
"""

from __future__ import annotations

from struct import pack

from packetfs.engines.input.records import Records
from packetfs.engines.input.shards import Batch, first_records
from packetfs.typing import Final, Iterable
from packetfs.vm.context import GOLDEN
from packetfs.vm.layout import CONTEXT, CONTEXT_BYTES, State

WORDS: Final = CONTEXT_BYTES // 8
_WORD: Final = {field.name: field.offset // 8 for field in CONTEXT}
_VM_SHIFT: Final = 32
_STATE_MASK: Final = 0xFFFFFFFF
_MODULUS: Final = 1 << 64
ENDED: Final = (State.DONE, State.FAULTED)


def column(words: memoryview, slot: int, count: int, name: str, part: int = 0) -> memoryview:
    """Return word `part` of field `name` of the contexts `slot` to `slot + count - 1`, to read or to write."""
    first = slot * WORDS + _WORD[name] + part
    return words[first : (slot + count) * WORDS : WORDS]


def states(words: memoryview, slot: int, count: int) -> list[int]:
    """Return the states of the contexts."""
    return [word & _STATE_MASK for word in column(words, slot, count, "state").tolist()]


def unfinished(words: memoryview, slot: int, count: int) -> list[int]:
    """Return the slots that are neither DONE nor FAULTED."""
    return [slot + i for i, state in enumerate(states(words, slot, count)) if state not in ENDED]


def begin(words: memoryview, batch: Batch, records: Records, seed: int) -> None:
    """Write READY contexts for the shards of a batch, as vm.context.begin_shard does; the memory must be zero."""
    count, first = batch.count, batch.shard
    positions, stops, bases = first_records(batch, records)
    random = (seed * GOLDEN + first) % _MODULUS
    values: tuple[tuple[str, Iterable[int]], ...] = (
        ("shard", range(first, first + count)),
        ("start", batch.starts),
        ("stop", stops),
        ("position", positions),
        ("record_base", bases),
        ("random", _wrapped(random, count)),
    )
    for name, numbers in values:
        column(words, batch.slot, count, name)[:] = _words(numbers)
    # Last, and with the state: a context that was not written to the end still counts as FREE.
    lowest = State.READY | batch.slot << _VM_SHIFT
    column(words, batch.slot, count, "state")[:] = _words(lowest + (i << _VM_SHIFT) for i in range(count))


def _words(numbers: Iterable[int]) -> memoryview:
    words = tuple(numbers)
    return memoryview(pack(f"{len(words)}Q", *words)).cast("Q")


def _wrapped(start: int, count: int) -> Iterable[int]:
    if start + count <= _MODULUS:
        return range(start, start + count)
    return [(start + i) % _MODULUS for i in range(count)]
