"""A Python function becomes a program: check, lower, compile, and put the maps' numbers where the object names them."""

from __future__ import annotations

import ast

from packetfs.dataclass import dataclass
from packetfs.errors import LibraryMissing, TranslationFailed
from packetfs.limits import PYTHON_SECONDS
from packetfs.toolchain.allowed import ANY, Allowed, Content
from packetfs.toolchain.arguments import Argument, pack
from packetfs.toolchain.notes import Notes, attach, described
from packetfs.toolchain.python.backend import BackendError, compile_ir
from packetfs.toolchain.python.language import Array, Hash, Integer
from packetfs.toolchain.python.lowering import ARGUMENTS, CONSTANTS, Frame
from packetfs.toolchain.python.objects import link
from packetfs.toolchain.python.source import Source, parameters, read_source
from packetfs.toolchain.python.statements import Statements
from packetfs.toolchain.python.syntax import check_syntax
from packetfs.toolchain.python.values import Stretch, Truth, Value, Word
from packetfs.typing import Callable, Final
from packetfs.vm.layout import MapFlag, MapType, Show
from packetfs.vm.program import MapDefinition, Program

_ATTRIBUTES: Final = '{ nounwind "no-builtins" "no-jump-tables"="true" }'
"""No memset or jump tables out of loops and comparisons: eBPF has neither."""
_DECIMAL: Final = """
define internal void @decimal(i64 %value, i1 %negative) #1 {
entry:
  %room = alloca [24 x i8], align 8
  %base = ptrtoint ptr %room to i64
  %end = add i64 %base, 24
  br label %digit
digit:
  %left = phi i64 [ %value, %entry ], [ %rest, %digit ]
  %at = phi i64 [ %end, %entry ], [ %before, %digit ]
  %rest = udiv i64 %left, 10
  %low = urem i64 %left, 10
  %letter = add i64 %low, 48
  %before = add i64 %at, -1
  %cut = trunc i64 %letter to i8
  %place = inttoptr i64 %before to ptr
  store i8 %cut, ptr %place
  %more = icmp ne i64 %rest, 0
  br i1 %more, label %digit, label %sign
sign:
  br i1 %negative, label %minus, label %write
minus:
  %front = add i64 %before, -1
  %first = inttoptr i64 %front to ptr
  store i8 45, ptr %first
  br label %write
write:
  %start = phi i64 [ %before, %sign ], [ %front, %minus ]
  %size = sub i64 %end, %start
  call i64 inttoptr (i64 4096 to ptr)(i64 %start, i64 %size)
  ret void
}
attributes #1 = { noinline nounwind "no-builtins" "no-jump-tables"="true" }
"""
STACK_MAX: Final = 448
"""Bytes of keys and buffers in the frame of 512; the rest is LLVM's."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A program, and the arguments that its map `args` holds. `decimals`: by map, the argument that says its digits."""

    program: Program
    arguments: tuple[Argument, ...]
    decimals: dict[str, str]


def translate(function: Callable[..., object], records: str = "") -> Translation:
    """Return the program of a function, with notes of what it is and takes, and of the records that it is made for.

    NotTranslatable, TranslationFailed or LibraryMissing say why there is none.
    """
    source = read_source(function)
    check_syntax(source)
    arguments = _arguments(source, function)
    lowering = _lower(source, arguments)
    definitions = _definitions(lowering, arguments)
    object_file = _compile(_module(lowering, definitions), source)
    names = {each.name for each in arguments}
    decimals = {name: found.decimals for name, found in lowering.maps.items() if found.decimals in names}
    program = link(object_file, definitions, source.tree.name)
    summary = " ".join((function.__doc__ or "").strip().partition("\n\n")[0].split())
    return Translation(attach(program, Notes(summary, records, arguments, decimals)), arguments, decimals)


def _arguments(source: Source, function: Callable[..., object]) -> tuple[Argument, ...]:
    """Return the keyword-only parameters as arguments: their types are annotations, their defaults Python's."""
    found: list[Argument] = []
    defaults = getattr(function, "__kwdefaults__", None) or {}
    for each in parameters(source)[1]:
        kind, allowed = _declared(source, each)
        if each.arg not in defaults:
            source.refuse(each, f"the argument {each.arg} needs a default, for runs that do not give it")
        default = defaults[each.arg]
        offset = found[-1].offset + found[-1].size if found else 0
        found.append(Argument(each.arg, kind, offset, _default(source, each, kind, allowed, default), allowed=allowed))
    return described(tuple(found), function.__doc__ or "")


def _default(source: Source, parameter: ast.arg, kind: str, allowed: Allowed, default: object) -> Content:
    if not isinstance(default, int | bytes) or not ANY.fits(kind, default):
        source.refuse(parameter, f"the default of {parameter.arg} is no {kind}")
    if not allowed.fits(kind, default):
        source.refuse(parameter, f"{parameter.arg} does not take its default; it takes {allowed.words(kind)}")
    return default


def _declared(source: Source, parameter: ast.arg) -> tuple[str, Allowed]:
    """Return the kind of an argument and what it takes: `int`, or `Annotated[int, between(1, 8)]`."""
    told, allowed = parameter.annotation, ANY
    kind: object = None
    if isinstance(told, ast.Name | ast.Attribute | ast.Subscript):
        kind = _evaluate(source, parameter, told)
        for each in getattr(kind, "__metadata__", ()):
            allowed = each if isinstance(each, Allowed) else allowed
        kind = getattr(kind, "__origin__", kind)
    name = _kind(source, parameter, kind)
    if not allowed.is_possible(name):
        source.refuse(parameter, f"what {parameter.arg} takes is no {name}")
    return name, allowed


def _evaluate(source: Source, parameter: ast.arg, told: ast.expr) -> object:
    """Return what an annotation means. The file is trusted: it was executed to find the function."""
    try:
        return eval(compile(ast.Expression(told), source.file, "eval"), dict(source.scope))  # noqa: S307
    except Exception as error:  # whatever an annotation raises is told with its place
        source.refuse(parameter, f"the type of {parameter.arg} cannot be read: {error}")


def _kind(source: Source, parameter: ast.arg, kind: object) -> str:
    if isinstance(kind, Integer) and kind.bits == 64:
        return kind.name
    if kind is int:
        return "u64"
    if kind is not bool and kind is not bytes:
        source.refuse(parameter, f"the argument {parameter.arg} needs a type: int, u64, i64, bool or bytes")
    return "bool" if kind is bool else "bytes"


def _lower(source: Source, arguments: tuple[Argument, ...]) -> Statements:
    positional, _ = parameters(source)
    if len(positional) != 1:
        source.refuse(
            source.tree, "a program takes the record, and behind a star its arguments: def f(record, *, n: int = 1)"
        )
    lowering = Statements()
    lowering.frames.append(Frame(source))
    lowering.record = Stretch("%data", "%length", True)
    lowering.bind({positional[0].arg: lowering.record, **{each.name: _value(lowering, each) for each in arguments}})
    lowering.statements(source.tree.body)
    if lowering.frame.alive:
        lowering.b.end("ret i64 2")
    if lowering.b.stack_bytes > STACK_MAX:
        source.refuse(
            source.tree, f"its keys and buffers need {lowering.b.stack_bytes} bytes of stack; {STACK_MAX} are there"
        )
    return lowering


def _value(lowering: Statements, argument: Argument) -> Value:
    """Return an argument as a value; what is never used, LLVM drops."""
    at = lowering.b.add(lowering.base(ARGUMENTS), str(argument.offset))
    word = lowering.b.load(at, 8)
    if argument.kind == "bytes":
        return Stretch(lowering.b.add(at, "8"), word)
    if argument.kind == "bool":
        return Truth(lowering.b.new(f"icmp ne i64 {word}, 0"))
    return Word(word, argument.kind == "i64")


def _definitions(lowering: Statements, arguments: tuple[Argument, ...]) -> tuple[MapDefinition, ...]:
    """Return the maps in the order in which the function names them, then arguments and constants."""
    texts = lowering.tables.text_keys
    found = [_definition(name, each, is_text=name in texts) for name, each in lowering.maps.items()]
    contents = {ARGUMENTS: pack(arguments, {}), CONSTANTS: bytes(lowering.constants)}
    found += [_content(name, content) for name, content in contents.items() if content]
    return tuple(found)


def _definition(name: str, found: Array | Hash, *, is_text: bool) -> MapDefinition:
    show = found.show if found.show is not None else Show.TEXT if is_text else Show.UNSIGNED
    kind, key = (MapType.HASH, found.key_bytes) if isinstance(found, Hash) else (MapType.ARRAY, 4)
    return MapDefinition(name.encode(), kind, key, 8, found.entries, reducer=found.reducer, show=show)


def _content(name: str, content: bytes) -> MapDefinition:
    size = -(-len(content) // 8) * 8
    return MapDefinition(name.encode(), MapType.ARRAY, 4, size, 1, MapFlag.READ_ONLY, initial=content)


def _module(lowering: Statements, definitions: tuple[MapDefinition, ...]) -> str:
    """Return the IR. A map is a symbol of section `maps`; its content there means nothing, `link` knows it by name."""
    names = [*(each.name.decode() for each in definitions), *sorted(lowering.tables.handles)]
    parts = [f'@{name} = dso_local global [5 x i32] zeroinitializer, section "maps"' for name in names]
    parts += ["declare i64 @llvm.bswap.i64(i64)", _DECIMAL if lowering.decimals else ""]
    parts.append("define i64 @main(ptr %ctx.at, i64 range(i64 0, 268435456) %length) #0 {")
    lowering.b.entry[:0] = ["%data = load i64, ptr %ctx.at", "%ctx = ptrtoint ptr %ctx.at to i64"]
    parts += [lowering.b.text(), "}", f"attributes #0 = {_ATTRIBUTES}", '!0 = !{!"branch_weights", i32 2000, i32 1}']
    return "\n".join(parts)


def _compile(text: str, source: Source) -> bytes:
    try:
        return compile_ir(text, PYTHON_SECONDS)
    except BackendError as error:
        if error.missing:
            reason = f"{error}; programs in Python need the extra packetfs[programs] (pip install 'packetfs[programs]')"
            raise LibraryMissing(name="llvmlite", reason=reason) from None
        raise TranslationFailed(name=source.tree.name, reason=str(error)) from None
