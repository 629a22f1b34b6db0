"""What expressions mean: names, constants, operators, subscripts, attributes of the record."""

from __future__ import annotations

import ast
from types import ModuleType

from packetfs.toolchain.python import arithmetic, spans
from packetfs.toolchain.python.ir import Block
from packetfs.toolchain.python.language import Array, Hash
from packetfs.toolchain.python.lowering import Lowering
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
)
from packetfs.typing import Callable, Final

_RECORD_FIELDS: Final = {"number": (24, 8), "offset": (32, 8), "file": (40, 4)}
"""Attributes of the record: offset and size in its context (layout.RECORD_CONTEXT)."""
_CHAIN_MAX: Final = 16
"""Bytes that `x in b"..."` compares one by one, which LLVM makes a bit test of."""


class Expressions(Lowering):
    """Lowers expressions; calls are the next part's."""

    record: Stretch

    def call(self, node: ast.Call) -> Value:
        """Return the value of a call."""
        raise NotImplementedError

    def run(self, function: Callable[..., object], values: list[Value]) -> Value:
        """Return the value of a function of the language's own prelude."""
        raise NotImplementedError

    def value(self, node: ast.expr) -> Value:
        """Return the value of an expression; NotTranslatable names its place where it has none."""
        if not self.frame.quiet:
            self.b.line = node.lineno
        source = self.frame.source
        try:
            return self._lower(node)
        except Unsupported as error:
            source.refuse(node, str(error))
        except RecursionError:
            source.refuse(node, "this is nested too deeply")

    def _lower(self, node: ast.expr) -> Value:
        lower = _LOWER.get(type(node))
        if lower is None:
            raise Unsupported(f"{type(node).__name__} is not supported here")
        return lower(self, node)

    def name(self, node: ast.Name) -> Value:
        """Return what a name holds: a parameter, a variable, or an object of the enclosing scope."""
        frame = self.frame
        if node.id in frame.bound:
            return frame.bound[node.id]
        if node.id in frame.variables or node.id in frame.source.assigned:
            if node.id not in frame.sure:
                raise Unsupported(f"{node.id} may not be assigned here")
            return self.b.recall(frame.variables[node.id])
        try:
            found = frame.source.find(node.id)
        except LookupError:
            raise Unsupported(f"there is no {node.id}") from None
        return self.outer(found, node.id)

    def outer(self, found: object, name: str) -> Value:
        """Return an object of the enclosing scope as a value: numbers and bytes are constants."""
        if isinstance(found, bool):
            return Truth("true" if found else "false")
        if isinstance(found, int):
            return arithmetic.constant(int(found))
        if isinstance(found, bytes | bytearray):
            return self.constant(bytes(found))
        if isinstance(found, Array | Hash):
            return self.table(found, name)
        return Thing(found)

    def literal(self, node: ast.Constant) -> Value:
        """Return a constant of the source."""
        if isinstance(node.value, bool | int | bytes):
            return self.outer(node.value, "")
        if isinstance(node.value, str):
            raise Unsupported(f'text is not supported: write bytes, b"{node.value[:20]}"')
        if node.value is None:
            return Nothing()
        raise Unsupported(f"{type(node.value).__name__} is not supported")

    def attribute(self, node: ast.Attribute) -> Value:
        """Return a name of a module, or a field of the record."""
        owner = self.value(node.value)
        if isinstance(owner, Thing) and isinstance(owner.object, ModuleType):
            try:
                return self.outer(getattr(owner.object, node.attr), node.attr)
            except AttributeError:
                raise Unsupported(f"{owner.object.__name__} has no {node.attr}") from None
        if owner is self.record and node.attr in _RECORD_FIELDS:
            offset, size = _RECORD_FIELDS[node.attr]
            return Word(self.b.load(self.b.add("%ctx", str(offset)), size))
        fields = ", ".join(_RECORD_FIELDS)
        raise Unsupported(f"{describe(owner)} has no {node.attr} (the record has {fields}; methods are called)")

    def subscript(self, node: ast.Subscript) -> Value:
        """Return an element, a slice, or a map's number."""
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [None if each is None else self.value(each) for each in (node.slice.lower, node.slice.upper)]
            return spans.cut(self.b, self.bytes_of(owner), bounds[0], bounds[1])
        key = self.value(node.slice)
        if isinstance(owner, Table):
            return self.tables.read(owner, key)
        return spans.element(self.b, self.bytes_of(owner), key)

    def bytes_of(self, value: Value) -> Stretch:
        """Return a value that must be bytes."""
        if not isinstance(value, Stretch):
            raise Unsupported(f"bytes are needed here, not {describe(value)}")
        return value

    def binary(self, node: ast.BinOp) -> Value:
        """Return the value of an operator between two numbers."""
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, Stretch):
            raise Unsupported("bytes are not joined: emit them one after the other")
        return arithmetic.binary(self.b, node.op, left, right)

    def unary(self, node: ast.UnaryOp) -> Value:
        """Return the value of an operator on one value."""
        operand = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return Truth(arithmetic.opposite(self.b, arithmetic.truth(self.b, operand)))
        if isinstance(node.op, ast.USub):
            return arithmetic.negate(self.b, operand)
        if isinstance(node.op, ast.Invert):
            return arithmetic.invert(self.b, operand)
        return arithmetic.number(self.b, operand)

    def both(self, node: ast.BoolOp) -> Value:
        """Return a truth value; what stands behind is only looked at where it still matters."""
        stops = isinstance(node.op, ast.Or)
        result, done = self.b.storage(Truth("true")), self.b.make_block()
        for i, part in enumerate(node.values):
            text = self.condition(part)
            self.b.keep(result, (text,))
            if i == len(node.values) - 1:
                self.b.jump(done)
                break
            following = self.b.make_block()
            self.b.branch(text, *((done, following) if stops else (following, done)))
            self.b.go(following)
        self.b.go(done)
        return self.b.recall(result)

    def condition(self, node: ast.expr) -> str:
        """Return an expression as an i1, as `if` takes it."""
        value = self.value(node)
        try:
            return arithmetic.truth(self.b, value)
        except Unsupported as error:
            self.frame.source.refuse(node, str(error))

    def choice(self, node: ast.IfExp) -> Value:
        """Return one of two values; only that one is computed."""
        then, other, done = self.b.make_block(), self.b.make_block(), self.b.make_block()
        self.b.branch(self.condition(node.test), then, other)
        ends: list[tuple[Block, Value]] = []
        for block, part in ((then, node.body), (other, node.orelse)):
            self.b.go(block)
            value = self.value(part)
            ends.append((self.b.block, value))
        result = self.b.storage(_weaker([value for _, value in ends]))
        for block, value in ends:
            self.b.go(block)
            self.b.keep(result, arithmetic.fit(self.b, result, value, "the other side"))
            self.b.jump(done)
        self.b.go(done)
        return self.b.recall(result)

    def compare(self, node: ast.Compare) -> Value:
        """Return the truth of a chain of comparisons; each part is computed once, as far as it matters."""
        left = self.value(node.left)
        if len(node.ops) == 1:
            return Truth(self._single(node.ops[0], left, node.comparators[0]))
        result, done = self.b.storage(Truth("true")), self.b.make_block()
        for i, (op, part) in enumerate(zip(node.ops, node.comparators, strict=True)):
            right = self.value(part)
            text = self._relation(op, left, right)
            self.b.keep(result, (text,))
            following = self.b.make_block() if i < len(node.ops) - 1 else done
            self.b.branch(text, following, done)
            self.b.go(following)
            left = right
        return self.b.recall(result)

    def _single(self, op: ast.cmpop, left: Value, part: ast.expr) -> str:
        """Return one relation as an i1; only here may a tuple stand, behind `in`."""
        if not isinstance(part, ast.Tuple) or not isinstance(op, ast.In | ast.NotIn):
            return self._relation(op, left, self.value(part))
        found = "false"
        for each in part.elts:
            found = self._either(found, self._relation(ast.Eq(), left, self.value(each)))
        return arithmetic.opposite(self.b, found) if isinstance(op, ast.NotIn) else found

    def _either(self, left: str, right: str) -> str:
        return right if left == "false" else self.b.new(f"or i1 {left}, {right}")

    def _relation(self, op: ast.cmpop, left: Value, right: Value) -> str:
        if isinstance(op, ast.In | ast.NotIn):
            inside = self._is_in(left, right)
            return arithmetic.opposite(self.b, inside) if isinstance(op, ast.NotIn) else inside
        if isinstance(left, Stretch) and isinstance(right, Stretch):
            if not isinstance(op, ast.Eq | ast.NotEq):
                raise Unsupported("bytes are only compared with == and !=")
            same = arithmetic.truth(self.b, self.prelude("equal", [left, right]))
            return arithmetic.opposite(self.b, same) if isinstance(op, ast.NotEq) else same
        return arithmetic.compare(self.b, op, left, right).text

    def _is_in(self, left: Value, right: Value) -> str:
        if isinstance(right, Table):
            return self.tables.holds(right, left).text
        span = self.bytes_of(right)
        if isinstance(left, Stretch):
            return arithmetic.truth(self.b, self.prelude("contains", [span, left]))
        if span.content is None or len(span.content) > _CHAIN_MAX:
            return arithmetic.truth(self.b, self.prelude("has_byte", [span, left]))
        found = "false"
        for byte in span.content:
            found = self._either(found, arithmetic.compare(self.b, ast.Eq(), left, Constant(byte)).text)
        return found

    def prelude(self, name: str, values: list[Value]) -> Value:
        """Return the value of an operation that is written in the language itself."""
        from packetfs.toolchain.python import prelude

        return self.run(getattr(prelude, name), values)


def _weaker(values: list[Value]) -> Value:
    """Return the value whose kind both can have: bytes that may not be changed, numbers with their sign."""
    for value in values:
        if (isinstance(value, Stretch) and not value.writable) or isinstance(value, Word):
            return value
    for value in values:
        if isinstance(value, Constant) and value.value < 0:
            return value
    return values[0]


_LOWER: Final[dict[type[ast.expr], Callable[..., Value]]] = {
    ast.Name: Expressions.name,
    ast.Constant: Expressions.literal,
    ast.Attribute: Expressions.attribute,
    ast.Subscript: Expressions.subscript,
    ast.BinOp: Expressions.binary,
    ast.UnaryOp: Expressions.unary,
    ast.BoolOp: Expressions.both,
    ast.IfExp: Expressions.choice,
    ast.Compare: Expressions.compare,
    ast.Call: lambda self, node: self.call(node),
}
