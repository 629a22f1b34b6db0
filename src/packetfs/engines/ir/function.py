"""The IR function of a program while it is written: registers, fuel, and the ways in which a record stops.

Fuel is paid by straight runs, at their end; where a program could go on for ever it is tested. Whatever stops a record
pays for the slots before it, says where it stands, and returns.
"""

from __future__ import annotations

from packetfs.engines.ir.text import Text
from packetfs.engines.lowering.arithmetic import Arithmetic
from packetfs.engines.lowering.graph import steps_of
from packetfs.engines.lowering.text import Shape
from packetfs.typing import Final, NamedTuple
from packetfs.vm.image import Image
from packetfs.vm.isa import REGISTERS
from packetfs.vm.layout import REGION_SHIFT, STACK_BYTES, Fault, Region

ENDS: Final = ("ja", "ja32", "exit", "call", "call local", "callx")
"""Instructions behind which a block begins; conditional jumps are others."""
CELLS: Final = ("%target", "%slot", "%unpaid")
"""What callx leaves for the blocks that all of them share."""
_STARTS: Final = {1: "%a1", 2: "%a2", 10: str((Region.STACK << REGION_SHIFT) + STACK_BYTES)}
"""What registers hold when a record begins; the others are 0."""


class Site(NamedTuple):
    """Where an instruction stands, as numbers or values: its slot, the slots of its run before it, the block behind."""

    slot: str
    unpaid: str
    behind: str


class Function:
    """Text with what all instructions need. begin: the slot where the straight run begins that is being written."""

    def __init__(self, number: int, image: Image) -> None:
        self.number, self.image, self.text = number, image, Text()
        self.arithmetic = Arithmetic(self.text, Shape())
        self.steps = steps_of(image)
        self.indirect = any(step.row.mnemonic == "callx" for step in self.steps)
        self.begins = self._begins()
        self.begin = image.entry

    def _begins(self) -> set[int]:
        """Return the slots where a block begins: targets, and what is behind jumps and calls; with callx, all."""
        found = {self.image.entry}
        for step in self.steps:
            if step.is_jump or step.is_local_call:
                found.add(step.target)
            if step.is_jump or step.row.mnemonic in ENDS or self.indirect:
                found.add(step.behind)
        return found

    def enter(self) -> None:
        """Begin with the registers of a new record."""
        self.text.begin("entry")
        for register in range(REGISTERS):
            self.text.do(f"%r{register} = alloca i64")
            self.give(register, _STARTS.get(register, "0"))
        for cell in CELLS if self.indirect else ():
            self.text.do(f"{cell} = alloca i64")
        self.text.jump(f"s{self.image.entry}")

    def leave(self) -> None:
        """End with r0, or with nothing where the record stopped."""
        self.text.begin("done")
        self.text.do(f"ret i64 {self.take(0)}")
        self.text.begin("stopped")
        self.text.do("ret i64 0")

    # registers

    def take(self, register: int) -> str:
        """Return the value of a register."""
        return self.text.new(f"load i64, ptr %r{register}")

    def give(self, register: int, value: str) -> None:
        """Put a value into a register."""
        self.text.do(f"store i64 {value}, ptr %r{register}")

    # fuel

    def pay(self, behind: int) -> None:
        """Pay for the straight run up to slot `behind`."""
        self.spend(str(behind - self.begin))

    def spend(self, slots: str) -> None:
        """Pay for so many slots."""
        if slots != "0":
            self.text.set("fuel", self.text.new(f"sub i64 {self.text.get('fuel')}, {slots}"))

    def test(self, pc: str) -> None:
        """Stop where fuel has run out; pc: where the record stands then."""
        spent = self.text.new(f"icmp slt i64 {self.text.get('fuel')}, 0")
        empty, on = self.split(spent, "empty")
        self.text.begin(empty)
        self.text.set("fault", int(Fault.FUEL))
        self.text.set("pc", pc)
        self.text.jump("stopped")
        self.text.begin(on)

    # stops

    def site(self, slot: int) -> Site:
        """Return where the instruction in a slot stands."""
        return Site(str(slot), str(slot - self.begin), f"s{slot + 1}")

    def split(self, condition: str, name: str) -> tuple[str, str]:
        """Branch on a condition; return the names of the blocks where it holds and where it does not."""
        yes, no = self.text.name(name), self.text.name(f"not_{name}")
        self.text.branch(condition, yes, no)
        return yes, no

    def stop_if(self, condition: str, site: Site, fault: int | None = None) -> None:
        """Stop where that holds, with this fault or the one that the state tells already."""
        bad, good = self.split(condition, "bad")
        self.text.begin(bad)
        self.stop(site, fault)
        self.text.begin(good)

    def stop(self, site: Site, fault: int | None = None, address: str = "0") -> None:
        """Stop before an instruction."""
        if fault is not None:
            self.text.set("fault", fault)
            self.text.set("address", address)
        self.spend(site.unpaid)
        self.text.set("pc", site.slot)
        self.text.jump("stopped")

    # memory

    def find(self, slot: int, register: int, offset: int, size: int, *, store: bool) -> str:
        """Return the pointer to what [register + offset] means; a fault stops the record."""
        address = self.text.new(f"add i64 {self.take(register)}, {offset}")
        arguments = f"ptr %vm, i64 {address}, i64 {size}, i1 {str(store).lower()}"
        pointer = self.text.new(f"call ptr @find{self.number}({arguments})")
        self.stop_if(self.text.new(f"icmp eq ptr {pointer}, null"), self.site(slot))
        return pointer
