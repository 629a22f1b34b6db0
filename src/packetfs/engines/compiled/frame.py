"""What the code of one record works with: registers and counters as cells, where the record lies, how it gives up."""

from __future__ import annotations

from packetfs.engines.lowering.arithmetic import Arithmetic
from packetfs.engines.lowering.safety import SAFE, Safety
from packetfs.engines.lowering.text import Cells, Shape, Text
from packetfs.typing import Callable, Final
from packetfs.vm.image import Image
from packetfs.vm.isa import REGISTERS
from packetfs.vm.layout import STACK_BYTES

LOAD, STORE, WRITABLE, HELPER, ENTER, LEAVE, INDEX = range(7)
"""What machine code calls: enum pfs_vm_service in native/vm.h."""
BETWEEN, RARE, LIMITED = range(3)
"""enum pfs_vm_left."""


class Frame:
    """The cells of one record, and the rare ways out of it.

    `length`: bytes of the record, a number or a value. `publish`: appends what makes the context of the microVM
    current before C looks at it. `entered` is true once the C core has begun the record too, which it does for what is
    rare only, unless it has `begun` each one before.
    """

    def __init__(
        self, text: Text, places: dict[str, int], image: Image, length: str,
        safety: Safety = SAFE, *, begun: bool = False,
    ) -> None:  # fmt: skip
        self._begun: Final = begun
        self.text: Final = text
        self.shape: Final = Shape()
        self.arithmetic: Final = Arithmetic(text, self.shape)
        self.fields: Final = Cells(text, places)
        self.image: Final = image
        self.length: Final = length
        self.safety: Final = safety
        self.publish: Callable[[], None] = lambda: None
        self.registers: Final = [text.cell("i64", f"r{r}_") for r in range(REGISTERS)]
        self.spent: Final = text.cell("i64", "spent")
        self.limit: Final = text.cell("i64", "limit")
        self.low: Final = text.cell("i64", "low")
        self.read: Final = text.cell("i64", "read")
        self.host: Final = text.cell("ptr", "host")
        self.start: Final = text.cell("i64", "start")
        self.number: Final = text.cell("i64", "number")
        self.entered: Final = text.cell("i1", "entered")
        self.depth: Final = text.cell("i32", "depth")
        self.pc: Final = text.cell("i32", "pc")
        self.kind: Final = text.cell("i32", "left")
        self._outs: Final[list[tuple[str, int, int, int]]] = []

    # cells

    def get(self, cell: str, kind: str = "i64") -> str:
        return self.text.new(f"load {kind}, ptr {cell}")

    def set(self, cell: str, value: str, kind: str = "i64") -> None:
        self.text.do(f"store {kind} {value}, ptr {cell}")

    def register(self, number: int) -> str:
        return self.get(self.registers[number])

    def keep(self, number: int, value: str) -> None:
        self.set(self.registers[number], value)

    def spend(self, slots: int) -> None:
        """Count slots that were executed."""
        if self.safety.fuel:
            self.set(self.spent, self.text.new(f"add i64 {self.get(self.spent)}, {slots}"))

    # the C core

    def service(self, number: int, kind: str, arguments: str) -> str:
        """Call a function of the C core."""
        table = self.fields.load("%vm", "services", "ptr")
        at = self.text.new(f"getelementptr ptr, ptr {table}, i64 {number}")
        function = self.text.new(f"load ptr, ptr {at}")
        if kind == "void":
            self.text.do(f"call void {function}({arguments})")
            return ""
        return self.text.new(f"call {kind} {function}({arguments})")

    def enter(self) -> None:
        """See to it that C has begun the record, and knows how much of the stack is used."""
        if not self._begun:
            self._begin_late()
        low = self.text.new(f"trunc i64 {self.get(self.low)} to i32")
        self.fields.store("%vm", "stack_low", low, "i32")

    def _begin_late(self) -> None:
        text = self.text
        begin, on = text.name("enter"), text.name("entered")
        text.branch(self.get(self.entered, "i1"), on, begin)
        text.begin(begin)
        self.publish()
        self.service(ENTER, "void", f"ptr %vm, i64 {self.get(self.start)}")
        self.set(self.entered, "true", "i1")
        text.jump(on)
        text.begin(on)

    def look_again(self) -> None:
        """Take over what a call may have changed: the stack in use, and where the record lies."""
        low = self.fields.load("%vm", "stack_low", "i32")
        self.set(self.low, self.text.new(f"zext i32 {low} to i64"))
        loads = self.fields.offset("loads") + 3 * self.fields.offset("range.bytes")
        at = self.text.new(f"getelementptr i8, ptr %vm, i64 {loads + self.fields.offset('range.host')}")
        self.set(self.host, self.text.new(f"load ptr, ptr {at}"), "ptr")

    # ways out

    def rare(self, slot: int, cost: int) -> str:
        """Return a block that leaves the record to the interpreter, before the instruction in `slot`."""
        return self._way_out(slot, cost, RARE)

    def limited(self, slot: int) -> str:
        """Return a block for fuel or slice that are used up, with `slot` as the next instruction."""
        return self._way_out(slot, 0, LIMITED)

    def _way_out(self, slot: int, cost: int, kind: int) -> str:
        label = self.text.name("out")
        self._outs.append((label, slot, cost, kind))
        return label

    def emit_ways_out(self, gone: str) -> None:
        """Append the blocks that `rare` and `limited` named; all end in `gone`, behind which the context is current."""
        text, fields = self.text, self.fields
        common = text.name("leave")
        for label, slot, cost, kind in self._outs:
            text.begin(label)
            self.set(self.pc, str(slot), "i32")
            self.set(self.kind, str(kind), "i32")
            if cost:
                self.spend(cost)
            text.jump(common)
        text.begin(common)
        self.enter()
        for number in range(REGISTERS):
            fields.store("%vm", "r", self.register(number), more=8 * number)
        fields.store("%vm", "pc", self.get(self.pc, "i32"), "i32")
        fields.store("%vm", "depth", self.get(self.depth, "i32"), "i32")
        fields.store("%vm", "spent", self.get(self.spent))
        text.jump(gone)

    def clean(self) -> None:
        """The stack of the next record is zero again, and C has left this one."""
        text = self.text
        low = self.get(self.low)
        entered, unseen, clear, on = (text.name(what) for what in ("leave", "unseen", "clear", "clean"))
        text.branch(self.get(self.entered, "i1"), entered, unseen, unlikely=True)
        text.begin(entered)
        self.fields.store("%vm", "stack_low", text.new(f"trunc i64 {low} to i32"), "i32")
        self.service(LEAVE, "void", "ptr %vm")
        text.jump(on)
        text.begin(unseen)
        text.branch(text.new(f"icmp ult i64 {low}, {STACK_BYTES}"), clear, on)
        text.begin(clear)
        at = text.new(f"getelementptr i8, ptr {self.fields.at('%vm', 'stack')}, i64 {low}")
        size = text.new(f"sub i64 {STACK_BYTES}, {low}")
        text.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        text.do(f"call void @llvm.memset.p0.i64(ptr {at}, i8 0, i64 {size}, i1 false)")
        text.jump(on)
        text.begin(on)
