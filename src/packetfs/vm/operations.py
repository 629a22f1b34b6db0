"""What each instruction does: a function for every mnemonic of the table in `isa.py`.

Numbers are unsigned 64 bits, as registers are. `pc` is already behind the instruction when its operation runs.
"""

from __future__ import annotations

from operator import add, and_, eq, ge, gt, le, lt, ne, or_, xor

from packetfs.typing import Callable, Final, TypeAlias
from packetfs.vm.helpers import ANSWERED, HELPER_CALLS
from packetfs.vm.instruction import Instruction
from packetfs.vm.isa import Opcode
from packetfs.vm.layout import OFFSET_MASK, REGION_SHIFT, Fault, Region
from packetfs.vm.memory import Trap
from packetfs.vm.microvm import M64, MicroVM

M32: Final = (1 << 32) - 1

Operation: TypeAlias = Callable[[MicroVM, Instruction], None]
Binary: TypeAlias = Callable[[int, int, int], int]
"""An operation of the ALU on two unsigned numbers of so many bits; what is above those bits is cut off."""
Compare: TypeAlias = Callable[[int, int], bool]


class RecordEnd(Exception):
    """The main function returned."""


def signed(value: int, bits: int) -> int:
    """Return what the low bits mean as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


# arithmetic


def _signed_quotient(a: int, b: int, bits: int) -> int:
    """Truncated, as in C; INT_MIN / -1 is INT_MIN, because what does not fit is cut off."""
    x, y = signed(a, bits), signed(b, bits)
    if y == 0:
        return 0
    return abs(x) // abs(y) if (x < 0) == (y < 0) else -(abs(x) // abs(y))


def _signed_remainder(a: int, b: int, bits: int) -> int:
    x, y = signed(a, bits), signed(b, bits)
    if y == 0:
        return a
    return abs(x) % abs(y) if x >= 0 else -(abs(x) % abs(y))


BINARY: Final[dict[str, Binary]] = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "mul": lambda a, b, _: a * b,
    "div": lambda a, b, _: a // b if b else 0,
    "sdiv": _signed_quotient,
    "or": lambda a, b, _: a | b,
    "and": lambda a, b, _: a & b,
    "lsh": lambda a, b, bits: a << (b & bits - 1),
    "rsh": lambda a, b, bits: a >> (b & bits - 1),
    "mod": lambda a, b, _: a % b if b else a,
    "smod": _signed_remainder,
    "xor": lambda a, b, _: a ^ b,
    "mov": lambda _, b, __: b,
    "arsh": lambda a, b, bits: signed(a, bits) >> (b & bits - 1),
}


def _alu64(apply: Binary, *, immediate: bool) -> Operation:
    def with_immediate(vm: MicroVM, i: Instruction) -> None:
        registers = vm.registers
        registers[i.dst] = apply(registers[i.dst], i.imm & M64, 64) & M64

    def with_register(vm: MicroVM, i: Instruction) -> None:
        registers = vm.registers
        registers[i.dst] = apply(registers[i.dst], registers[i.src], 64) & M64

    return with_immediate if immediate else with_register


def _alu32(apply: Binary, *, immediate: bool) -> Operation:
    def with_immediate(vm: MicroVM, i: Instruction) -> None:
        registers = vm.registers
        registers[i.dst] = apply(registers[i.dst] & M32, i.imm & M32, 32) & M32

    def with_register(vm: MicroVM, i: Instruction) -> None:
        registers = vm.registers
        registers[i.dst] = apply(registers[i.dst] & M32, registers[i.src] & M32, 32) & M32

    return with_immediate if immediate else with_register


def _sign_extend(bits: int, mask: int) -> Operation:
    def move(vm: MicroVM, i: Instruction) -> None:
        vm.registers[i.dst] = signed(vm.registers[i.src], bits) & mask

    return move


def _negate(mask: int) -> Operation:
    def negate(vm: MicroVM, i: Instruction) -> None:
        vm.registers[i.dst] = -vm.registers[i.dst] & mask

    return negate


def _truncate(bits: int) -> Operation:
    def truncate(vm: MicroVM, i: Instruction) -> None:
        vm.registers[i.dst] &= (1 << bits) - 1

    return truncate


def _swap(bits: int) -> Operation:
    size = bits // 8

    def swap(vm: MicroVM, i: Instruction) -> None:
        low = vm.registers[i.dst] & (1 << bits) - 1
        vm.registers[i.dst] = int.from_bytes(low.to_bytes(size, "little"), "big")

    return swap


def _load_wide(vm: MicroVM, i: Instruction) -> None:
    vm.registers[i.dst] = i.imm64


# jumps and calls


def _both(a: int, b: int) -> bool:
    return bool(a & b)


UNSIGNED: Final[dict[str, Compare]] = {
    "jeq": eq, "jgt": gt, "jge": ge, "jset": _both, "jne": ne, "jlt": lt, "jle": le,
}  # fmt: skip
SIGNED: Final[dict[str, Compare]] = {"jsgt": gt, "jsge": ge, "jslt": lt, "jsle": le}


def _branch(holds: Compare, bits: int, *, immediate: bool) -> Operation:
    mask = (1 << bits) - 1

    def with_immediate(vm: MicroVM, i: Instruction) -> None:
        if holds(vm.registers[i.dst] & mask, i.imm & mask):
            vm.jump(vm.pc + i.offset)

    def with_register(vm: MicroVM, i: Instruction) -> None:
        if holds(vm.registers[i.dst] & mask, vm.registers[i.src] & mask):
            vm.jump(vm.pc + i.offset)

    return with_immediate if immediate else with_register


def _signed_branch(holds: Compare, bits: int, *, immediate: bool) -> Operation:
    def compare(a: int, b: int) -> bool:
        return holds(signed(a, bits), signed(b, bits))

    return _branch(compare, bits, immediate=immediate)


def _jump(vm: MicroVM, i: Instruction) -> None:
    vm.jump(vm.pc + i.offset)


def _jump_far(vm: MicroVM, i: Instruction) -> None:
    vm.jump(vm.pc + i.imm)


def _call_local(vm: MicroVM, i: Instruction) -> None:
    vm.call(vm.pc + i.imm)


def _call_helper(vm: MicroVM, i: Instruction) -> None:
    call_number(vm, i.imm)


def call_number(vm: MicroVM, number: int) -> None:
    """Call a helper; Trap HELPER when there is none of that number."""
    helper = HELPER_CALLS.get(number)
    if helper is None:
        raise Trap(Fault.HELPER, number & M64)
    vm.registers[0] = helper(vm) & M64
    vm.settle(test=number not in ANSWERED)


def _call_register(vm: MicroVM, i: Instruction) -> None:
    value = vm.registers[i.dst]
    slot, starts = value & OFFSET_MASK, vm.image.starts
    if value >> REGION_SHIFT == Region.NULL:
        call_number(vm, value)
    elif value >> REGION_SHIFT == Region.CODE and slot < len(starts) and starts[slot]:
        vm.call(slot)
    else:
        raise Trap(Fault.TARGET, value)


def _exit(vm: MicroVM, i: Instruction) -> None:  # noqa: ARG001 (all operations are called alike)
    if not vm.leave():
        raise RecordEnd


# memory


def _load(size: int) -> Operation:
    def load(vm: MicroVM, i: Instruction) -> None:
        vm.registers[i.dst] = vm.memory.load(vm.registers[i.src] + i.offset & M64, size)

    return load


def _load_signed(size: int) -> Operation:
    def load(vm: MicroVM, i: Instruction) -> None:
        value = vm.memory.load(vm.registers[i.src] + i.offset & M64, size)
        vm.registers[i.dst] = signed(value, 8 * size) & M64

    return load


def _store_immediate(size: int) -> Operation:
    def store(vm: MicroVM, i: Instruction) -> None:
        vm.memory.store(vm.registers[i.dst] + i.offset & M64, size, i.imm)

    return store


def _store_register(size: int) -> Operation:
    def store(vm: MicroVM, i: Instruction) -> None:
        vm.memory.store(vm.registers[i.dst] + i.offset & M64, size, vm.registers[i.src])

    return store


ATOMICS: Final[dict[str, Callable[[int, int], int]]] = {
    "add": add, "or": or_, "and": and_, "xor": xor, "xchg": lambda _, new: new,
}  # fmt: skip


def _exchange(vm: MicroVM, i: Instruction, size: int, change: Callable[[int], int]) -> int:
    """Replace what lies at dst + offset by what `change` makes of it, always as a store; return what it was."""
    address = vm.registers[i.dst] + i.offset & M64
    vm.memory.check_write(address, size)
    old = vm.memory.load(address, size)
    vm.memory.store(address, size, change(old))
    return old


def _atomic(change: Callable[[int, int], int], size: int, *, fetch: bool) -> Operation:
    def atomic(vm: MicroVM, i: Instruction) -> None:
        source = vm.registers[i.src]
        old = _exchange(vm, i, size, lambda old: change(old, source))
        if fetch:
            vm.registers[i.src] = old

    return atomic


def _compare_exchange(size: int) -> Operation:
    def atomic(vm: MicroVM, i: Instruction) -> None:
        expected, new = vm.registers[0] & (1 << 8 * size) - 1, vm.registers[i.src]
        vm.registers[0] = _exchange(vm, i, size, lambda old: new if old == expected else old)

    return atomic


# the table

_SIZES: Final = {"b": 1, "h": 2, "w": 4, "dw": 8}


def _operations() -> dict[str, tuple[Operation, Operation]]:
    """Return for each mnemonic its operation with src, and with imm where that is another one."""
    made: dict[str, tuple[Operation, Operation]] = {}
    for name, apply in BINARY.items():
        made[name] = _alu64(apply, immediate=False), _alu64(apply, immediate=True)
        made[name + "32"] = _alu32(apply, immediate=False), _alu32(apply, immediate=True)
    for table, branch in ((UNSIGNED, _branch), (SIGNED, _signed_branch)):
        for name, holds in table.items():
            made[name] = branch(holds, 64, immediate=False), branch(holds, 64, immediate=True)
            made[name + "32"] = branch(holds, 32, immediate=False), branch(holds, 32, immediate=True)
    return made | {name: (operation, operation) for name, operation in _single().items()}


def _single() -> dict[str, Operation]:
    """Return the operations of mnemonics that have one form."""
    made: dict[str, Operation] = {
        "neg": _negate(M64), "neg32": _negate(M32), "lddw": _load_wide, "ja": _jump, "ja32": _jump_far,
        "call": _call_helper, "call local": _call_local, "callx": _call_register, "exit": _exit,
        "lock cmpxchg": _compare_exchange(8), "lock cmpxchg32": _compare_exchange(4),
    }  # fmt: skip
    for bits in (8, 16, 32):
        made[f"movsx{bits}64"] = _sign_extend(bits, M64)
        made[f"movsx{bits}32"] = _sign_extend(bits, M32)
    for bits in (16, 32, 64):
        made[f"le{bits}"], made[f"be{bits}"], made[f"bswap{bits}"] = _truncate(bits), _swap(bits), _swap(bits)
    for letter, size in _SIZES.items():
        made[f"ldx{letter}"], made[f"ldxs{letter}"] = _load(size), _load_signed(size)
        made[f"st{letter}"], made[f"stx{letter}"] = _store_immediate(size), _store_register(size)
    for name, change in ATOMICS.items():
        for suffix, size in (("", 8), ("32", 4)):
            made[f"lock {name}{suffix}"] = _atomic(change, size, fetch=name == "xchg")
            made[f"lock fetch {name}{suffix}"] = _atomic(change, size, fetch=True)
    return made


OPERATIONS: Final = _operations()


def operation_of(row: Opcode) -> Operation:
    """Return what executes an instruction of that row; KeyError for what `load` never lets through."""
    by_register, by_immediate = OPERATIONS[row.mnemonic]
    return by_immediate if "imm" in row.used else by_register
