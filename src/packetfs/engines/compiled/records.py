"""The functions made of a program: one runs record after record of a fixed size, one the record at hand."""

from __future__ import annotations

from packetfs.engines.compiled.frame import Frame
from packetfs.engines.compiled.program import Program
from packetfs.engines.compiled.recipe import MANY, ONE
from packetfs.engines.compiled.shard import VERDICTS, WEIGHTS, Shard, limit_of, remember_fields
from packetfs.engines.lowering.safety import SAFE, Safety
from packetfs.engines.lowering.text import Cells, Text
from packetfs.typing import Final
from packetfs.vm.image import Image

_COUNTERS: Final = "<8 x i64>"
_PLACES: Final = "<i64 0, i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7>"


def one_record(image: Image, places: dict[str, int]) -> str:
    """Return IR of `i32 packetfs_record(vm)`: the record that C has begun. Its r0 is in vm->r[0] when it is done."""
    text = Text()
    fields = Cells(text, places)
    begins, ends = fields.load("%vm", "record_start"), fields.load("%vm", "record_stop")
    length = text.new(f"sub i64 {ends}, {begins}")
    frame = Frame(text, places, image, length, begun=True)
    frame.set(frame.start, begins)
    frame.set(frame.number, fields.load("%vm", "records"))
    frame.set(frame.read, "0")
    frame.look_again()
    frame.set(frame.limit, limit_of(text, fields.load("%vm", "fuel"), fields.load("%vm", "slice")))
    program = Program(frame, "done")
    program.begin()
    program.emit()
    text.begin("done")
    fields.store("%vm", "r", frame.register(0))
    fields.store("%vm", "spent", frame.get(frame.spent))
    frame.enter()
    frame.set(frame.kind, "0", "i32")
    text.jump("gone")
    frame.emit_ways_out("gone")
    text.begin("gone")
    remember_fields(text, fields, frame.get(frame.read))
    text.do(f"ret i32 {frame.get(frame.kind, 'i32')}")
    return _function(ONE, text)


def _function(name: str, text: Text) -> str:
    declared = "\n".join(sorted(text.declared))
    return f"{declared}\ndefine i32 @{name}(ptr %vm) nounwind {{\n{text.body()}\n}}\n{WEIGHTS}\n"


class _Many:
    """Appends the loop over records of `size` bytes that lie whole in the window."""

    def __init__(self, image: Image, places: dict[str, int], size: int, safety: Safety) -> None:
        self.text = text = Text()
        self.size = size
        self.fields = fields = Cells(text, places)
        self.frame = Frame(text, places, image, str(size), safety)
        self.done = text.cell("i64", "done")
        self.slice = text.cell("i64", "slice")
        self.result = text.cell("i64", "result")
        self.verdicts = text.cell(_COUNTERS, "verdicts")
        self.shard = Shard(text, fields, size)
        self.frame.publish = self._publish

    def _publish(self) -> None:
        self.fields.store("%vm", "records", self._counted(self.shard.records))
        self.fields.store("%vm", "executed", self._executed())

    def _counted(self, base: str) -> str:
        return self.text.new(f"add i64 {base}, {self.frame.get(self.done)}")

    def _executed(self) -> str:
        used = self.text.new(f"sub i64 {self.shard.slice}, {self.frame.get(self.slice)}")
        return self.text.new(f"add i64 {self.shard.executed}, {used}")

    def emit(self) -> str:
        text, frame = self.text, self.frame
        count, first = self.shard.count(), self.shard.first_host()
        for cell, value in ((self.done, "0"), (self.slice, self.shard.slice), (self.result, "0")):
            frame.set(cell, value)
        frame.set(self.verdicts, "zeroinitializer", _COUNTERS)
        frame.set(frame.read, "0")
        frame.set(frame.kind, "0", "i32")
        frame.set(frame.spent, "0")
        text.branch(text.new(f"icmp eq i64 {count}, 0"), "none", "record")
        text.begin("record")
        program = Program(frame, "done")
        self._begin(first)
        program.begin()
        program.emit()
        text.begin("done")
        self._count_record(count)
        frame.emit_ways_out("gone")
        text.begin("between")
        self._last_record()
        text.jump("gone")
        text.begin("gone")
        self._finish()
        text.begin("none")
        self.fields.store("%vm", "spent", "0")
        text.do("ret i32 0")
        return _function(MANY, text)

    def _begin(self, first: str) -> None:
        text, frame = self.text, self.frame
        behind = text.new(f"mul i64 {frame.get(self.done)}, {self.size}")
        frame.set(frame.start, text.new(f"add i64 {self.shard.position}, {behind}"))
        frame.set(frame.number, self._counted(self.shard.records))
        frame.set(frame.host, text.new(f"getelementptr i8, ptr {first}, i64 {behind}"), "ptr")
        frame.set(frame.entered, "false", "i1")
        frame.set(frame.limit, limit_of(text, self.shard.fuel, frame.get(self.slice)))

    def _count_record(self, count: str) -> None:
        """One more is done. Verdicts are counted in a register: a counter in memory costs more than a filter does."""
        text, frame = self.text, self.frame
        frame.clean()
        result = frame.register(0)
        frame.set(self.result, result)
        function = "@llvm.umin.i64"
        which = text.call(f"declare i64 {function}(i64, i64)", f"call i64 {function}(i64 {result}, i64 {VERDICTS - 1})")
        one = text.new(f"insertelement {_COUNTERS} poison, i64 {which}, i64 0")
        every = text.new(f"shufflevector {_COUNTERS} {one}, {_COUNTERS} poison, <8 x i32> zeroinitializer")
        here = text.new(f"zext <8 x i1> {text.new(f'icmp eq {_COUNTERS} {every}, {_PLACES}')} to {_COUNTERS}")
        counted = text.new(f"add {_COUNTERS} {frame.get(self.verdicts, _COUNTERS)}, {here}")
        frame.set(self.verdicts, counted, _COUNTERS)
        frame.set(self.slice, text.new(f"sub i64 {frame.get(self.slice)}, {frame.get(frame.spent)}"))
        done = text.new(f"add i64 {frame.get(self.done)}, 1")
        frame.set(self.done, done)
        more = text.new(f"icmp ult i64 {done}, {count}")
        left = text.new(f"icmp sgt i64 {frame.get(self.slice)}, 0")
        text.branch(text.new(f"and i1 {more}, {left}"), "record", "between")

    def _last_record(self) -> None:
        """Leave the context as it is behind a record."""
        text, frame, fields = self.text, self.frame, self.fields
        start = frame.get(frame.start)
        fields.store("%vm", "record_start", start)
        fields.store("%vm", "record_stop", text.new(f"add i64 {start}, {self.size}"))
        fields.store("%vm", "fuel", text.new(f"sub i64 {self.shard.fuel}, {frame.get(frame.spent)}"))
        fields.store("%vm", "spent", "0")
        self._publish()

    def _finish(self) -> None:
        """Write back what the loop kept in registers."""
        text, frame, fields = self.text, self.frame, self.fields
        done = frame.get(self.done)
        moved = text.new(f"mul i64 {done}, {self.size}")
        fields.store("%vm", "position", text.new(f"add i64 {self.shard.position}, {moved}"))
        fields.store("%vm", "slice", frame.get(self.slice))
        self.shard.add_to_job("job.compiled", done)
        remember_fields(text, fields, frame.get(frame.read))
        text.branch(text.new(f"icmp eq i64 {done}, 0"), "left", "verdicts")
        text.begin("verdicts")
        verdicts = frame.get(self.verdicts, _COUNTERS)
        each = [text.new(f"extractelement {_COUNTERS} {verdicts}, i64 {index}") for index in range(VERDICTS)]
        self.shard.add_results(frame.get(self.result), each)
        text.jump("left")
        text.begin("left")
        text.do(f"ret i32 {frame.get(frame.kind, 'i32')}")


def many_records(image: Image, places: dict[str, int], size: int, safety: Safety = SAFE) -> str:
    """Return IR of `i32 packetfs_records(vm)`: records of `size` bytes, as many as lie whole in the window."""
    return _Many(image, places, size, safety).emit()
