"""Maps: arrays are addressed directly, hashes through the helpers 1, 2 and 3 of Linux.

A hash that is full is a fault where the program could not hear of it (`m[key] = v`, `m[key] += v`), since a count that
is silently short is a wrong answer; `add` and `put` tell instead.
"""

from __future__ import annotations

from packetfs.toolchain.python.arithmetic import exact, number
from packetfs.toolchain.python.ir import Builder
from packetfs.toolchain.python.language import Array, Hash
from packetfs.toolchain.python.values import Constant, Stretch, Table, Truth, Unsupported, Value, Word, literal
from packetfs.typing import Final

_LOOKUP: Final = "call i64 inttoptr (i64 1 to ptr)"
_UPDATE: Final = "call i64 inttoptr (i64 2 to ptr)"
_DELETE: Final = "call i64 inttoptr (i64 3 to ptr)"
_TALLY: Final = "call i64 inttoptr (i64 4103 to ptr)"
HANDLE: Final = ".handle"
"""Behind the name of an array: its handle, not its content."""
_NUMBER_SIZES: Final = (1, 2, 4)


class Tables:
    """The maps' code of one program; key buffers are shared, since no two keys are in use at a time."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self.text_keys: set[str] = set()
        self.handles: set[str] = set()
        self._keys: dict[int, str] = {}
        self._value = ""

    def read(self, table: Table, key: Value, default: Value | None = None) -> Word:
        """Return the number of `key`; the default, or 0, where there is none."""
        if isinstance(table.map, Array):
            return Word(self.b.load(self._slot(table, key), 8), table.map.signed)
        other = exact(number(self.b, default or Constant(0)), signed=table.map.signed)
        return Word(self._read_entry(self.find(table, key), other), table.map.signed)

    def _read_entry(self, entry: str, other: str) -> str:
        held, done, start = self.b.make_block(), self.b.make_block(), self.b.block
        self.b.branch(self.b.new(f"icmp ne i64 {entry}, 0"), held, done)
        self.b.go(held)
        found = self.b.load(entry, 8)
        self.b.jump(done)
        self.b.go(done)
        return self.b.new(f"phi i64 [ {found}, %{held.label} ], [ {other}, %{start.label} ]")

    def find(self, table: Table, key: Value) -> str:
        """Return the address of a hash's entry, or 0."""
        return self.b.new(f"{_LOOKUP}(ptr @{table.symbol}, i64 {self.key(table, key)})")

    def holds(self, table: Table, key: Value) -> Truth:
        """Tell whether a hash has `key`."""
        self._hash(table, "in")
        return Truth(self.b.new(f"icmp ne i64 {self.find(table, key)}, 0"))

    def write(self, table: Table, key: Value, value: Value) -> None:
        """Put a number; a fault where there is no room."""
        if isinstance(table.map, Array):
            self.b.store(self._slot(table, key), self.as_value(table, value), 8)
        else:
            self.b.require(self.put(table, key, value).text)

    def put(self, table: Table, key: Value, value: Value) -> Truth:
        """Put a number into a hash; false where there is no room."""
        self._hash(table, "put")
        text = self.as_value(table, value)
        return Truth(self._update(table, self.key(table, key), text))

    def entry(self, table: Table, key: Value) -> tuple[str, str]:
        """Return where the number of `key` lies (0: nowhere yet), and the address of the key where it is a hash's."""
        if isinstance(table.map, Array):
            return self._slot(table, key), ""
        kept = self.key(table, key)
        return self.b.new(f"{_LOOKUP}(ptr @{table.symbol}, i64 {kept})"), kept

    def change(self, table: Table, entry: str, key: str, value: str) -> str:
        """Put a number to the entry that `entry()` returned; return an i1 that is false where there is no room."""
        if not key:
            self.b.store(entry, value, 8)
            return "true"
        held, new, done = self.b.make_block(), self.b.make_block(), self.b.make_block()
        self.b.branch(self.b.new(f"icmp ne i64 {entry}, 0"), held, new)
        self.b.go(held)
        self.b.store(entry, value, 8)
        self.b.jump(done)
        self.b.go(new)
        there = self._update(table, key, value)
        self.b.jump(done)
        self.b.go(done)
        return self.b.new(f"phi i1 [ true, %{held.label} ], [ {there}, %{new.label} ]")

    def current(self, table: Table, entry: str, key: str) -> Word:
        """Return the number at an entry, 0 where it is nowhere yet."""
        return Word(self._read_entry(entry, "0") if key else self.b.load(entry, 8), table.map.signed)

    def remove(self, table: Table, key: Value) -> None:
        """Take a key out of a hash; nothing happens where it is not in it."""
        self._hash(table, "del")
        self.b.do(f"{_DELETE}(ptr @{table.symbol}, i64 {self.key(table, key)})")

    def tally(self, table: Table, data: Stretch, stride: Value, width: Value) -> Word:
        """Count numbers in an array; return how many have no entry."""
        if isinstance(table.map, Hash):
            raise Unsupported("a Hash has no tally: numbers are counted in an Array")
        step, size = exact(number(self.b, stride), signed=False), exact(number(self.b, width, signed=True), signed=True)
        given = f"i64 {data.address}, i64 {data.length}, i64 {step}, i64 {size}"
        self.handles.add(table.symbol + HANDLE)
        return Word(self.b.new(f"{_TALLY}(ptr @{table.symbol}{HANDLE}, {given})"))

    def as_value(self, table: Table, value: Value) -> str:
        """Return a number as what the map holds."""
        given = number(self.b, value, signed=table.map.signed)
        if isinstance(given, Word) and given.signed != table.map.signed:
            raise Unsupported(f"the map holds {'i64' if table.map.signed else 'u64'}: convert what is put into it")
        return exact(given, signed=table.map.signed)

    def key(self, table: Table, key: Value) -> str:
        """Write a key into the frame and return its address."""
        size = self._hash(table, "a key").key_bytes
        buffer = self._keys.get(size) or self._keys.setdefault(size, self.b.room(size))
        if isinstance(key, Stretch):
            self.text_keys.add(table.symbol)
            self._copy(buffer, size, key)
            return buffer
        if size < 8 and size not in _NUMBER_SIZES:
            raise Unsupported(f"numbers are keys of 1, 2, 4 or at least 8 bytes, not {size}")
        given = number(self.b, key)
        text = literal(given.value) if isinstance(given, Constant) else given.text
        self.b.store(buffer, text, min(size, 8))
        if size > 8:
            self.b.clear(self.b.add(buffer, "8"), size - 8)
        return buffer

    def _copy(self, buffer: str, size: int, key: Stretch) -> None:
        """Copy at most `size` bytes behind zeros, by words as long as there are 8."""
        b = self.b
        b.clear(buffer, size)
        short = b.new(f"icmp ult i64 {key.length}, {size}")
        length = b.new(f"select i1 {short}, i64 {key.length}, i64 {size}")
        words = b.new(f"and i64 {length}, -8")
        self._copy_by(8, buffer, key.address, "0", words)
        self._copy_by(1, buffer, key.address, words, length)

    def _copy_by(self, step: int, to: str, source: str, start: str, stop: str) -> None:
        b = self.b
        before, body, done = b.block, b.make_block(), b.make_block()
        head = b.make_block()
        b.jump(head)
        b.go(head)
        at, following = (
            b.new(f"phi i64 [ {start}, %{before.label} ], [ %n{head.label}, %{body.label} ]"),
            f"%n{head.label}",
        )
        b.branch(b.new(f"icmp ult i64 {at}, {stop}"), body, done)
        b.go(body)
        b.store(b.add(to, at), b.load(b.add(source, at), step), step)
        b.do(f"{following} = add i64 {at}, {step}")
        b.jump(head)
        b.go(done)

    def _update(self, table: Table, key: str, value: str) -> str:
        self._value = self._value or self.b.room(8)
        self.b.store(self._value, value, 8)
        errno = self.b.new(f"{_UPDATE}(ptr @{table.symbol}, i64 {key}, i64 {self._value}, i64 0)")
        return self.b.new(f"icmp eq i64 {errno}, 0")

    def _slot(self, table: Table, index: Value) -> str:
        """Return the address of an array's entry; a fault outside."""
        if isinstance(index, Stretch):
            raise Unsupported("an Array has numbers as keys; a Hash may have bytes")
        at = number(self.b, index)
        if isinstance(at, Constant):
            if not 0 <= at.value < table.map.entries:
                raise Unsupported(f"index {at.value} is outside of {table.map.entries} entries")
            return self.b.add(self._base(table), literal(8 * at.value))
        self.b.require(self.b.new(f"icmp ult i64 {at.text}, {table.map.entries}"))
        return self.b.add(self._base(table), self.b.new(f"shl i64 {at.text}, 3"))

    def _base(self, table: Table) -> str:
        """Hide from LLVM what the symbol is: its section holds a definition, the linker puts the map's memory there."""
        return self.b.new(f'call i64 asm "", "=r,0"(ptr @{table.symbol})')

    def _hash(self, table: Table, what: str) -> Hash:
        if not isinstance(table.map, Hash):
            raise Unsupported(f"an Array has no {what}: it always holds all of its entries")
        return table.map
