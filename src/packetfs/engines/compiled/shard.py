"""What a loop over the records of a shard begins with and leaves behind, whether it takes one at a time or a block."""

from __future__ import annotations

from packetfs.engines.lowering.text import Cells, Text
from packetfs.typing import Final, Sequence
from packetfs.vm.layout import CONTEXT

VERDICTS: Final = 6
WEIGHTS: Final = '!0 = !{!"branch_weights", i32 1, i32 4000}'
"""What UNLIKELY of text.py means."""
_AT: Final = {field.name: field.offset for field in CONTEXT}


class Shard:
    """Where the microVM stands when the loop begins; records have `size` bytes."""

    def __init__(self, text: Text, fields: Cells, size: int) -> None:
        self._text, self._fields, self._size = text, fields, size
        self.position: Final = fields.load("%vm", "position")
        self.job: Final = fields.load("%vm", "job", "ptr")
        self._window_start: Final = fields.load(self.job, "job.window_start")
        self.records: Final = fields.load("%vm", "records")
        self.executed: Final = fields.load("%vm", "executed")
        self.slice: Final = fields.load("%vm", "slice")
        self.fuel: Final = fields.load(self.job, "job.fuel")

    def count(self) -> str:
        """Return how many records lie whole in the window and begin before the shard's end."""
        text, fields, position = self._text, self._fields, self.position
        window_end = text.new(f"add i64 {self._window_start}, {fields.load(self.job, 'job.window_size')}")
        stop = fields.load("%vm", "stop")
        before = text.new(f"icmp ult i64 {position}, {self._window_start}")
        behind = text.new(f"icmp ugt i64 {position}, {window_end}")
        over = text.new(f"icmp uge i64 {position}, {stop}")
        room = text.new(f"udiv i64 {text.new(f'sub i64 {window_end}, {position}')}, {self._size}")
        left = text.new(f"sub i64 {stop}, {position}")
        before_last = text.new(f"udiv i64 {text.new(f'sub i64 {left}, 1')}, {self._size}")
        wanted = text.new(f"add i64 {before_last}, 1")
        less = text.new(f"icmp ult i64 {room}, {wanted}")
        count = text.new(f"select i1 {less}, i64 {room}, i64 {wanted}")
        none = text.new(f"or i1 {text.new(f'or i1 {before}, {behind}')}, {over}")
        return text.new(f"select i1 {none}, i64 0, i64 {count}")

    def first_host(self) -> str:
        """Return where the record at the position lies."""
        window = self._fields.load(self.job, "job.window", "ptr")
        into = self._text.new(f"sub i64 {self.position}, {self._window_start}")
        return self._text.new(f"getelementptr i8, ptr {window}, i64 {into}")

    def add_results(self, result: str, verdicts: Sequence[str]) -> None:
        """Put the last r0 into the context, and add to its verdict counters."""
        text = self._text
        context = self._fields.load("%vm", "context", "ptr")
        at = text.new(f"getelementptr i8, ptr {context}, i64 {_AT['result']}")
        text.do(f"store i64 {result}, ptr {at}, align 8")
        for index, more in enumerate(verdicts):
            at = text.new(f"getelementptr i8, ptr {context}, i64 {_AT['verdicts'] + 8 * index}")
            counted = text.new(f"add i64 {text.new(f'load i64, ptr {at}, align 8')}, {more}")
            text.do(f"store i64 {counted}, ptr {at}, align 8")

    def add_to_job(self, field: str, done: str) -> None:
        """Count records of one way to run them."""
        counted = self._fields.load(self.job, field)
        self._fields.store(self.job, field, self._text.new(f"add i64 {counted}, {done}"))


def limit_of(text: Text, fuel: str, left: str) -> str:
    """Return how many slots a record may spend before fuel or slice end it: as in native/vm_execute.c."""
    less = text.new(f"icmp slt i64 {fuel}, {left}")
    return text.new(f"select i1 {less}, i64 {text.new(f'add i64 {fuel}, 1')}, i64 {left}")


def remember_fields(text: Text, fields: Cells, read: str) -> None:
    """Add to what is known of the fields of the record context that were read."""
    known = fields.load("%vm", "fields_read")
    fields.store("%vm", "fields_read", text.new(f"or i64 {known}, {read}"))
