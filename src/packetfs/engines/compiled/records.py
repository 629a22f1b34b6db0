"""The functions made of a program: one runs record after record of a fixed size, one the record at hand."""

from __future__ import annotations

from typing import Final

from packetfs.engines.compiled.frame import Frame
from packetfs.engines.compiled.program import Program
from packetfs.engines.compiled.text import Cells, Text
from packetfs.vm.image import Image
from packetfs.vm.layout import CONTEXT

MANY: Final = "packetfs_records"
ONE: Final = "packetfs_record"
VERDICTS: Final = 6
_WEIGHTS: Final = '!0 = !{!"branch_weights", i32 1, i32 4000}'
_COUNTERS: Final = "<8 x i64>"
_PLACES: Final = "<i64 0, i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7>"
_AT: Final = {field.name: field.offset for field in CONTEXT}


def one_record(image: Image, places: dict[str, int]) -> str:
    """Return IR of `i32 packetfs_record(vm)`: the record that C has begun. Its r0 is in vm->r[0] when it is done."""
    text = Text()
    fields = Cells(text, places)
    begins, ends = fields.load("%vm", "record_start"), fields.load("%vm", "record_stop")
    length = text.new(f"sub i64 {ends}, {begins}")
    frame = Frame(text, places, image, length)
    frame.set(frame.start, begins)
    frame.set(frame.number, fields.load("%vm", "records"))
    frame.set(frame.entered, "true", "i1")
    frame.set(frame.read, "0")
    frame.look_again()
    frame.set(frame.limit, _limit(text, fields.load("%vm", "fuel"), fields.load("%vm", "slice")))
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
    _remember_fields(frame)
    text.do(f"ret i32 {frame.get(frame.kind, 'i32')}")
    return _function(ONE, text)


def _limit(text: Text, fuel: str, left: str) -> str:
    """Return how many slots a record may spend before fuel or slice end it: as in native/vm_execute.c."""
    less = text.new(f"icmp slt i64 {fuel}, {left}")
    return text.new(f"select i1 {less}, i64 {text.new(f'add i64 {fuel}, 1')}, i64 {left}")


def _remember_fields(frame: Frame) -> None:
    read = frame.fields.load("%vm", "fields_read")
    frame.fields.store("%vm", "fields_read", frame.text.new(f"or i64 {read}, {frame.get(frame.read)}"))


def _function(name: str, text: Text) -> str:
    declared = "\n".join(sorted(text.declared))
    return f"{declared}\ndefine i32 @{name}(ptr %vm) nounwind {{\n{text.body()}\n}}\n{_WEIGHTS}\n"


class _Many:
    """Appends the loop over records of `size` bytes that lie whole in the window."""

    def __init__(self, image: Image, places: dict[str, int], size: int) -> None:
        self.text = text = Text()
        self.size = size
        self.fields = fields = Cells(text, places)
        self.frame = Frame(text, places, image, str(size))
        self.done = text.cell("i64", "done")
        self.slice = text.cell("i64", "slice")
        self.result = text.cell("i64", "result")
        self.verdicts = text.cell(_COUNTERS, "verdicts")
        self.position = fields.load("%vm", "position")
        self.job = fields.load("%vm", "job", "ptr")
        self.window_start = fields.load(self.job, "job.window_start")
        self.records = fields.load("%vm", "records")
        self.executed = fields.load("%vm", "executed")
        self.slice_first = fields.load("%vm", "slice")
        self.fuel = fields.load(self.job, "job.fuel")
        self.frame.publish = self._publish

    def _publish(self) -> None:
        self.fields.store("%vm", "records", self._counted(self.records))
        self.fields.store("%vm", "executed", self._executed())

    def _counted(self, base: str) -> str:
        return self.text.new(f"add i64 {base}, {self.frame.get(self.done)}")

    def _executed(self) -> str:
        used = self.text.new(f"sub i64 {self.slice_first}, {self.frame.get(self.slice)}")
        return self.text.new(f"add i64 {self.executed}, {used}")

    def emit(self) -> str:
        text, frame = self.text, self.frame
        count = self._count()
        first = self._first_host()
        for cell, value in ((self.done, "0"), (self.slice, self.slice_first), (self.result, "0")):
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

    def _count(self) -> str:
        """Return how many records lie whole in the window and begin before the shard's end."""
        text, fields = self.text, self.fields
        window_end = text.new(f"add i64 {self.window_start}, {fields.load(self.job, 'job.window_size')}")
        before = text.new(f"icmp ult i64 {self.position}, {self.window_start}")
        behind = text.new(f"icmp ugt i64 {self.position}, {window_end}")
        room = text.new(f"udiv i64 {text.new(f'sub i64 {window_end}, {self.position}')}, {self.size}")
        left = text.new(f"sub i64 {fields.load('%vm', 'stop')}, {self.position}")
        before_last = text.new(f"udiv i64 {text.new(f'sub i64 {left}, 1')}, {self.size}")
        wanted = text.new(f"add i64 {before_last}, 1")
        less = text.new(f"icmp ult i64 {room}, {wanted}")
        count = text.new(f"select i1 {less}, i64 {room}, i64 {wanted}")
        return text.new(f"select i1 {text.new(f'or i1 {before}, {behind}')}, i64 0, i64 {count}")

    def _first_host(self) -> str:
        window = self.fields.load(self.job, "job.window", "ptr")
        into = self.text.new(f"sub i64 {self.position}, {self.window_start}")
        return self.text.new(f"getelementptr i8, ptr {window}, i64 {into}")

    def _begin(self, first: str) -> None:
        text, frame = self.text, self.frame
        behind = text.new(f"mul i64 {frame.get(self.done)}, {self.size}")
        frame.set(frame.start, text.new(f"add i64 {self.position}, {behind}"))
        frame.set(frame.number, self._counted(self.records))
        frame.set(frame.host, text.new(f"getelementptr i8, ptr {first}, i64 {behind}"), "ptr")
        frame.set(frame.entered, "false", "i1")
        frame.set(frame.limit, _limit(text, self.fuel, frame.get(self.slice)))

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
        fields.store("%vm", "fuel", text.new(f"sub i64 {self.fuel}, {frame.get(frame.spent)}"))
        fields.store("%vm", "spent", "0")
        self._publish()

    def _finish(self) -> None:
        """Write back what the loop kept in registers."""
        text, frame, fields = self.text, self.frame, self.fields
        done = frame.get(self.done)
        moved = text.new(f"mul i64 {done}, {self.size}")
        fields.store("%vm", "position", text.new(f"add i64 {self.position}, {moved}"))
        fields.store("%vm", "slice", frame.get(self.slice))
        counted = fields.load(self.job, "job.compiled")
        fields.store(self.job, "job.compiled", text.new(f"add i64 {counted}, {done}"))
        _remember_fields(frame)
        text.branch(text.new(f"icmp eq i64 {done}, 0"), "left", "verdicts")
        text.begin("verdicts")
        context = fields.load("%vm", "context", "ptr")
        at = text.new(f"getelementptr i8, ptr {context}, i64 {_AT['result']}")
        text.do(f"store i64 {frame.get(self.result)}, ptr {at}, align 8")
        verdicts = frame.get(self.verdicts, _COUNTERS)
        for index in range(VERDICTS):
            at = text.new(f"getelementptr i8, ptr {context}, i64 {_AT['verdicts'] + 8 * index}")
            more = text.new(f"extractelement {_COUNTERS} {verdicts}, i64 {index}")
            counted = text.new(f"add i64 {text.new(f'load i64, ptr {at}, align 8')}, {more}")
            text.do(f"store i64 {counted}, ptr {at}, align 8")
        text.jump("left")
        text.begin("left")
        text.do(f"ret i32 {frame.get(frame.kind, 'i32')}")


def many_records(image: Image, places: dict[str, int], size: int) -> str:
    """Return IR of `i32 packetfs_records(vm)`: records of `size` bytes, as many as lie whole in the window."""
    return _Many(image, places, size).emit()
