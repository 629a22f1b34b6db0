"""How much of the stack a program can touch, so that no more of it is cleared for every block."""

from __future__ import annotations

from packetfs.engines.lanes.facts import STACK, Facts, goes_on
from packetfs.vm.isa import CALL
from packetfs.vm.layout import STACK_BYTES, Region


def stack_low(facts: Facts) -> int:
    """Return the lowest offset that may be read or written; STACK_BYTES where none is, 0 where that is not known."""
    low = STACK_BYTES
    for node in facts.nodes:
        state = facts.at[node]
        for step in facts.run(node).steps:
            if not goes_on(step):
                break
            name, instruction = step.row.mnemonic, step.instruction
            if name.startswith(("ldx", "st", "lock")):
                fact = state[instruction.src if name.startswith("ldx") else instruction.dst]
                if fact.region is Region.STACK:
                    low = min(low, 0 if fact.value is None else max(fact.value + instruction.offset - STACK, 0))
            if step is not facts.run(node).last or instruction.opcode == CALL:
                state = facts.advance(step, state, parted=node in facts.parted)
    return low
