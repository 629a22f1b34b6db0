"""Text of LLVM IR, with the fields of the state that all functions of a program share.

In text written by hand, `%x = get FIELD` and `set FIELD VALUE` read and write the state behind `%vm`.
"""

from __future__ import annotations

import re

from packetfs.engines.lowering.text import Text as Function
from packetfs.typing import Final

STATE: Final = {
    "record": "ptr", "length": "i64", "maps": "ptr", "stack": "ptr", "stack_low": "i64", "reserve": "ptr",
    "reserved": "i64", "out": "ptr", "room": "i64", "emitted": "i64", "granted": "i64", "fuel": "i64", "extra": "i64",
    "random": "i64", "fault": "i64", "address": "i64", "pc": "i64", "depth": "i64", "context": "[64 x i8]",
    "frames": "[35 x i64]",
}  # fmt: skip
"""What is known of the microVM and the record that it runs. reserve: room that helpers 131 to 133 give. room: of `out`.
extra: slots that the last helper costs beside its own. address: what could not be reached. context: the record context.
frames: return slot and r6 to r9 of functions that wait."""
STATE_TYPE: Final = f"%state = type {{ {', '.join(STATE.values())} }}\n"
_NUMBER: Final = {name: number for number, name in enumerate(STATE)}
_GET: Final = re.compile(r"(?P<to>%[\w.]+) = get (?P<name>\w+)")
_SET: Final = re.compile(r"set (?P<name>\w+) (?P<value>\S+)")


class Text(Function):
    """Lines of one function, and the state."""

    def line(self, line: str) -> None:
        """Append a line as it is."""
        self._lines.append(line)

    def lines(self) -> str:
        """Return all lines."""
        return "\n".join(self._lines) + "\n"

    def fetch(self, pointer: str, bits: int) -> str:
        """Load a number of a program's memory."""
        return self.new(f"call i{bits} @load{bits}(ptr {pointer})")

    def put(self, pointer: str, value: str, bits: int) -> None:
        """Store a number into a program's memory."""
        self.do(f"call void @store{bits}(ptr {pointer}, i{bits} {value})")

    def place(self, name: str) -> str:
        """Return a pointer to a field of the state."""
        return self.new(f"getelementptr %state, ptr %vm, i32 0, i32 {_NUMBER[name]}")

    def get(self, name: str) -> str:
        return self.new(f"load {STATE[name]}, ptr {self.place(name)}")

    def set(self, name: str, value: str | int) -> None:
        self.do(f"store {STATE[name]} {value}, ptr {self.place(name)}")

    def add(self, name: str, amount: str | int) -> str:
        """Add to a field; return the sum."""
        total = self.new(f"add i64 {self.get(name)}, {amount}")
        self.set(name, total)
        return total


def expand(written: str) -> str:
    """Return IR written by hand with `get` and `set` spelled out."""
    text = Text()
    for line in written.splitlines():
        got, put = _GET.fullmatch(line.strip()), _SET.fullmatch(line.strip())
        if got and STATE[got["name"]][0] != "[":
            text.do(f"{got['to']} = load {STATE[got['name']]}, ptr {text.place(got['name'])}")
        elif got:
            text.do(f"{got['to']} = getelementptr i8, ptr {text.place(got['name'])}, i64 0")
        elif put:
            text.set(put["name"], put["value"])
        else:
            text.line(line)
    return text.lines()
