"""Which region each register points into, as far as it can be known before a program runs.

A kind says which check is tried first. The region may be wrong without harm: every access is checked, and what the
guess does not cover takes the long way. An offset is known, so an access there needs no check, unless the program calls
functions of its own (`is_exact`): what these do to registers is not followed.
"""

from __future__ import annotations

from packetfs.engines.lowering.graph import Graph, Run, Step, successors
from packetfs.typing import Final, NamedTuple
from packetfs.vm.isa import CALL, CALLX, FRAME_POINTER
from packetfs.vm.layout import HEADROOM, OFFSET_MASK, REGION_SHIFT, STACK_BYTES, ContextKind, Region
from packetfs.vm.slots import LDDW


class Kind(NamedTuple):
    """A region, None for what is no address, and how far behind its base, if that is known."""

    region: Region | None
    offset: int | None = None


NUMBER: Final = Kind(None)
State = tuple[Kind, ...]
_DATA_FIELDS: Final = {ContextKind.PACKETFS: (8, 0, 16, 8), ContextKind.XDP: (4, 0, 8, 4)}
"""Bytes of a pointer; where data, data_meta and data_end are."""
_ADDRESSES: Final = 1 << 32
_REGISTERS: Final = 11
MAP_LOOKUP: Final = 1


def is_exact(graph: Graph) -> bool:
    """Tell whether offsets are more than guesses."""
    return not graph.returns


def at_entry(graph: Graph, context: ContextKind) -> State:
    """Return the kinds with which a record begins."""
    first = Kind(Region.DATA) if context is ContextKind.RAW else Kind(Region.CTX, 0)
    frame = Kind(Region.STACK, STACK_BYTES if is_exact(graph) else None)
    return tuple(first if r == 1 else frame if r == FRAME_POINTER else NUMBER for r in range(_REGISTERS))


def find_kinds(graph: Graph, context: ContextKind) -> dict[int, State]:
    """Return the kinds at the beginning of each run that jumps reach from the entry, by its slot."""
    states: dict[int, State] = {graph.entry: at_entry(graph, context)}
    waiting = [graph.entry]
    while waiting:
        slot = waiting.pop()
        run = graph.runs[slot]
        state = _after(run, states[slot], context)
        for successor in successors(run):
            joined = _join(states.get(successor), state)
            if joined != states.get(successor):
                states[successor] = joined
                waiting.append(successor)
    return states


def _after(run: Run, state: State, context: ContextKind) -> State:
    for step in run.steps:
        state = advance(step, state, context)
    return state


def _join(known: State | None, new: State) -> State:
    if known is None:
        return new
    return tuple(
        a if a == b else Kind(a.region) if a.region == b.region else NUMBER for a, b in zip(known, new, strict=True)
    )


def advance(step: Step, state: State, context: ContextKind) -> State:
    """Return the kinds behind an instruction."""
    made = list(state)
    if step.instruction.opcode in (CALL, CALLX):
        lookup = step.instruction.opcode == CALL and step.instruction.imm == MAP_LOOKUP
        made[0] = Kind(Region.MAPS) if lookup else NUMBER
    elif step.row.writes and step.instruction.opcode:
        made[int(getattr(step.instruction, step.row.writes))] = _within(_made(step, state, context))
    return tuple(made)


def _made(step: Step, state: State, context: ContextKind) -> Kind:
    instruction, name = step.instruction, step.row.mnemonic.removesuffix("32")
    own, other = state[instruction.dst], state[min(instruction.src, _REGISTERS - 1)]
    by_register = "src" in step.row.used
    if instruction.opcode == LDDW:
        region, offset = instruction.imm64 >> REGION_SHIFT, instruction.imm64 & OFFSET_MASK
        return Kind(Region(region), offset) if 0 < region < len(Region) else NUMBER
    if name == "mov":
        return other if by_register else NUMBER
    if name in ("add", "sub") and not by_register:
        return _moved(own, instruction.imm if name == "add" else -instruction.imm)
    if name == "add":
        return Kind(other.region) if own.region is None else Kind(own.region) if other.region is None else NUMBER
    if name == "sub":
        return Kind(own.region) if other.region is None else NUMBER
    if name in ("ldxw", "ldxdw") and other.region is Region.CTX and other.offset is not None:
        return _read(other.offset + instruction.offset, 4 if name == "ldxw" else 8, context)
    return NUMBER


def _read(offset: int, size: int, context: ContextKind) -> Kind:
    """Return what a field of the record context is."""
    pointer, data, meta, end = _DATA_FIELDS.get(context, (0, 0, 0, 0))
    if size != pointer or offset not in (data, meta, end):
        return NUMBER
    return Kind(Region.DATA, None if offset == end else HEADROOM)


def _within(kind: Kind) -> Kind:
    """Forget an offset that leads out of 32 bits: operations of 32 and of 64 bits differ there."""
    if kind.region is None or kind.offset is None:
        return kind
    return kind if 0 <= (kind.region << REGION_SHIFT) + kind.offset < _ADDRESSES else Kind(kind.region)


def _moved(kind: Kind, by: int) -> Kind:
    return kind if kind.offset is None else Kind(kind.region, kind.offset + by)
