"""Calls: functions of the program, whose frames lie where the interpreter has them, and helpers of the C core."""

from __future__ import annotations

from packetfs.engines.compiled.frame import HELPER, INDEX, Frame
from packetfs.engines.compiled.kinds import MAP_LOOKUP, Kind, State
from packetfs.engines.compiled.memory import Memory
from packetfs.engines.lowering.graph import Graph, Step
from packetfs.typing import Final
from packetfs.vm.image import ARRAYS, MapPlace
from packetfs.vm.layout import FRAME_BYTES, FRAMES, REGION_SHIFT, Region

_SAVED: Final = range(6, 10)
_POINTER: Final = 10
_CODE: Final = Region.CODE << REGION_SHIFT
_HANDLES: Final = Region.MAP << REGION_SHIFT


class Calls:
    """Appends calls of one record. `labels`: the block of each run; `done`: where a record ends."""

    def __init__(self, frame: Frame, memory: Memory, graph: Graph, labels: dict[int, str], done: str) -> None:
        self._frame = frame
        self._text = frame.text
        self._memory = memory
        self._graph = graph
        self._labels = labels
        self._done = done

    # functions of the program

    def call_local(self, step: Step, target: str, cost: int) -> None:
        """Enter the function at a slot, which may be a value; what it returns to is kept in its frame."""
        text, frame = self._text, self._frame
        depth = frame.get(frame.depth, "i32")
        text.unless(text.new(f"icmp eq i32 {depth}, {FRAMES - 1}"), frame.rare(step.slot, cost))
        at = self._frame_at(depth)
        text.do(f"store i64 {step.behind}, ptr {at}, align 8")
        for index, number in enumerate(_SAVED):
            place = text.new(f"getelementptr i8, ptr {at}, i64 {8 + 8 * index}")
            text.do(f"store i64 {frame.register(number)}, ptr {place}, align 8")
        frame.keep(_POINTER, text.new(f"sub i64 {frame.register(_POINTER)}, {FRAME_BYTES}"))
        frame.set(frame.depth, text.new(f"add i32 {depth}, 1"), "i32")
        frame.spend(cost + 1)
        if target.isdigit():
            self.test_fuel(int(target))
            text.jump(self._labels[int(target)])
            return
        for slot in sorted(self._graph.functions):
            here, other = text.name("function"), text.name("other")
            text.branch(text.new(f"icmp eq i64 {target}, {_CODE | slot}"), here, other)
            text.begin(here)
            self.test_fuel(slot)
            text.jump(self._labels[slot])
            text.begin(other)
        text.do("unreachable")

    def _frame_at(self, depth: str) -> str:
        text, fields = self._text, self._frame.fields
        behind = text.new(f"mul i64 {text.new(f'zext i32 {depth} to i64')}, {fields.offset('frame.bytes')}")
        return text.new(f"getelementptr i8, ptr {fields.at('%vm', 'frames')}, i64 {behind}")

    def test_fuel(self, slot: int) -> None:
        """Give up before the instruction in `slot` if what was spent reaches the limit."""
        text, frame = self._text, self._frame
        if not frame.safety.fuel:
            return
        over = text.new(f"icmp sge i64 {frame.get(frame.spent)}, {frame.get(frame.limit)}")
        text.unless(over, frame.limited(slot))

    def leave(self) -> None:
        """exit: the record is done, or the caller goes on."""
        text, frame = self._text, self._frame
        if not self._graph.returns:
            text.jump(self._done)
            return
        back = text.name("return")
        depth = frame.get(frame.depth, "i32")
        text.branch(text.new(f"icmp eq i32 {depth}, 0"), self._done, back)
        text.begin(back)
        outer = text.new(f"sub i32 {depth}, 1")
        frame.set(frame.depth, outer, "i32")
        at = self._frame_at(outer)
        slot = text.new(f"load i64, ptr {at}, align 8")
        for index, number in enumerate(_SAVED):
            place = text.new(f"getelementptr i8, ptr {at}, i64 {8 + 8 * index}")
            frame.keep(number, text.new(f"load i64, ptr {place}, align 8"))
        frame.keep(_POINTER, text.new(f"add i64 {frame.register(_POINTER)}, {FRAME_BYTES}"))
        nowhere = text.name("nowhere")
        targets = " ".join(f"i64 {slot}, label %{self._labels[slot]}" for slot in sorted(self._graph.returns))
        text.do(f"switch i64 {slot}, label %{nowhere} [{targets}]")
        text.begin(nowhere)
        text.do("unreachable")

    def call_by_register(self, step: Step, value: str, cost: int) -> None:
        """callx: a helper by its number, a function by its address; anything else is rare. Ends the block."""
        text, frame = self._text, self._frame
        function, number, helper = text.name("function"), text.name("number"), text.name("helper")
        known = "false"
        for slot in sorted(self._graph.functions):
            known = text.new(f"or i1 {known}, {text.new(f'icmp eq i64 {value}, {_CODE | slot}')}")
        text.branch(known, function, number)
        text.begin(function)
        self.call_local(step, value, cost)
        text.begin(number)
        index = frame.service(INDEX, "i32", f"i64 {value}")
        text.branch(text.new(f"icmp slt i32 {index}, 0"), frame.rare(step.slot, cost), helper)
        text.begin(helper)
        self._call_helper(step, index, cost)
        frame.spend(cost + 1)
        text.jump(self._labels[step.behind])

    # helpers

    def call_helper(self, step: Step, kinds: State, cost: int) -> None:
        """call: a helper by its number; look-ups in arrays need none."""
        array = self._array(step, kinds[1])
        if array is not None:
            self._look_up(step, array, kinds, cost)
            return
        self._call_helper(step, str(self._frame.fields.offset(f"helper.{step.instruction.imm}")), cost)

    def _call_helper(self, step: Step, index: str, cost: int) -> None:
        text, frame, fields = self._text, self._frame, self._frame.fields
        frame.enter()
        for number in range(6):
            fields.store("%vm", "r", frame.register(number), more=8 * number)
        spent = text.new(f"add i64 {frame.get(frame.spent)}, {cost}")
        fields.store("%vm", "spent", spent)
        stop = frame.service(HELPER, "i32", f"ptr %vm, i32 {index}")
        text.unless(text.new(f"icmp ne i32 {stop}, 0"), frame.rare(step.slot, cost))
        frame.keep(0, fields.load("%vm", "r"))
        frame.look_again()
        self._pay(step, fields.load("%vm", "extra"), cost)

    def _pay(self, step: Step, extra: str, cost: int) -> None:
        """Add what a helper costs beside its own slot; then fuel is tested behind it."""
        text, frame = self._text, self._frame
        paid, on = text.name("pay"), text.name("on")
        text.branch(text.new(f"icmp eq i64 {extra}, 0"), on, paid)
        text.begin(paid)
        frame.fields.store("%vm", "extra", "0")
        frame.set(frame.spent, text.new(f"add i64 {frame.get(frame.spent)}, {extra}"))
        behind = text.new(f"add i64 {frame.get(frame.spent)}, {cost + 1}")
        spend = text.name("spend")
        text.branch(text.new(f"icmp sge i64 {behind}, {frame.get(frame.limit)}"), spend, on, unlikely=True)
        text.begin(spend)
        frame.set(frame.spent, behind)
        text.jump(frame.limited(step.behind))
        text.begin(on)

    def _array(self, step: Step, handle: Kind) -> tuple[int, MapPlace] | None:
        """Return the array in which helper 1 looks, if the handle is known."""
        if step.instruction.imm != MAP_LOOKUP or handle.region is not Region.MAP or handle.offset is None:
            return None
        if handle.offset >= len(self._frame.image.maps):
            return None
        place = self._frame.image.maps[handle.offset]
        return (handle.offset, place) if place.type in ARRAYS and place.key_size == 4 else None

    def _look_up(self, step: Step, array: tuple[int, MapPlace], kinds: State, cost: int) -> None:
        text, frame = self._text, self._frame
        index, place = array
        other = text.new(f"icmp ne i64 {frame.register(1)}, {_HANDLES | index}")
        text.unless(other, frame.rare(step.slot, cost))
        key = self._memory.load_plain(step, kinds[2], frame.register(2), 4, cost)
        at = text.new(f"add i64 {text.new(f'mul i64 {key}, {place.stride}')}, {place.address}")
        held = text.new(f"icmp ult i64 {key}, {place.max_entries}")
        frame.keep(0, text.new(f"select i1 {held}, i64 {at}, i64 0"))
