"""A program's function as Python runs it: the reference for what its microVMs do.

The plain function is executed with every integer literal made a 64-bit word, so that arithmetic wraps as it does in a
microVM; what raises there must fault here.
"""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from packetfs.toolchain.python import language
from packetfs.toolchain.python.language import Array, Hash, Map, Span
from tests.toolchain.rig import Outcome


class Word(int):
    """64 bits with a sign or without; what Python's operators would give, cut to them."""

    is_signed = False

    def __new__(cls, value: int, is_signed: bool = False) -> Word:
        self = super().__new__(cls, language.Integer("", 64, is_signed)(int(value)))
        self.is_signed = is_signed
        return self


class Fixed(int):
    """A literal: an integer that takes the sign of what it meets."""


def _cut(value: int, *sources: int) -> int:
    words = [each for each in sources if isinstance(each, Word)]
    return Word(value, any(each.is_signed for each in words)) if words else Fixed(value)


def _install() -> None:
    names = ("add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift")
    for name in names:
        apply = getattr(operator, name)

        def forwards(self: Any, other: Any, apply: Any = apply, name: str = name) -> Any:
            if not isinstance(other, int):
                return NotImplemented
            if "shift" in name:
                made = apply(int(self), min(int(other), 64))
                return Word(made) if type(self) is Fixed and isinstance(other, Word) else _cut(made, self)
            return _cut(apply(int(self), int(other)), self, other)

        def backwards(self: Any, other: Any, forwards: Any = forwards) -> Any:
            return forwards(other if isinstance(other, Word | Fixed) else Fixed(other), self)

        for kind in (Word, Fixed):
            setattr(kind, f"__{name.strip('_')}__", forwards)
            setattr(kind, f"__r{name.strip('_')}__", backwards)
    for kind in (Word, Fixed):
        kind.__neg__ = lambda self: _cut(-int(self), self)  # type: ignore[method-assign]
        kind.__invert__ = lambda self: _cut(~int(self), self)  # type: ignore[method-assign]
        kind.__abs__ = lambda self: _cut(abs(int(self)), self)  # type: ignore[method-assign]


_install()


class Held(dict[bytes, int]):
    """A map of the Python side: keys and numbers as the microVM's."""

    def __init__(self, found: Map) -> None:
        super().__init__()
        self.found = found

    def _key(self, key: int | bytes) -> bytes:
        if isinstance(self.found, Array):
            assert isinstance(key, int)
            if not 0 <= key < self.found.entries:
                raise IndexError(key)
            return int(key).to_bytes(4, "little")
        assert isinstance(self.found, Hash)
        size = self.found.key_bytes
        raw = key if isinstance(key, bytes) else (int(key) & ((1 << 64) - 1)).to_bytes(8, "little")
        return bytes(raw[:size]).ljust(size, b"\0")

    def __getitem__(self, key: int | bytes) -> int:
        return self.get(key)

    def __setitem__(self, key: int | bytes, value: int) -> None:
        if not self.put(key, value):
            raise MemoryError("the map is full")

    def get(self, key: int | bytes, default: int = 0) -> int:  # type: ignore[override]
        found = super().get(self._key(key))
        return Word(default, self.found.signed) if found is None else Word(found, self.found.signed)

    def put(self, key: int | bytes, value: int) -> bool:
        kept = self._key(key)
        if super().__contains__(kept) or dict.__len__(self) < self.found.entries:
            super().__setitem__(kept, int(value) & ((1 << 64) - 1))
            return True
        return False

    def add(self, key: int | bytes, value: int = 1) -> bool:
        return self.put(key, self.get(key) + value)

    def __contains__(self, key: object) -> bool:
        assert isinstance(key, int | bytes)
        return super().__contains__(self._key(key))

    def __delitem__(self, key: int | bytes) -> None:
        self.pop(self._key(key), None)

    def __len__(self) -> int:
        return self.found.entries if isinstance(self.found, Array) else super().__len__()


class Bytes(Span):
    """Bytes whose elements are words."""

    number = offset = file = Word(0)

    def __getitem__(self, key: Any) -> Any:
        found = bytes.__getitem__(self, key)
        return Bytes(found) if isinstance(found, bytes) else Word(found)

    def __iter__(self) -> Any:
        return (Word(each) for each in bytes(self))

    def __len__(self) -> int:
        return bytes.__len__(self)

    def find(self, *values: Any) -> Any:
        return Word(bytes.find(self, *values), True)

    def count(self, *values: Any) -> Any:
        return Word(bytes.count(self, *values))

    def _number(self, offset: int, size: int, order: str) -> int:
        return Word(super()._number(offset, size, order))


class _Literals(ast.NodeTransformer):
    """Make literals what they are in a program."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bytes):
            return ast.Call(ast.Name("_bytes", ast.Load()), [node], [])
        if isinstance(node.value, int) and not isinstance(node.value, bool):
            return ast.Call(ast.Name("_fixed", ast.Load()), [node], [])
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        node.value = ast.Call(ast.Name("_kept", ast.Load()), [node.value], [])
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None
        kind = node.annotation
        value = ast.Call(ast.Name("_kept", ast.Load()), [self.visit(node.value), kind], [])
        return ast.Assign([node.target], value)


def _kept(value: Any, kind: Any = None) -> Any:
    if isinstance(value, tuple):
        return tuple(_kept(each) for each in value)
    if isinstance(value, Fixed):
        return Word(value, value < 0 if kind is None else kind.signed)
    return value


def _converted(kind: language.Integer) -> Callable[[int], Word]:
    return lambda value: Word(kind(int(value)), kind.signed)


def _range(*values: int) -> list[Word]:
    is_signed = any(each < 0 for each in values) or any(isinstance(each, Word) and each.is_signed for each in values)
    return [Word(each, is_signed) for each in range(*(int(each) for each in values))]


def _argument(value: Any) -> Any:
    if isinstance(value, bytes):
        return Bytes(value)
    return value if isinstance(value, bool) else Word(value, value < 0)


class Reference:
    """A program's function as Python runs it."""

    def __init__(self, function: Callable[..., Any], **arguments: Any) -> None:
        self.maps: dict[int, Held] = {}
        self.output = bytearray()
        self.function = self._made(function)
        self.arguments = {name: _argument(each) for name, each in arguments.items()}

    def _made(self, function: Callable[..., Any]) -> Callable[..., Any]:
        assert isinstance(function, FunctionType)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.decorator_list, definition.returns = [], None
        for each in (*definition.args.args, *definition.args.kwonlyargs):
            each.annotation = None
        tree = ast.fix_missing_locations(_Literals().visit(tree))
        scope = {name: self._outer(value) for name, value in inspect.getclosurevars(function).globals.items()}
        scope.update({name: self._outer(value) for name, value in inspect.getclosurevars(function).nonlocals.items()})
        scope.update(_fixed=Fixed, _bytes=Bytes, _kept=_kept, range=_range, len=lambda each: Word(len(each)))
        scope.update(bytearray=lambda size: Buffer(int(size)))
        scope.update(emit=self.emit, int=lambda each: Word(each) if isinstance(each, bool) else each)
        exec(compile(tree, function.__code__.co_filename, "exec"), scope)  # noqa: S102  # our own tests' functions
        made: Callable[..., Any] = scope[definition.name]
        return made

    def _outer(self, value: Any) -> Any:
        if isinstance(value, Map):
            return self.maps.setdefault(id(value), Held(value))
        if isinstance(value, language.Integer):
            return _Kind(value)
        if isinstance(value, bytes):
            return Bytes(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return Fixed(value)
        return self._made(value) if isinstance(value, FunctionType) and value is not language.emit else value

    def emit(self, *parts: Any) -> None:
        for part in parts:
            self.output += bytes(part) if isinstance(part, bytes | bytearray) else str(int(part)).encode()

    def run(self, records: Sequence[bytes], names: dict[str, Map], *, is_changed: bool = False) -> Outcome:
        """Run the function over all records, up to the first that raises."""
        verdicts, faulted, offset = [0] * 6, False, 0
        for index, record in enumerate(records):
            given: Any = Buffer(record) if is_changed else Bytes(record)
            given.number, given.offset, given.file = Word(index), Word(offset), Word(0)
            offset += len(record)
            try:
                verdict = self.function(given, **self.arguments)
            except (IndexError, ZeroDivisionError, MemoryError, ValueError):
                faulted = True
                break
            verdicts[min(5, int(Word(2 if verdict is None else verdict)))] += 1
        held = {name: self._held(found) for name, found in names.items()}
        return Outcome(bytes(self.output), held, tuple(verdicts), faulted)

    def _held(self, found: Map) -> dict[bytes, int]:
        kept = self.maps.get(id(found), Held(found))
        numbers = {key: int(value) for key, value in dict.items(kept)}
        return {key: value for key, value in numbers.items() if value or isinstance(found, Hash)}


@dataclass(frozen=True)
class _Kind:
    """u8 ... i64 of the Python side: convert, and annotate."""

    kind: language.Integer

    @property
    def signed(self) -> bool:
        return self.kind.signed

    def __call__(self, value: int) -> Word:
        return Word(self.kind(int(value)), self.kind.signed)


class Buffer(bytearray):
    """bytearray of the Python side, whose elements are words cut to 8 bits."""

    def __getitem__(self, key: Any) -> Any:
        found = bytearray.__getitem__(self, key)
        return Buffer(found) if isinstance(found, bytearray) else Word(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        bytearray.__setitem__(self, key, int(value) & 0xFF)
