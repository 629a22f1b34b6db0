"""What calls mean: Python's own functions, the language's, methods of bytes and maps, and functions of the source."""

from __future__ import annotations

import ast
from types import FunctionType

from packetfs.dataclass import dataclass
from packetfs.toolchain.python import arithmetic, intrinsics, language, spans
from packetfs.toolchain.python.expressions import Expressions
from packetfs.toolchain.python.language import Integer
from packetfs.toolchain.python.lowering import NESTED_MAX, Frame
from packetfs.toolchain.python.source import Source, parameters, read_source
from packetfs.toolchain.python.syntax import check_syntax
from packetfs.toolchain.python.values import (
    Constant,
    Nothing,
    Stretch,
    Table,
    Thing,
    Truth,
    Unsupported,
    Value,
    Word,
    describe,
    literal,
)
from packetfs.typing import Callable, Final

_EMIT: Final = "call i64 inttoptr (i64 4096 to ptr)"
BUFFER_MAX: Final = 256
"""Bytes of a bytearray: a frame has 512, for everything."""
_NUMBERS: Final = {
    "u16": (2, False),
    "u32": (4, False),
    "u64": (8, False),
    "u16be": (2, True),
    "u32be": (4, True),
    "u64be": (8, True),
}
_SEARCHES: Final[dict[str, tuple[int, Callable[..., int]]]] = {
    "find_nth": (2, intrinsics.find_byte),
    "rfind": (1, intrinsics.find_last_byte),
    "count": (1, intrinsics.count_byte),
    "count_words": (0, intrinsics.count_words),
    "decimal": (1, intrinsics.decimal),
}
"""Methods of bytes that are one helper, and how many values they take."""


@dataclass(frozen=True, slots=True)
class _Method:
    """A method that is called: of what, and its name."""

    owner: Value
    name: str


class Calls(Expressions):
    """Lowers calls; the statements of a function are the next part's."""

    def statements(self, body: list[ast.stmt]) -> None:
        """Lower the statements of a function."""
        raise NotImplementedError

    def call(self, node: ast.Call) -> Value:
        """Return the value of a call."""
        if any(isinstance(each, ast.Starred) for each in node.args) or any(not each.arg for each in node.keywords):
            raise Unsupported("stars are not supported")
        callee = self._callee(node.func)
        if isinstance(callee, _Method):
            return self._method(callee, self._plain(node, callee.name))
        if not isinstance(callee, Thing):
            raise Unsupported(f"{describe(callee)} cannot be called")
        return self._thing(callee.object, node)

    def _callee(self, node: ast.expr) -> Value | _Method:
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if isinstance(owner, Stretch | Table):
                return _Method(owner, node.attr)
        return self.value(node)

    def _plain(self, node: ast.Call, name: str) -> list[Value]:
        if node.keywords:
            raise Unsupported(f"{name} takes no named arguments")
        return [self.value(each) for each in node.args]

    def _thing(self, thing: object, node: ast.Call) -> Value:
        if isinstance(thing, Integer):
            (value,) = self._exactly(1, thing.name, self._plain(node, thing.name))
            return arithmetic.convert(self.b, value, thing.bits, signed=thing.signed)
        builtin = _BUILTINS.get(thing) if isinstance(thing, type | Callable) else None
        if builtin is not None:
            return builtin(
                self, self._text_first(node) if thing is ord else self._plain(node, getattr(thing, "__name__", ""))
            )
        if isinstance(thing, FunctionType) and thing in intrinsics.NUMBERS:
            return self.helper(thing, self._plain(node, thing.__name__))
        if isinstance(thing, FunctionType):
            return self._function(thing, node)
        raise Unsupported(f"{describe(Thing(thing))} cannot be called in a program")

    def _text_first(self, node: ast.Call) -> list[Value]:
        """Take the text of `ord("x")`, the only place where text may stand."""
        first = node.args[0] if len(node.args) == 1 else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str | bytes) and len(first.value) == 1:
            return [Constant(ord(first.value))]
        raise Unsupported("ord takes one letter that is written there")

    def _exactly(self, count: int, name: str, values: list[Value]) -> list[Value]:
        if len(values) != count:
            raise Unsupported(f"{name} takes {count} value{'s' if count != 1 else ''}, not {len(values)}")
        return values

    # Python's own

    def length(self, values: list[Value]) -> Value:
        """len: bytes of a span, entries that an array has."""
        (value,) = self._exactly(1, "len", values)
        if isinstance(value, Table) and isinstance(value.map, language.Array):
            return Constant(value.map.entries)
        span = self.bytes_of(value)
        return Constant(len(span.content)) if span.content is not None else Word(span.length)

    def smallest(self, values: list[Value]) -> Value:
        """min of two or more numbers."""
        return self._extreme(values, largest=False)

    def largest(self, values: list[Value]) -> Value:
        """max of two or more numbers."""
        return self._extreme(values, largest=True)

    def _extreme(self, values: list[Value], *, largest: bool) -> Value:
        if len(values) < 2:
            raise Unsupported("min and max take two or more numbers")
        best = values[0]
        for value in values[1:]:
            best = arithmetic.extreme(self.b, best, value, largest=largest)
        return best

    def absolute(self, values: list[Value]) -> Value:
        """abs: the number without its sign, of the same type (the smallest i64 has none and stays)."""
        (value,) = self._exactly(1, "abs", values)
        number = arithmetic.number(self.b, value)
        if isinstance(number, Constant):
            return Constant(abs(number.value))
        if not number.signed:
            return number
        negative = self.b.new(f"icmp slt i64 {number.text}, 0")
        turned = self.b.new(f"sub i64 0, {number.text}")
        return Word(self.b.new(f"select i1 {negative}, i64 {turned}, i64 {number.text}"), True)

    def boolean(self, values: list[Value]) -> Value:
        """bool: what `if` would do."""
        return Truth(arithmetic.truth(self.b, self._exactly(1, "bool", values)[0]))

    def integer(self, values: list[Value]) -> Value:
        """int: numbers as they are, truth values as 0 and 1."""
        return arithmetic.number(self.b, self._exactly(1, "int", values)[0])

    def letter(self, values: list[Value]) -> Value:
        """ord: taken apart before."""
        return values[0]

    def buffer(self, values: list[Value]) -> Value:
        """bytearray(n): n bytes of the frame, zero each time."""
        (size,) = self._exactly(1, "bytearray", values)
        if not isinstance(size, Constant) or not 1 <= size.value <= BUFFER_MAX:
            raise Unsupported(f"bytearray takes a constant from 1 to {BUFFER_MAX}")
        address = self.b.room(size.value)
        self.b.clear(address, size.value)
        return Stretch(address, str(size.value), True)

    def refuse_range(self, values: list[Value]) -> Value:
        """range: only behind `for`."""
        raise Unsupported(f"range stands only behind for ... in ({len(values)} values)")

    # the language's own

    def emit(self, values: list[Value]) -> Value:
        """emit: bytes as they are, numbers as decimal text."""
        for value in values:
            if isinstance(value, Stretch):
                self._emit_bytes(value)
            else:
                number = arithmetic.number(self.b, value)
                self._emit_number(number)
        return Nothing()

    def _emit_bytes(self, span: Stretch) -> None:
        if span.content == b"":
            return
        some, done = self.b.make_block(), self.b.make_block()
        self.b.branch(self.b.new(f"icmp ne i64 {span.length}, 0"), some, done)
        self.b.go(some)
        self.b.do(f"{_EMIT}(i64 {span.address}, i64 {span.length})")
        self.b.jump(done)
        self.b.go(done)

    def _emit_number(self, number: Constant | Word) -> None:
        if isinstance(number, Constant):
            self._emit_bytes(self.constant(str(number.value).encode()))
            return
        self.decimals.add(number.signed)
        size, negative = number.text, "false"
        if number.signed:
            negative = self.b.new(f"icmp slt i64 {number.text}, 0")
            turned = self.b.new(f"sub i64 0, {number.text}")
            size = self.b.new(f"select i1 {negative}, i64 {turned}, i64 {number.text}")
        self.b.do(f"call void @decimal(i64 {size}, i1 {negative})")

    # methods

    def _method(self, method: _Method, values: list[Value]) -> Value:
        if isinstance(method.owner, Table):
            return self._map_method(method.owner, method.name, values)
        span = self.bytes_of(method.owner)
        if method.name in _NUMBERS:
            size, big = _NUMBERS[method.name]
            return spans.whole(self.b, span, self._exactly(1, method.name, values)[0], size, big=big)
        if method.name in ("startswith", "endswith"):
            (word,) = self._exactly(1, method.name, values)
            return self.prelude({"startswith": "starts", "endswith": "ends"}[method.name], [span, self.bytes_of(word)])
        if method.name == "find":
            return self._find(span, values)
        if method.name == "count_parts":
            byte, word = self._exactly(2, method.name, values)
            values = [span, self._one_byte(method.name, byte), self.bytes_of(word)]
            return self.helper(intrinsics.count_parts, values)
        if method.name in _SEARCHES:
            count, function = _SEARCHES[method.name]
            values = self._exactly(count, method.name, values)
            return self.helper(function, [span, *(self._one_byte(method.name, value) for value in values)])
        raise Unsupported(
            f"bytes have no {method.name} here; they have {', '.join((*_NUMBERS, 'find', *_SEARCHES))}, "
            "count_parts, startswith, endswith"
        )

    def _one_byte(self, name: str, value: Value) -> Value:
        """Return a byte as a number, where bytes are given."""
        if not isinstance(value, Stretch):
            return value
        if value.content is None or len(value.content) != 1:
            raise Unsupported(f"{name} takes one constant byte")
        return Constant(value.content[0])

    def helper(self, function: Callable[..., int], values: list[Value]) -> Word:
        """Return what a helper returns for these values; of bytes it gets address and length."""
        texts = list[str]()
        for value in values:
            if isinstance(value, Stretch):
                texts += value.address, value.length
            else:
                found = arithmetic.number(self.b, value)
                texts.append(literal(found.value) if isinstance(found, Constant) else found.text)
        given = ", ".join(f"i64 {text}" for text in texts)
        called = self.b.new(f"call i64 inttoptr (i64 {intrinsics.NUMBERS[function]} to ptr)({given})")
        return Word(called, function not in intrinsics.UNSIGNED)

    def _find(self, span: Stretch, values: list[Value]) -> Value:
        if not 1 <= len(values) <= 2:
            raise Unsupported("find takes what to find, and where to begin")
        start = values[1] if len(values) == 2 else Constant(0)
        if isinstance(arithmetic.number(self.b, start), Word) and getattr(start, "signed", False):
            raise Unsupported("find begins at a u64: convert it with u64()")
        word = values[0]
        if isinstance(word, Stretch) and (word.content is None or len(word.content) != 1):
            return self.prelude("find", [span, word, start])
        return self.prelude("find_byte", [span, self._one_byte("find", word), start])

    def _map_method(self, table: Table, name: str, values: list[Value]) -> Value:
        if name == "get" and 1 <= len(values) <= 2:
            return self.tables.read(table, values[0], values[1] if len(values) == 2 else None)
        if name == "put" and len(values) == 2:
            return self.tables.put(table, values[0], values[1])
        if name == "tally" and len(values) == 3:
            return self.tables.tally(table, self.bytes_of(values[0]), values[1], values[2])
        if name == "add" and 1 <= len(values) <= 2:
            return self._add(table, values[0], values[1] if len(values) == 2 else Constant(1))
        raise Unsupported(f"a map has no {name} with {len(values)} values; it has get(key[, default]), add, put")

    def _add(self, table: Table, key: Value, amount: Value) -> Truth:
        text = self.tables.as_value(table, amount)
        entry, kept = self.tables.entry(table, key)
        now = self.tables.current(table, entry, kept)
        return Truth(self.tables.change(table, entry, kept, self.b.new(f"add i64 {now.text}, {text}")))

    # functions of the source

    def _function(self, function: FunctionType, node: ast.Call) -> Value:
        source = self._source(function)
        positional, named = parameters(source)
        given = self._given(source, positional, [self.value(each) for each in node.args])
        for keyword in node.keywords:
            name = keyword.arg or ""
            if name in given or name not in {each.arg for each in (*positional, *named)}:
                raise Unsupported(f"{function.__name__} has no {name}, or is given it twice")
            given[name] = self.value(keyword.value)
        for each in (*positional, *named):
            if each.arg not in given:
                given[each.arg] = self._default(function, each.arg)
        return self._inline(source, given)

    def _source(self, function: Callable[..., object]) -> Source:
        """Return a function's source, read and checked once for all of its calls."""
        if function not in self.sources:
            self.sources[function] = read_source(function)
            check_syntax(self.sources[function])
        return self.sources[function]

    def _given(self, source: Source, positional: list[ast.arg], values: list[Value]) -> dict[str, Value]:
        if len(values) > len(positional):
            raise Unsupported(f"{source.tree.name} takes {len(positional)} values, not {len(values)}")
        return {each.arg: value for each, value in zip(positional, values, strict=False)}

    def _default(self, function: FunctionType, name: str) -> Value:
        code = function.__code__
        plain = code.co_varnames[: code.co_argcount]
        defaults = dict(zip(reversed(plain), reversed(function.__defaults__ or ()), strict=False))
        defaults.update(function.__kwdefaults__ or {})
        if name not in defaults:
            raise Unsupported(f"{function.__name__} is not given {name}")
        return self.outer(defaults[name], name)

    def run(self, function: Callable[..., object], values: list[Value]) -> Value:
        """Inline a function of the prelude; its lines are not the user's, so faults keep the line of the call."""
        source = self._source(function)
        positional, _ = parameters(source)
        return self._inline(source, self._given(source, positional, values), quiet=True)

    def _inline(self, source: Source, given: dict[str, Value], *, quiet: bool = False) -> Value:
        if len(self.frames) > NESTED_MAX or any(
            each.source.tree.name == source.tree.name and each.source.file == source.file for each in self.frames
        ):
            raise Unsupported(f"{source.tree.name} calls itself: programs have no recursion")
        line, frame = self.b.line, Frame(source, quiet=quiet, done=self.b.make_block())
        self.frames.append(frame)
        self.bind(given)
        self.statements(source.tree.body)
        if frame.alive and frame.result is not None:
            source.refuse(source.tree, f"{source.tree.name} returns a value on some ways and none on others")
        self.frames.pop()
        self.b.line = line
        assert frame.done is not None  # noqa: S101  # set above
        self.b.jump(frame.done)
        self.b.go(frame.done)
        return Nothing() if frame.result is None else self.b.recall(frame.result)

    def bind(self, given: dict[str, Value]) -> None:
        """Give the parameters of the innermost function their values; those that it assigns become variables."""
        for name, value in given.items():
            if name not in self.frame.source.assigned:
                self.frame.bound[name] = value
                continue
            place = self.b.storage(value)
            self.b.keep(place, arithmetic.fit(self.b, place, value, name))
            self.frame.variables[name] = place
            self.frame.sure.add(name)


_BUILTINS: Final[dict[object, Callable[[Calls, list[Value]], Value]]] = {
    len: Calls.length,
    min: Calls.smallest,
    max: Calls.largest,
    abs: Calls.absolute,
    bool: Calls.boolean,
    int: Calls.integer,
    ord: Calls.letter,
    bytearray: Calls.buffer,
    range: Calls.refuse_range,
    language.emit: Calls.emit,
}
