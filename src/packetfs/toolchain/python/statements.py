"""What statements mean: assignments, branches, loops, return. Loops are loops: nothing is unrolled or counted."""

from __future__ import annotations

import ast

from packetfs.toolchain.python import arithmetic, language, spans
from packetfs.toolchain.python.calls import Calls
from packetfs.toolchain.python.ir import Block
from packetfs.toolchain.python.language import Integer
from packetfs.toolchain.python.lowering import Frame, Loop
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


class Statements(Calls):
    """Lowers the body of a function. A variable has the kind of the first value that it is given."""

    def statements(self, body: list[ast.stmt]) -> None:
        """Lower statements up to the first that is left for good."""
        for node in body:
            if not self.frame.alive:
                return  # behind return, break or continue
            if not self.frame.quiet:
                self.b.line = node.lineno
            source = self.frame.source
            try:
                _LOWER[type(node)](self, node)
            except Unsupported as error:
                source.refuse(node, str(error))

    # assignments

    def assign(self, node: ast.Assign) -> None:
        """a = x, a, b = x, y, span[i] = x, map[key] = x."""
        for target in node.targets:
            if isinstance(target, ast.Tuple):
                self._assign_several(target, node.value)
            elif isinstance(target, ast.Subscript):
                self._put(target, node.value)
            else:
                self._keep(target, self.value(node.value))

    def _assign_several(self, target: ast.Tuple, value: ast.expr) -> None:
        if not isinstance(value, ast.Tuple) or len(value.elts) != len(target.elts):
            raise Unsupported("as many values as names are needed here")
        values = [self.value(each) for each in value.elts]
        for each, found in zip(target.elts, values, strict=True):
            self._keep(each, found)

    def _keep(self, target: ast.expr, value: Value) -> None:
        if not isinstance(target, ast.Name):
            raise Unsupported("this cannot be assigned to")
        if not isinstance(value, Constant | Word | Truth | Stretch):
            raise Unsupported(f"{describe(value)} cannot be kept in a variable")
        frame = self.frame
        place = frame.variables.get(target.id) or frame.variables.setdefault(target.id, self.b.storage(value))
        self.b.keep(place, arithmetic.fit(self.b, place, value, target.id))
        frame.sure.add(target.id)

    def _put(self, target: ast.Subscript, value: ast.expr) -> None:
        given, owner = self.value(value), self.value(target.value)
        key = self._key(target)
        if isinstance(owner, Table):
            self.tables.write(owner, key, given)
        else:
            spans.put(self.b, self.bytes_of(owner), key, given)

    def _key(self, target: ast.Subscript) -> Value:
        if isinstance(target.slice, ast.Slice):
            raise Unsupported("slices cannot be assigned to: assign byte by byte")
        return self.value(target.slice)

    def annotated(self, node: ast.AnnAssign) -> None:
        """a: i64 = x: the type of a number, said."""
        if node.value is None:
            return
        value, kind = self.value(node.value), self.value(node.annotation)
        if isinstance(kind, Thing) and isinstance(kind.object, Integer):
            value = self._typed(kind.object, value)
        self._keep(node.target, value)

    def _typed(self, kind: Integer, value: Value) -> Value:
        if kind.bits != 64:
            raise Unsupported(f"variables hold 64 bits: annotate with u64 or i64, and cut with {kind.name}()")
        number = arithmetic.number(self.b, value, signed=kind.signed)
        if isinstance(number, Word) and number.signed != kind.signed:
            raise Unsupported(f"{describe(number)} is given to a variable of type {kind.name}: convert it")
        return Word(self.b.new(f"add i64 {arithmetic.exact(number, signed=kind.signed)}, 0"), kind.signed)

    def augment(self, node: ast.AugAssign) -> None:
        """a += x, span[i] += x, map[key] += x; the right side is computed first."""
        if isinstance(node.target, ast.Subscript):
            self._augment_element(node, node.target)
        elif isinstance(node.target, ast.Name):
            now = self.name(node.target)
            self._keep(node.target, arithmetic.binary(self.b, node.op, now, self.value(node.value)))
        else:
            raise Unsupported("this cannot be assigned to")

    def _augment_element(self, node: ast.AugAssign, target: ast.Subscript) -> None:
        amount, owner = self.value(node.value), self.value(target.value)
        key = self._key(target)
        if isinstance(owner, Table):
            entry, kept = self.tables.entry(owner, key)
            new = arithmetic.binary(self.b, node.op, self.tables.current(owner, entry, kept), amount)
            self.b.require(self.tables.change(owner, entry, kept, self.tables.as_value(owner, new)))
            return
        span = self.bytes_of(owner)
        spans.put(self.b, span, key, arithmetic.binary(self.b, node.op, spans.element(self.b, span, key), amount))

    def delete(self, node: ast.Delete) -> None:
        """del map[key]."""
        for target in node.targets:
            owner = self.value(target.value) if isinstance(target, ast.Subscript) else None
            if not isinstance(owner, Table) or not isinstance(target, ast.Subscript):
                raise Unsupported("del takes keys out of maps, nothing else")
            self.tables.remove(owner, self._key(target))

    def expression(self, node: ast.Expr) -> None:
        """A call, or text that explains."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return
        if not isinstance(node.value, ast.Call):
            raise Unsupported("this has no effect")
        self.value(node.value)

    def nothing(self, node: ast.Pass) -> None:
        """pass."""
        del node

    # branches

    def branch(self, node: ast.If) -> None:
        """if, elif, else; what the condition decides already is not looked at."""
        text, frame = self.condition(node.test), self.frame
        if text in ("true", "false"):
            self.statements(node.body if text == "true" else node.orelse)
            return
        then, other, done = self.b.make_block(), self.b.make_block(), self.b.make_block()
        self.b.branch(text, then, other)
        before, outcomes = set(frame.sure), []
        for block, body in ((then, node.body), (other, node.orelse)):
            frame.sure, frame.alive = set(before), True
            self.b.go(block)
            self.statements(body)
            self.b.jump(done)
            outcomes += [frame.sure] if frame.alive else []
        frame.alive = bool(outcomes)
        frame.sure = set.intersection(*outcomes) if outcomes else before
        self.b.go(done)

    # loops

    def loop_while(self, node: ast.While) -> None:
        """while: the condition is looked at before each turn."""
        head, body, done = self.b.make_block(), self.b.make_block(), self.b.make_block()
        self.b.jump(head)
        self.b.go(head)
        text = self.condition(node.test)
        self.b.branch(text, body, done)
        self._turn(node.body, body, head, done, endless=text == "true")
        self.b.go(done)

    def _turn(
        self, body: list[ast.stmt], block: Block, following: Block, done: Block, *, endless: bool = False
    ) -> None:
        """Lower the body of a loop; behind it, only those variables are sure that were so before or at each break."""
        frame, before = self.frame, set(self.frame.sure)
        frame.loops.append(Loop(following, done))
        self.b.go(block)
        self.statements(body)
        self.b.jump(following)
        loop = frame.loops.pop()
        outcomes = loop.breaks if endless else [before, *loop.breaks]
        frame.alive = bool(outcomes)
        frame.sure = set.intersection(*outcomes) if outcomes else before

    def leave(self, node: ast.Break) -> None:
        """break."""
        del node
        loop = self.frame.loops[-1]
        loop.breaks.append(set(self.frame.sure))
        self.b.jump(loop.done)
        self.frame.alive = False

    def again(self, node: ast.Continue) -> None:
        """continue."""
        del node
        self.b.jump(self.frame.loops[-1].following)
        self.frame.alive = False

    def loop_for(self, node: ast.For) -> None:
        """for i in range(...), for byte in span."""
        if not isinstance(node.target, ast.Name):
            raise Unsupported("for takes one name")
        if isinstance(node.iter, ast.Call) and self._is_range(node.iter.func):
            start, stop, step, signed = self._range(node.iter)
            self._count(node, start, stop, step, signed=signed, span=None)
            return
        span = self.bytes_of(self.value(node.iter))
        self._count(node, "0", span.length, 1, signed=False, span=span)

    def _is_range(self, node: ast.expr) -> bool:
        value = self.value(node) if isinstance(node, ast.Name) else None
        return isinstance(value, Thing) and value.object is range

    def _range(self, node: ast.Call) -> tuple[str, str, int, bool]:
        if node.keywords or not 1 <= len(node.args) <= 3:
            raise Unsupported("range takes one to three numbers")
        values = [arithmetic.number(self.b, self.value(each)) for each in node.args]
        step = values[2] if len(values) == 3 else Constant(1)
        if not isinstance(step, Constant) or step.value == 0:
            raise Unsupported("the step of range must be a constant, and not 0")
        start, stop = (Constant(0), values[0]) if len(values) == 1 else values[:2]
        words = [each for each in (start, stop) if isinstance(each, Word)]
        numbers = [each.value for each in (start, stop, step) if isinstance(each, Constant)]
        signed = any(word.signed for word in words) or min(numbers) < 0
        if signed and not all(word.signed for word in words):
            raise Unsupported("this range counts in i64, and has a u64: convert it with i64()")
        return arithmetic.exact(start, signed=signed), arithmetic.exact(stop, signed=signed), step.value, signed

    def _count(self, node: ast.For, start: str, stop: str, step: int, *, signed: bool, span: Stretch | None) -> None:
        b = self.b
        counter = b.storage(Word(start, signed))
        b.keep(counter, (start,))
        head, body, following, done = (b.make_block() for _ in range(4))
        b.jump(head)
        b.go(head)
        now = b.new(f"load i64, ptr {counter.cells[0]}")
        relation = ("s" if signed else "u") + ("lt" if step > 0 else "gt")
        b.branch(b.new(f"icmp {relation} i64 {now}, {stop}"), body, done)
        b.go(body)
        before = set(self.frame.sure)
        self._keep(node.target, Word(now, signed) if span is None else spans.element(b, span, Word(now)))
        self._turn(node.body, b.block, following, done)
        self.frame.sure &= before  # there may be no turn at all
        b.go(following)
        self._step(counter.cells[0], head, done, stop, step)
        b.go(done)

    def _step(self, cell: str, head: Block, done: Block, stop: str, step: int) -> None:
        """Count on; where less than a step is left, the loop ends before the counter could wrap."""
        now = self.b.new(f"load i64, ptr {cell}")
        if abs(step) > 1:
            left = self.b.new(f"sub i64 {stop}, {now}" if step > 0 else f"sub i64 {now}, {stop}")
            more = self.b.make_block()
            self.b.branch(self.b.new(f"icmp ugt i64 {left}, {abs(step)}"), more, done)
            self.b.go(more)
        self.b.do(f"store i64 {self.b.new(f'add i64 {now}, {literal(step)}')}, ptr {cell}")
        self.b.jump(head)

    # return

    def leave_function(self, node: ast.Return) -> None:
        """return, with or without a value."""
        value = Nothing() if node.value is None else self.value(node.value)
        frame = self.frame
        if frame.done is None:
            self.b.end(f"ret i64 {self._verdict(value)}")
        else:
            self._hand_back(frame, frame.done, value)
        frame.alive = False

    def _hand_back(self, frame: Frame, done: Block, value: Value) -> None:
        if isinstance(value, Nothing):
            frame.bare = True
        else:
            frame.result = frame.result or self.b.storage(value)
            self.b.keep(frame.result, arithmetic.fit(self.b, frame.result, value, "what the function returns"))
        if frame.bare and frame.result is not None:
            raise Unsupported(f"{frame.source.tree.name} returns a value on some ways and none on others")
        self.b.jump(done)

    def _verdict(self, value: Value) -> str:
        if isinstance(value, Nothing):
            return str(language.PASS)
        if not isinstance(value, Constant | Word):
            raise Unsupported(f"a program returns a number (PASS, DROP ...), not {describe(value)}")
        return literal(value.value) if isinstance(value, Constant) else value.text


_LOWER: Final[dict[type[ast.stmt], Callable[..., None]]] = {
    ast.Assign: Statements.assign,
    ast.AnnAssign: Statements.annotated,
    ast.AugAssign: Statements.augment,
    ast.Delete: Statements.delete,
    ast.Expr: Statements.expression,
    ast.Pass: Statements.nothing,
    ast.If: Statements.branch,
    ast.While: Statements.loop_while,
    ast.For: Statements.loop_for,
    ast.Break: Statements.leave,
    ast.Continue: Statements.again,
    ast.Return: Statements.leave_function,
}
