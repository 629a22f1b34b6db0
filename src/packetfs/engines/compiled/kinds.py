"""Which region each register points into, as far as it can be known before a program runs.

A kind says which check is tried first. It may be wrong without harm: every access is checked, and what the guess does
not cover takes the long way.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from packetfs.engines.compiled.graph import Graph, Run, Step, successors
from packetfs.vm.isa import CALL, CALLX, FRAME_POINTER
from packetfs.vm.layout import OFFSET_MASK, REGION_SHIFT, ContextKind, Region
from packetfs.vm.slots import LDDW


class Kind(NamedTuple):
    """A region, None for what is no address, and how far behind its base, if that is known."""

    region: Region | None
    offset: int | None = None


NUMBER: Final = Kind(None)
State = tuple[Kind, ...]
_DATA_FIELDS: Final = {ContextKind.PACKETFS: (0, 8, 16), ContextKind.XDP: (0, 4, 8), ContextKind.RAW: ()}
_REGISTERS: Final = 11
MAP_LOOKUP: Final = 1


def at_entry(context: ContextKind) -> State:
    """Return the kinds with which a record begins."""
    first = Kind(Region.DATA) if context is ContextKind.RAW else Kind(Region.CTX, 0)
    frame = Kind(Region.STACK)
    return tuple(first if r == 1 else frame if r == FRAME_POINTER else NUMBER for r in range(_REGISTERS))


def find_kinds(graph: Graph, context: ContextKind) -> dict[int, State]:
    """Return the kinds at the beginning of each run that jumps reach from the entry, by its slot."""
    states: dict[int, State] = {graph.entry: at_entry(context)}
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
        made[int(getattr(step.instruction, step.row.writes))] = _made(step, state, context)
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
    if step.row.mnemonic.startswith("ldx") and other.region is Region.CTX and other.offset is not None:
        read = other.offset + instruction.offset in _DATA_FIELDS[context]
        return Kind(Region.DATA) if read else NUMBER
    return NUMBER


def _moved(kind: Kind, by: int) -> Kind:
    return kind if kind.offset is None else Kind(kind.region, kind.offset + by)
