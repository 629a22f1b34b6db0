"""What code must be before it runs: every slot legal, every jump to an instruction, no way off the end.

This is all that is decided beforehand. Addresses, fuel, depth of calls and targets of callx are checked while the code
runs, so a program that passes here may still fault, but cannot leave its own code.
"""

from __future__ import annotations

from packetfs.errors import IllegalInstruction
from packetfs.limits import CODE_SLOTS_MAX
from packetfs.packet.layout import Buffer
from packetfs.typing import Callable, Final
from packetfs.vm.instruction import SLOT, Instruction, iterate_rows
from packetfs.vm.isa import BTF, CALL, EXIT, FRAME_POINTER, HELPER, JA, JA32, LDDW, Opcode
from packetfs.vm.layout import HELPERS

_NUMBERS: Final = frozenset(helper.number for helper in HELPERS)
_ENDS: Final = frozenset((EXIT, JA, JA32))


def check(code: Buffer, maps: int, *, entry: int = 0) -> None:
    """Raise IllegalInstruction for the first slot that is wrong. `maps` = how many there are, `entry` = a slot."""
    if not 0 < len(code) <= CODE_SLOTS_MAX * SLOT:
        raise IllegalInstruction(slot=0, reason=f"code has 1 to {CODE_SLOTS_MAX} slots, this {len(code) // SLOT}")
    begins, targets, last = bytearray(len(code) // SLOT), [], (0, 0)
    for slot, instruction, row in iterate_rows(code):
        begins[slot] = 1
        _check_operands(slot, instruction, row, maps)
        if row.targets:
            targets.append((slot, slot + 1 + getattr(instruction, row.targets)))
        last = slot, row.code
    _check_targets(begins, targets)
    if last[1] not in _ENDS:
        raise IllegalInstruction(slot=last[0], reason="the code runs off its end here; its last must be exit or ja")
    if not 0 <= entry < len(begins) or not begins[entry]:
        raise IllegalInstruction(slot=entry, reason="the entry is where no instruction begins")


def _check_operands(slot: int, instruction: Instruction, row: Opcode, maps: int) -> None:
    if row.writes and getattr(instruction, row.writes) == FRAME_POINTER:
        raise IllegalInstruction(slot=slot, reason=f"{row.mnemonic} would change r10, which is read only")
    refusal = _REFUSALS.get((row.code, row.src))
    if refusal is not None:
        reason = refusal(instruction, maps)
        if reason:
            raise IllegalInstruction(slot=slot, reason=reason)


def _refuse_helper(instruction: Instruction, maps: int) -> str:
    del maps
    return "" if instruction.imm in _NUMBERS else f"there is no helper {instruction.imm}"


def _refuse_map(instruction: Instruction, maps: int) -> str:
    return "" if 0 <= instruction.imm < maps else f"there is no map {instruction.imm}; the program has {maps}"


def _check_targets(begins: bytearray, targets: list[tuple[int, int]]) -> None:
    for slot, target in targets:
        if not 0 <= target < len(begins):
            raise IllegalInstruction(slot=slot, reason=f"its target, slot {target}, is outside the code")
        if not begins[target]:
            raise IllegalInstruction(slot=slot, reason=f"its target, slot {target}, is in the middle of lddw")


_Refusal = Callable[[Instruction, int], str]
_REFUSALS: Final[dict[tuple[int, int], _Refusal]] = {
    (CALL, HELPER): _refuse_helper,
    (CALL, BTF): lambda i, _: f"functions by BTF id, as {i.imm}, are not there",
    (LDDW, 3): lambda i, _: f"platform variables, as {i.imm}, are not there",
    **dict.fromkeys(((LDDW, 1), (LDDW, 2), (LDDW, 5), (LDDW, 6)), _refuse_map),
}
