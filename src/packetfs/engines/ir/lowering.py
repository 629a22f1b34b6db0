"""eBPF to LLVM IR, instruction by instruction, with the meaning of vm/interpreter.py: result, faults and fuel, to the
slot. Blocks are straight runs; registers are variables that LLVM keeps where it likes."""

from __future__ import annotations

from packetfs.engines.ir import calls
from packetfs.engines.ir.function import ENDS, Function
from packetfs.engines.ir.helpers import answered
from packetfs.typing import Final
from packetfs.vm.image import Image
from packetfs.vm.instruction import Instruction
from packetfs.vm.isa import Opcode

_BITS: Final = {"b": 8, "h": 16, "w": 32, "dw": 64}


def called(image: Image) -> frozenset[int]:
    """Return the numbers of the helpers that the IR of a program calls: with callx, all that there are."""
    function = Function(0, image)
    named = frozenset(i.imm for _, i, row in function.rows if row.mnemonic == "call")
    return named | answered(image) if function.indirect else named


def lower(number: int, image: Image) -> str:
    """Return the IR function `@programNUMBER(vm, r1, r2)`: r0, or 0 where the state tells of a fault."""
    f = Function(number, image)
    f.enter()
    runs = False
    for slot, i, row in f.rows:
        if slot in f.begins:
            if runs:
                f.pay(slot)
                f.text.jump(f"s{slot}")
            f.text.begin(f"s{slot}")
            f.begin = slot
        runs = not _leaves(f, slot, i, row)
    calls.write_return(f)
    if f.indirect:
        calls.write_callx(f, answered(image))
    f.leave()
    head = f"define internal i64 @program{number}(ptr %vm, i64 %a1, i64 %a2) {{\n"
    return head + f.text.lines() + "}\n"


def _leaves(f: Function, slot: int, i: Instruction, row: Opcode) -> bool:
    """Lower one instruction; tell whether the straight run ends with it."""
    name = row.mnemonic
    if name in ENDS or (row.targets and name != "lddw"):
        _control(f, slot, i, row)
        return True
    if name == "lddw":
        f.give(i.dst, str(i.imm64))
    elif name.startswith("ldx"):
        _load(f, slot, i, name.removeprefix("ldx"))
    elif name.startswith("st"):
        _store(f, slot, i, name.removeprefix("st"))
    elif name.startswith("lock "):
        _atomic(f, slot, i, name.removeprefix("lock "))
    else:
        _compute(f, i, row)
    return False


def _compute(f: Function, i: Instruction, row: Opcode) -> None:
    name = row.mnemonic
    if name.startswith("movsx"):
        made: str | None = f.arithmetic.move_signed(name, f.take(i.src))
    else:
        made = f.arithmetic.unary(name, f.take(i.dst))
    if made is None:
        made = f.arithmetic.binary(*_width_of(name), f.take(i.dst), _operand(f, i, row))
    f.give(i.dst, made)


def _operand(f: Function, i: Instruction, row: Opcode) -> str:
    return str(i.imm) if "imm" in row.used else f.take(i.src)


def _width_of(mnemonic: str) -> tuple[str, int]:
    """Return name and bits of an arithmetic instruction, a jump or an atomic."""
    return (mnemonic.removesuffix("32"), 32) if mnemonic.endswith("32") else (mnemonic, 64)


# memory


def _load(f: Function, slot: int, i: Instruction, letters: str) -> None:
    """ldxb to ldxdw, and ldxsb to ldxsw, which extend the sign."""
    bits = _BITS[letters.removeprefix("s")]
    value = f.text.fetch(f.find(slot, i.src, i.offset, bits // 8, store=False), bits)
    f.give(i.dst, f.arithmetic.extend(value, bits, signed=letters.startswith("s")))


def _store(f: Function, slot: int, i: Instruction, letters: str) -> None:
    """stb to stdw, and stxb to stxdw, which store a register."""
    bits = _BITS[letters.removeprefix("x")]
    pointer = f.find(slot, i.dst, i.offset, bits // 8, store=True)
    value = f.take(i.src) if letters.startswith("x") else str(i.imm)
    f.text.put(pointer, f.arithmetic.cut(value, bits), bits)


def _atomic(f: Function, slot: int, i: Instruction, mnemonic: str) -> None:
    """Nobody else sees this memory: load, compute, store."""
    name, bits = _width_of(mnemonic.removeprefix("fetch "))
    pointer = f.find(slot, i.dst, i.offset, bits // 8, store=True)
    old, source = f.text.fetch(pointer, bits), f.arithmetic.cut(f.take(i.src), bits)
    if name == "cmpxchg":
        same = f.arithmetic.compare("eq", old, f.arithmetic.cut(f.take(0), bits), bits)
        new = f.arithmetic.select(same, source, old, bits)
    else:
        new = source if name == "xchg" else f.arithmetic.plain(name, old, source, bits)
    f.text.put(pointer, new, bits)
    if name in ("xchg", "cmpxchg") or mnemonic.startswith("fetch "):
        f.give(0 if name == "cmpxchg" else i.src, f.arithmetic.extend(old, bits))


# control


def _control(f: Function, slot: int, i: Instruction, row: Opcode) -> None:
    target = slot + 1 + int(getattr(i, row.targets or "imm"))
    match row.mnemonic:
        case "exit":
            f.pay(slot + 1)
            f.text.jump("return")
        case "call":
            calls.call_helper(f, f.site(slot), i.imm)
        case "call local":
            calls.call_local(f, f.site(slot), str(target), f"s{target}")
        case "callx":
            calls.call_register(f, f.site(slot), f.take(i.dst))
        case "ja" | "ja32":
            f.pay(slot + 1)
            _go(f, slot, target)
        case _:
            _branch(f, slot, i, row, target)


def _branch(f: Function, slot: int, i: Instruction, row: Opcode, target: int) -> None:
    name, bits = _width_of(row.mnemonic)
    holds = f.arithmetic.condition(name, bits, f.take(i.dst), _operand(f, i, row))
    f.pay(slot + 1)
    taken, not_taken = f.split(holds, "taken")
    f.text.begin(taken)
    _go(f, slot, target)
    f.text.begin(not_taken)
    f.text.jump(f"s{slot + 1}")


def _go(f: Function, slot: int, target: int) -> None:
    """Go to a slot; to this one or before it only with fuel."""
    if target <= slot:
        f.test(str(target))
    f.text.jump(f"s{target}")
