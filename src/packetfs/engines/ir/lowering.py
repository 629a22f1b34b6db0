"""eBPF to LLVM IR: one function for a program, a block for each straight run, registers that LLVM keeps where it likes.

It means what vm/interpreter.py does, to the slot: fuel is paid by straight runs and tested at backward jumps, local
calls and behind helpers that cost more; a fault says where. Calls push a frame and jump: one function holds all.
"""

from __future__ import annotations

from typing import Final

from packetfs.engines.ir import arithmetic
from packetfs.engines.ir.helpers import answered
from packetfs.engines.ir.memory import STOPPED
from packetfs.engines.ir.text import Text
from packetfs.vm.image import Image
from packetfs.vm.instruction import Instruction, iterate_rows, width
from packetfs.vm.isa import REGISTERS, Opcode
from packetfs.vm.layout import FRAME_BYTES, FRAMES, HELPERS, OFFSET_MASK, REGION_SHIFT, STACK_BYTES, Fault, Region, Stop

Row = tuple[int, Instruction, Opcode]
_SIZES: Final = {"b": 1, "h": 2, "w": 4, "dw": 8}
_FRAME_WORDS: Final = 5
_ENDS: Final = ("ja", "ja32", "exit", "call", "call local", "callx")
"""Instructions behind which a block begins, besides conditional jumps."""


class Lowering:
    """One program on its way."""

    def __init__(self, number: int, image: Image) -> None:
        self.number, self.image, self.text = number, image, Text()
        self.rows = list(iterate_rows(image.code))
        self.indirect = any(row.mnemonic == "callx" for _, _, row in self.rows)
        self.helpers = {i.imm for _, i, row in self.rows if row.mnemonic == "call"}
        if self.indirect:
            self.helpers |= answered(image)
        self.begins = self._begins()
        self.begin = 0
        self.open = False

    def lower(self) -> str:
        """Return the IR function `@programN(vm, r1, r2) -> r0`; the state says whether it faulted."""
        self._enter()
        for slot, instruction, row in self.rows:
            self._lower(slot, instruction, row)
        self._leave()
        head = f"define internal i64 @program{self.number}(ptr %vm, i64 %a1, i64 %a2) {{\n"
        return head + "\n".join(self.text.lines) + "\n}\n"

    def _begins(self) -> set[int]:
        """Return the slots where a block begins."""
        found = {self.image.entry}
        for slot, instruction, row in self.rows:
            behind = slot + width(instruction.opcode)
            jumps = bool(row.targets) and row.mnemonic != "lddw"
            if jumps:
                found.add(behind + getattr(instruction, row.targets))
            if jumps or row.mnemonic in _ENDS or self.indirect:
                found.add(behind)
        return found

    # registers

    def take(self, register: int) -> str:
        return self.text.new(f"load i64, ptr %r{register}")

    def give(self, register: int, value: str) -> None:
        self.text.do(f"store i64 {value}, ptr %r{register}")

    # the frame of the function

    def _enter(self) -> None:
        text = self.text
        text.label("entry")
        for register in range(REGISTERS):
            text.do(f"%r{register} = alloca i64")
            self.give(
                register, {1: "%a1", 2: "%a2", 10: str((Region.STACK << REGION_SHIFT) + STACK_BYTES)}.get(register, "0")
            )
        text.do("%target = alloca i64")
        text.do(f"br label %s{self.image.entry}")

    def _leave(self) -> None:
        text = self.text
        returns = [slot + 1 for slot, _, row in self.rows if row.mnemonic in ("call local", "callx")]
        text.label("return")
        if returns:
            self._pop(returns)
        else:
            text.do("br label %done")
        if self.indirect:
            self._dispatch()
        text.label("done")
        text.do(f"ret i64 {self.take(0)}")
        text.label("stopped")
        text.do("ret i64 0")

    # one instruction

    def _lower(self, slot: int, i: Instruction, row: Opcode) -> None:
        if slot in self.begins:
            if self.open:
                self._pay(slot)
                self.text.do(f"br label %s{slot}")
            self.text.label(f"s{slot}")
            self.begin = slot
        self.open = True
        name = row.mnemonic
        if name == "lddw":
            self.give(i.dst, str(i.imm64))
        elif name.startswith("ldx"):
            letters = name.removeprefix("ldx")
            self._load(slot, i, letters.removeprefix("s"), sign=letters.startswith("s"))
        elif name.startswith("st"):
            self._store(slot, i, name[2:].removeprefix("x"), register=name.startswith("stx"))
        elif name.startswith("lock "):
            self._atomic(slot, i, name.removeprefix("lock "))
        elif row.targets or name in _ENDS:
            self._control(slot, i, row)
        else:
            self._compute(i, row)

    def _compute(self, i: Instruction, row: Opcode) -> None:
        moved = arithmetic.unary(self.text, row.mnemonic, self.take(i.dst), self.take(i.src))
        if moved is None:
            name, bits = _width_of(row.mnemonic)
            a, b = self._operands(i, row, bits)
            moved = arithmetic.widen(self.text, arithmetic.binary(self.text, name, a, b, bits), bits)
        self.give(i.dst, moved)

    def _operands(self, i: Instruction, row: Opcode, bits: int) -> tuple[str, str]:
        a = arithmetic.narrow(self.text, self.take(i.dst), bits)
        return a, str(i.imm) if "imm" in row.used else arithmetic.narrow(self.text, self.take(i.src), bits)

    # memory

    def _find(self, slot: int, register: int, offset: int, size: int, *, store: bool) -> str:
        """Return the pointer to what [register + offset] means; a fault ends the record."""
        address = self.text.new(f"add i64 {self.take(register)}, {offset}")
        call = f"call ptr @find{self.number}(ptr %vm, i64 {address}, i64 {size}, i1 {str(store).lower()})"
        pointer = self.text.new(call)
        self._stop_if(self.text.new(f"icmp eq ptr {pointer}, null"), slot)
        return pointer

    def _load(self, slot: int, i: Instruction, letters: str, *, sign: bool) -> None:
        bits = 8 * _SIZES[letters]
        loaded = self.text.load(self._find(slot, i.src, i.offset, bits // 8, store=False), bits)
        self.give(
            i.dst, self.text.new(f"sext i{bits} {loaded} to i64") if sign else arithmetic.widen(self.text, loaded, bits)
        )

    def _store(self, slot: int, i: Instruction, letters: str, *, register: bool) -> None:
        bits = 8 * _SIZES[letters]
        pointer = self._find(slot, i.dst, i.offset, bits // 8, store=True)
        low = arithmetic.narrow(self.text, self.take(i.src), bits) if register else str(i.imm & (1 << bits) - 1)
        self.text.store(pointer, low, bits)

    def _atomic(self, slot: int, i: Instruction, name: str) -> None:
        """No other lane sees this memory: load, compute, store."""
        name, bits = _width_of(name)
        pointer = self._find(slot, i.dst, i.offset, bits // 8, store=True)
        old = self.text.load(pointer, bits)
        source = arithmetic.narrow(self.text, self.take(i.src), bits)
        operation = name.removeprefix("fetch ")
        if operation == "cmpxchg":
            expected = arithmetic.narrow(self.text, self.take(0), bits)
            same = self.text.new(f"icmp eq i{bits} {old}, {expected}")
            new = self.text.new(f"select i1 {same}, i{bits} {source}, i{bits} {old}")
        else:
            new = arithmetic.binary(self.text, "mov" if operation == "xchg" else operation, old, source, bits)
        self.text.store(pointer, new, bits)
        if operation in ("xchg", "cmpxchg") or name != operation:
            self.give(0 if operation == "cmpxchg" else i.src, arithmetic.widen(self.text, old, bits))

    # control

    def _control(self, slot: int, i: Instruction, row: Opcode) -> None:
        self.open = False
        name = row.mnemonic
        if name == "exit":
            self._pay(slot + 1)
            self.text.do("br label %return")
        elif name == "call":
            self._call_helper(slot, str(i.imm))
        elif name == "call local":
            self._call(slot, str(slot + 1 + i.imm), f"s{slot + 1 + i.imm}")
        elif name == "callx":
            self._call_register(slot, self.take(i.dst))
        else:
            self._jump(slot, i, row)

    def _jump(self, slot: int, i: Instruction, row: Opcode) -> None:
        target = slot + 1 + int(getattr(i, row.targets))
        self_pay = row.mnemonic in ("ja", "ja32")
        if self_pay:
            self._pay(slot + 1)
            self._go(slot, target)
            return
        name, bits = _width_of(row.mnemonic)
        a, b = self._operands(i, row, bits)
        taken = arithmetic.condition(self.text, name, a, b, bits)
        self._pay(slot + 1)
        edge = self.text.fresh("taken")
        self.text.do(f"br i1 {taken}, label %{edge}, label %s{slot + 1}")
        self.text.label(edge)
        self._go(slot, target)

    def _go(self, slot: int, target: int) -> None:
        """Go to a slot; backward only with fuel."""
        if target <= slot:
            self._test(str(target))
        self.text.do(f"br label %s{target}")

    def _pay(self, behind: int) -> None:
        """Pay for the block up to slot `behind`."""
        if behind != self.begin:
            self.text.add("fuel", self.begin - behind)

    def _test(self, pc: str) -> None:
        """Fault where fuel has run out; pc: where the record stands then."""
        spent = self.text.new(f"icmp slt i64 {self.text.get('fuel')}, 0")
        out, on = self.text.fresh("empty"), self.text.fresh("on")
        self.text.do(f"br i1 {spent}, label %{out}, label %{on}")
        self.text.label(out)
        self.text.set("fault", int(Fault.FUEL))
        self.text.set("pc", pc)
        self.text.do("br label %stopped")
        self.text.label(on)

    def _stop_if(self, condition: str, slot: int) -> None:
        """End the record at `slot` where that holds; the state says why already."""
        bad, good = self.text.fresh("bad"), self.text.fresh("good")
        self.text.do(f"br i1 {condition}, label %{bad}, label %{good}")
        self.text.label(bad)
        self._stop(slot)
        self.text.label(good)

    def _stop(self, slot: int, fault: int | None = None, address: str = "0") -> None:
        if fault is not None:
            self.text.set("fault", fault)
            self.text.set("address", address)
        self._pay(slot)
        self.text.set("pc", slot)
        self.text.do("br label %stopped")

    # calls

    def _call_helper(self, slot: int, number: str) -> None:
        arguments = ", ".join(f"i64 {self.take(register)}" for register in range(1, 6))
        call = f"call i64 @helper{number}.{self.number}(ptr %vm, {arguments}, i64 {slot - self.begin})"
        self.text.set("extra", 0)
        result = self.text.new(call)
        self._stop_if(self.text.new(f"icmp ne i64 {self.text.get('fault')}, 0"), slot)
        self.give(0, result)
        self._pay(slot + 1)
        extra, costly = self.text.get("extra"), self.text.fresh("costly")
        self.text.do(f"br i1 {self.text.new(f'icmp eq i64 {extra}, 0')}, label %s{slot + 1}, label %{costly}")
        self.text.label(costly)
        self.text.add("fuel", self.text.new(f"sub i64 0, {extra}"))
        self._test(str(slot + 1))
        self.text.do(f"br label %s{slot + 1}")

    def _call(self, slot: int, target: str, label: str) -> None:
        """Push a frame, move r10, go."""
        text = self.text
        deep = text.get("depth")
        full, room = text.fresh("full"), text.fresh("room")
        text.do(f"br i1 {text.new(f'icmp eq i64 {deep}, {FRAMES - 1}')}, label %{full}, label %{room}")
        text.label(full)
        self._stop(slot, Fault.DEPTH)
        text.label(room)
        self._pay(slot + 1)
        frame = self._frame(deep)
        for at, value in enumerate((str(slot + 1), *(self.take(register) for register in range(6, 10)))):
            text.do(f"store i64 {value}, ptr {text.new(f'getelementptr i64, ptr {frame}, i64 {at}')}")
        text.add("depth", 1)
        self.give(10, text.new(f"sub i64 {self.take(10)}, {FRAME_BYTES}"))
        self._test(target)
        text.do(f"br label %{label}")

    def _frame(self, depth: str) -> str:
        at = self.text.new(f"mul i64 {depth}, {_FRAME_WORDS}")
        return self.text.new(f"getelementptr i64, ptr {self.text.place('frames')}, i64 {at}")

    def _pop(self, returns: list[int]) -> None:
        """Return to the function that called, or end the record."""
        text = self.text
        deep = text.get("depth")
        text.do(f"br i1 {text.new(f'icmp eq i64 {deep}, 0')}, label %done, label %pop")
        text.label("pop")
        less = text.add("depth", -1)
        frame = self._frame(less)
        words = [text.new(f"load i64, ptr {text.new(f'getelementptr i64, ptr {frame}, i64 {at}')}") for at in range(5)]
        for register, word in zip(range(6, 10), words[1:], strict=True):
            self.give(register, word)
        self.give(10, text.new(f"add i64 {self.take(10)}, {FRAME_BYTES}"))
        cases = " ".join(f"i64 {slot}, label %s{slot}" for slot in returns)
        text.do(f"switch i64 {words[0]}, label %stopped [ {cases} ]")

    def _call_register(self, slot: int, value: str) -> None:
        """callx: a number below 2**28 is a helper's, an address in CODE is a slot's."""
        text = self.text
        known = sorted(self.helpers)
        labels = {number: text.fresh(f"helper{number}") for number in known}
        host, none, code = text.fresh("host"), text.fresh("none"), text.fresh("code")
        others = sorted({helper.number for helper in HELPERS} - set(known))
        region = text.new(f"lshr i64 {value}, {REGION_SHIFT}")
        number = text.fresh("number")
        target = text.fresh("target")
        text.do(
            f"switch i64 {region}, label %{target} [ i64 0, label %{number} i64 {int(Region.CODE)}, label %{code} ]"
        )
        text.label(number)
        cases = [f"i64 {n}, label %{labels[n]}" for n in known] + [f"i64 {n}, label %{host}" for n in others]
        text.do(f"switch i64 {value}, label %{none} [ {' '.join(cases)} ]")
        for stop, fault in ((none, int(Fault.HELPER)), (host, STOPPED + Stop.HELPER), (target, int(Fault.TARGET))):
            text.label(stop)
            self._stop(slot, fault, value)
        for n in known:
            text.label(labels[n])
            self._call_helper(slot, str(n))
        text.label(code)
        to = text.new(f"and i64 {value}, {OFFSET_MASK}")
        begun = text.fresh("begun")
        starts = " ".join(f"i64 {s}, label %{begun}" for s, _, _ in self.rows)
        text.do(f"switch i64 {to}, label %{target} [ {starts} ]")
        text.label(begun)
        text.do(f"store i64 {to}, ptr %target")
        self._call(slot, to, "dispatch")

    def _dispatch(self) -> None:
        self.text.label("dispatch")
        to = self.text.new("load i64, ptr %target")
        cases = " ".join(f"i64 {slot}, label %s{slot}" for slot, _, _ in self.rows)
        self.text.do(f"switch i64 {to}, label %stopped [ {cases} ]")


def _width_of(mnemonic: str) -> tuple[str, int]:
    """Return name and bits of an arithmetic instruction, a jump or an atomic."""
    return (mnemonic.removesuffix("32"), 32) if mnemonic.endswith("32") else (mnemonic, 64)
