"""The functions made of a program: one runs block after block of records of a fixed size, one a record alone."""

from __future__ import annotations

from packetfs.engines.compiled.shard import VERDICTS, WEIGHTS, Shard, limit_of, remember_fields
from packetfs.engines.lanes.cells import ALL, NUMBERS, ROLLBACK, VECTOR, WORDS, Block
from packetfs.engines.lanes.facts import Facts
from packetfs.engines.lanes.fuel import Fuel
from packetfs.engines.lanes.memory import Memory
from packetfs.engines.lanes.program import Program
from packetfs.engines.lanes.rows import fetch_ahead, take_records
from packetfs.engines.lanes.shape import ALONE, BLOCKS, LANES, POSITION, RECORD_MAX
from packetfs.engines.lanes.stack import stack_low
from packetfs.engines.lowering.graph import make_graph
from packetfs.engines.lowering.safety import SAFE, Safety
from packetfs.engines.lowering.text import Cells, Text
from packetfs.typing import Final
from packetfs.vm.image import Image
from packetfs.vm.layout import STACK_BYTES

FINISHED, DROPPED = 0, 1
_WIDE: Final = 'attributes #0 = { nounwind "min-legal-vector-width"="512" "prefer-vector-width"="512" }'


def _function(name: str, text: Text, more: str = "") -> str:
    declared = "\n".join(sorted(text.declared))
    body = f"define i32 @{name}(ptr %vm) #0 {{\n{text.body()}\n}}"
    return f"{more}{declared}\n{body}\n{_WIDE}\n{WEIGHTS}\n"


def _memset(text: Text, at: str, size: int) -> None:
    text.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    text.do(f"call void @llvm.memset.p0.i64(ptr align 8 {at}, i8 0, i64 {size}, i1 false)")


def _memory(text: Text, block: Block, record_rows: int) -> tuple[Memory, str, str]:
    """Return memory, and the cells of its rows: of records, and of stacks."""
    rows = text.cell(f"[{record_rows + 1} x {WORDS}]", "rows")
    stack = text.cell(f"[{STACK_BYTES // 8 + 1} x {WORDS}]", "stack")
    return Memory(block, rows, stack), rows, stack


def _clear(text: Text, facts: Facts, stack: str) -> None:
    low = stack_low(facts) // 8
    if low < STACK_BYTES // 8:
        at = text.new(f"getelementptr i8, ptr {stack}, i64 {low * 8 * LANES}")
        _memset(text, at, (STACK_BYTES // 8 - low) * 8 * LANES)


class _Blocks:
    """Appends the loop over blocks of records of `size` bytes that lie whole in the window."""

    def __init__(self, image: Image, places: dict[str, int], size: int, safety: Safety) -> None:
        self.text = text = Text()
        self.size = size
        self.block = Block(text, places, image, str(size), ALL, safety)
        self.facts = Facts(make_graph(image), image, known_length=True)
        self.fields = fields = Cells(text, places)
        self.done = text.cell("i64", "done")
        self.slice = text.cell("i64", "slice")
        self.kind = text.cell("i32", "kind")
        self.last = text.cell("i64", "last")
        self.result = text.cell("i64", "result")
        self.verdicts = [text.cell(WORDS, "verdict") for _ in range(VERDICTS - 1)]
        self.shard = Shard(text, fields, size)

    def emit(self) -> str:
        text, block = self.text, self.block
        memory, rows, stack = _memory(text, block, -(-self.size // 8))
        count = text.new(f"and i64 {self.shard.count()}, {-LANES}")
        first = self.shard.first_host()
        for cell, value in ((self.done, "0"), (self.slice, self.shard.slice), (self.result, "0"), (self.last, "0")):
            block.set(cell, value)
        for cell in self.verdicts:
            block.set(cell, "zeroinitializer", WORDS)
        block.set(block.read, "0")
        block.set(block.stride, str(self.size))
        read = text.cell("i64", "read_before")
        text.jump("more")
        text.begin("more")
        block.set(self.kind, str(FINISHED), "i32")
        done = block.get(self.done)
        text.branch(text.new(f"icmp ult i64 {done}, {count}"), "block", "gone")
        text.begin("block")
        block.set(read, block.get(block.read))
        behind = text.new(f"mul i64 {done}, {self.size}")
        block.set(block.start, text.new(f"add i64 {self.shard.position}, {behind}"))
        block.set(block.index, text.new(f"add i64 {self.shard.records}, {done}"))
        host = text.new(f"getelementptr i8, ptr {first}, i64 {behind}")
        fetch_ahead(text, host, self.size)
        take_records(text, rows, host, self.size)
        _clear(text, self.facts, stack)
        program = Program(block, memory, self.facts, "done")
        block.set(program.fuel.limit, limit_of(text, self.shard.fuel, block.get(self.slice)))
        program.begin()
        program.emit()
        text.begin("done")
        self._commit(program.fuel)
        text.begin(ROLLBACK)
        block.set(block.read, block.get(read))
        block.set(self.kind, str(DROPPED), "i32")
        text.jump("gone")
        text.begin("gone")
        self._finish()
        return _function(BLOCKS, text)

    def _commit(self, fuel: Fuel) -> None:
        """The block went well if all of it fits the slice: then it counts, and the next one begins."""
        text, block = self.text, self.block
        left = text.new(f"sub i64 {block.get(self.slice)}, {fuel.total()}")
        text.unless(text.new(f"icmp sle i64 {left}, 0"), ROLLBACK)
        block.set(self.slice, left)
        block.set(self.last, fuel.of_last())
        results = block.get(block.vectors[0], WORDS)
        block.set(self.result, text.new(f"extractelement {WORDS} {results}, i64 {LANES - 1}"))
        for verdict, cell in enumerate(self.verdicts):
            same = block.vector.compare("eq", results, VECTOR.constant(verdict))
            one = block.vector.extend(same, 1)
            block.set(cell, text.new(f"add {WORDS} {block.get(cell, WORDS)}, {one}"), WORDS)
        block.set(self.done, text.new(f"add i64 {block.get(self.done)}, {LANES}"))
        text.jump("more")

    def _finish(self) -> None:
        """Write back what the loop kept in registers."""
        text, block, fields = self.text, self.block, self.fields
        fields.store("%vm", "spent", "0")
        done = block.get(self.done)
        text.branch(text.new(f"icmp eq i64 {done}, 0"), "left", "behind")
        text.begin("behind")
        position = text.new(f"add i64 {self.shard.position}, {text.new(f'mul i64 {done}, {self.size}')}")
        fields.store("%vm", "position", position)
        fields.store("%vm", "record_stop", position)
        fields.store("%vm", "record_start", text.new(f"sub i64 {position}, {self.size}"))
        fields.store("%vm", "fuel", text.new(f"sub i64 {self.shard.fuel}, {block.get(self.last)}"))
        left = block.get(self.slice)
        fields.store("%vm", "slice", left)
        used = text.new(f"sub i64 {self.shard.slice}, {left}")
        fields.store("%vm", "executed", text.new(f"add i64 {self.shard.executed}, {used}"))
        fields.store("%vm", "records", text.new(f"add i64 {self.shard.records}, {done}"))
        self.shard.add_to_job("job.lanes", done)
        remember_fields(text, block.fields, block.get(block.read))
        self.shard.add_results(block.get(self.result), self._verdicts(done))
        text.jump("left")
        text.begin("left")
        text.do(f"ret i32 {block.get(self.kind, 'i32')}")

    def _verdicts(self, done: str) -> list[str]:
        """Return how many records had each verdict."""
        text, block = self.text, self.block
        name, others = f"@llvm.vector.reduce.add.v{LANES}i64", done
        counts = []
        for cell in self.verdicts:
            more = text.call(f"declare i64 {name}({WORDS})", f"call i64 {name}({WORDS} {block.get(cell, WORDS)})")
            counts.append(more)
            others = text.new(f"sub i64 {others}, {more}")
        return [*counts, others]


def blocks_of_records(image: Image, places: dict[str, int], size: int, safety: Safety = SAFE) -> str:
    """Return IR of `i32 packetfs_lanes(vm)`: blocks of records of `size` bytes, until one has to be dropped."""
    return _Blocks(image, places, size, safety).emit()


def record_alone(image: Image, places: dict[str, int]) -> str:
    """Return IR of `i32 packetfs_lane(vm)`: the record that C has begun, alone in lane `packetfs_position`."""
    text = Text()
    fields = Cells(text, places)
    lane = text.new(f"load i64, ptr @{POSITION}")
    one = text.new(f"insertelement {WORDS} poison, i64 {lane}, i64 0")
    wanted = text.new(f"shufflevector {WORDS} {one}, {WORDS} poison, <{LANES} x i32> zeroinitializer")
    everyone = text.new(f"icmp eq {WORDS} {wanted}, {NUMBERS}")
    begins, ends = fields.load("%vm", "record_start"), fields.load("%vm", "record_stop")
    length = text.new(f"sub i64 {ends}, {begins}")
    block = Block(text, places, image, length, everyone)
    facts = Facts(make_graph(image), image, known_length=False)
    memory, rows, stack = _memory(text, block, RECORD_MAX // 8)
    block.set(block.read, "0")
    text.unless(text.new(f"icmp ugt i64 {length}, {RECORD_MAX}"), ROLLBACK)
    block.set(block.start, begins)
    block.set(block.stride, "0")
    block.set(block.index, text.new(f"sub i64 {fields.load('%vm', 'records')}, {lane}"))
    _take_alone(text, fields, rows, lane, length)
    _clear(text, facts, stack)
    program = Program(block, memory, facts, "done")
    block.set(program.fuel.limit, limit_of(text, fields.load("%vm", "fuel"), fields.load("%vm", "slice")))
    program.begin()
    program.emit()
    text.begin("done")
    result = text.new(f"extractelement {WORDS} {block.get(block.vectors[0], WORDS)}, i64 {lane}")
    fields.store("%vm", "r", result)
    fields.store("%vm", "spent", program.fuel.of_only())
    remember_fields(text, block.fields, block.get(block.read))
    text.do(f"ret i32 {FINISHED}")
    text.begin(ROLLBACK)
    fields.store("%vm", "spent", "0")
    text.do(f"ret i32 {DROPPED}")
    return _function(ALONE, text, f"@{POSITION} = global i64 0\n")


def _take_alone(text: Text, fields: Cells, rows: str, lane: str, length: str) -> None:
    """Put a record into its lane, zero in all others."""
    whole = text.cell(f"[{RECORD_MAX + 8} x i8]", "record")
    at = text.cell("i64", "at")
    _memset(text, rows, (RECORD_MAX // 8 + 1) * 8 * LANES)
    _memset(text, whole, RECORD_MAX + 8)
    loads = fields.offset("loads") + 3 * fields.offset("range.bytes") + fields.offset("range.host")
    host = text.new(f"load ptr, ptr {text.new(f'getelementptr i8, ptr %vm, i64 {loads}')}")
    text.declared.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    text.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {whole}, ptr {host}, i64 {length}, i1 false)")
    text.do(f"store i64 0, ptr {at}")
    text.jump("take")
    text.begin("take")
    row = text.new(f"load i64, ptr {at}")
    word = text.new(f"load i64, ptr {text.new(f'getelementptr i64, ptr {whole}, i64 {row}')}, align 1")
    place = text.new(f"add i64 {text.new(f'mul i64 {row}, {LANES}')}, {lane}")
    text.do(f"store i64 {word}, ptr {text.new(f'getelementptr i64, ptr {rows}, i64 {place}')}, align 8")
    behind = text.new(f"add i64 {row}, 1")
    text.do(f"store i64 {behind}, ptr {at}")
    text.branch(text.new(f"icmp ult i64 {behind}, {RECORD_MAX // 8}"), "take", "taken")
    text.begin("taken")
