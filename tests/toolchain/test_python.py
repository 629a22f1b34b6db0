"""Programs in Python mean in a microVM what they mean in Python; what is not supported names file and line."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.errors import BadArgument, LibraryMissing, NotTranslatable, TranslationFailed
from packetfs.toolchain.python import backend
from packetfs.toolchain.python.decorator import PythonProgram
from packetfs.toolchain.python.modules import find_program
from packetfs.vm.machine import MACHINES
from packetfs.vm.program import decode_program, encode_program
from tests.toolchain import python_cases
from tests.toolchain.rig import run
from tests.toolchain.twin import Reference

RECORDS = st.lists(
    st.one_of(st.binary(max_size=24), st.text("ab\0Z", max_size=12).map(str.encode), st.binary(min_size=8, max_size=9)),
    min_size=1,
    max_size=6,
)


@cache
def made(function: Callable[..., object]) -> PythonProgram:
    return PythonProgram(function)


@pytest.mark.parametrize("function", python_cases.CASES, ids=lambda function: function.__name__)
@given(records=RECORDS)
@settings(max_examples=40)
def test_programs_mean_what_python_means(function: Callable[..., object], records: list[bytes]) -> None:
    program = made(function)()
    names = {
        name: found for name, found in python_cases.MAPS.items() if name.encode() in {m.name for m in program.maps}
    }
    expected = Reference(function, **{each.name: each.default for each in made(function).arguments}).run(
        records, names, is_changed=function is python_cases.buffers
    )
    for machine in MACHINES:
        outcome = run(program, records, machine)
        line, outcome.line = outcome.line, 0
        assert outcome == expected, machine.name
        assert not outcome.faulted or _is_inside(function, line), "faults name a line of the function"


def _is_inside(function: Callable[..., object], line: int) -> bool:
    lines, first = inspect.getsourcelines(function)
    return first <= line < first + len(lines)


def test_faults_name_the_line(tmp_path: Path) -> None:
    program = write(tmp_path, "def f(record):\n    x = len(record)\n\n    return record[x]\n")()
    assert run(program, [b"abc"]).line == 4


def write(room: Path, text: str, function: str = "f") -> PythonProgram:
    path = room / "source.py"
    path.write_text(text)
    return find_program(str(path), function)


OPERATORS = ("+", "-", "*", "&", "|", "^", "//", "%", "<<", ">>")


def expression(draw: random.Random, depth: int, sign: str) -> str:
    """Return a random expression of one sign over the bytes a, b, c and constants."""
    if depth == 0:
        return draw.choice(
            (
                f"{sign}(a)",
                f"{sign}(b)",
                f"{sign}(c * {draw.getrandbits(60)})",
                str(draw.getrandbits(draw.choice((3, 8, 62)))),
            )
        )
    left, right = (expression(draw, depth - 1, sign) for _ in range(2))
    op = draw.choice(OPERATORS)
    if op in ("<<", ">>"):
        return f"({sign}({left}) {op} ({expression(draw, 0, 'u64')} & 127))"
    kind = draw.randrange(8)
    if kind == 0:
        return f"({left} if {left} < {sign}({right}) else {right})"
    if kind == 1:
        return f"{draw.choice(('min', 'max'))}({left}, {sign}({right}))"
    return f"({sign}({left}) {op} {right})"


@pytest.mark.parametrize("seed", range(12))
def test_random_expressions(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    lines = [f"    emit({expression(draw, 3, draw.choice(('u64', 'i64')))}, b' ')" for _ in range(8)]
    text = "\n".join(("from packetfs import emit, i64, u64", "def f(record):", "    a = record[0]", "    b = record[1]",
                      "    c = record[2]", *lines, ""))  # fmt: skip
    program = write(tmp_path, text)
    code = program()
    for _ in range(20):
        records = [draw.randbytes(3)]
        expected = Reference(program.function).run(records, {})
        outcome = run(code, records)
        outcome.line = 0
        assert outcome == expected, text


def test_arguments_are_bound_without_translating_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(python_cases.arguments)
    source.translate()
    monkeypatch.setattr(backend, "compile_ir", None)
    program = source(pattern=b"xy", times="3", shift=-(1 << 63), loud="yes")
    expected = Reference(source.function, pattern=b"xy", times=3, shift=-(1 << 63), loud=True).run([b"..xy"], {})
    assert run(program, [b"..xy"]).output == expected.output
    assert decode_program(encode_program(program)) == program


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"nothing": 1}, "none of that name; it has only pattern, times, shift, loud"),
        ({"times": -1}, "-1 is not possible; it takes 0 to"),
        ({"times": "many"}, "'many' is no number"),
        ({"shift": 1 << 63}, "is not possible; it takes -9,223"),
        ({"loud": "perhaps"}, "'perhaps' is neither yes nor no; it takes yes or no"),
        ({"pattern": b"x" * 257}, "257 bytes; it takes up to 256 bytes"),
        ({"pattern": "a\\q"}, "a backslash is written"),
        ({"pattern": 5}, "5 is of another kind; it takes up to 256 bytes"),
    ],
)
def test_wrong_arguments_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadArgument, match=reason):
        made(python_cases.arguments)(**given)


def test_backslashes_of_arguments() -> None:
    program = made(python_cases.arguments)(pattern="\\x00\\t\\n\\\\é", times=1)
    assert run(program, [b""]).output.startswith(b"\0\t\n\\" + "é".encode())


HEAD = (
    "from packetfs import *\nimport packetfs\nc = Array(4)\nh = Hash(8, 4)\nodd = Hash(3, 4)\ndef g(x):\n    return x\n"
)
WRONG = (
    ("    x = 1.5", "fractions are not supported"),
    ("    x = 7 / 2", "divide with //"),
    ("    x = len(record) / 2", "divide with //"),
    ("    x = len(record) ** 2", "operator Pow"),
    ("    x = f'{record}'", "f-strings"),
    ("    emit('text')", "write bytes"),
    ("    x = [1, 2]", "lists are not supported"),
    ("    x = {}", "dictionaries"),
    ("    x = {1}", "sets"),
    ("    x = [i for i in record]", "comprehensions"),
    ("    x = sum(i for i in record)", "comprehensions"),
    ("    x = lambda: 1", "lambda"),
    ("    def inner(): pass", "functions inside"),
    ("    class Inner: pass", "classes"),
    ("    try:\n        pass\n    except: pass", "try is not supported"),
    ("    raise ValueError", "raise is not supported"),
    ("    assert record", "assert is not supported"),
    ("    with record: pass", "with is not supported"),
    ("    import os", "imports stand outside"),
    ("    global c", "global is not supported"),
    ("    yield 1", "yield is not supported"),
    ("    if (x := 1): pass", "assignments inside"),
    ("    emit(*record)", "stars are not supported"),
    ("    match record:\n        case _: pass", "match is not supported"),
    ("    while True:\n        break\n    else:\n        pass", "else of a loop"),
    ("    emit(record[::2])", "slices with a step"),
    ("    emit(y)", "there is no y"),
    ("    if record:\n        y = 1\n    emit(y)", "y may not be assigned"),
    ("    for y in range(3):\n        pass\n    emit(y)", "y may not be assigned"),
    ("    y = 1\n    y = b'x'", "y holds a u64 and cannot hold bytes"),
    ("    y = 1\n    y = i64(2)", "y holds a u64: convert an i64"),
    ("    y = 1\n    y = -1", "-1 meets a u64"),
    ("    y: u32 = 1", "variables hold 64 bits"),
    ("    y: i64 = len(record)", "a u64 is given to a variable of type i64"),
    ("    y = i64(1) + len(record)", "a u64 and an i64 meet"),
    ("    y = len(record) < -1", "-1 meets a u64"),
    ("    y = 1 << 64", "does not fit into 64 bits"),
    ("    y = 1 << 99999999", "too large"),
    ("    y = 5 // 0", "division"),
    ("    y = 1 >> -1", "negative shift count"),
    ("    c[4] += 1", "index 4 is outside of 4 entries"),
    ("    c[record] = 1", "an Array has numbers as keys"),
    ("    emit(int(1 in c))", "an Array has no in"),
    ("    del c[1]", "an Array has no del"),
    ("    del record", "del takes keys out of maps"),
    ("    odd[5] = 1", "keys of 1, 2, 4 or at least 8 bytes, not 3"),
    ("    h[1] = i64(1)", "the map holds u64"),
    ("    h.pop(1)", "a map has no pop"),
    ("    b'x'[0] = 1", "these bytes are constant"),
    ("    record[0:2] = b'xy'", "slices cannot be assigned"),
    ("    record.upper()", "bytes have no upper"),
    ("    emit(record.size)", "bytes has no size"),
    ("    emit(packetfs.nothing)", "packetfs has no nothing"),
    ("    emit(record < b'x')", "only compared with =="),
    ("    emit(record + b'x')", "bytes are not joined"),
    ("    emit(record.u16(-1))", "reach beyond the end"),
    ("    record", "this has no effect"),
    ("    x = c", "a map cannot be kept"),
    ("    x = g", "g cannot be kept"),
    ("    x = g()", "g is not given x"),
    ("    x = g(1, 2)", "g takes 1 values, not 2"),
    ("    x = g(1, x=2)", "given it twice"),
    ("    x = print(1)", "print cannot be called"),
    ("    x = len(record)(1)", "a u64 cannot be called"),
    ("    x = f(record)", "f calls itself"),
    ("    x = range(3)", "range stands only behind for"),
    ("    for x in range(len(record), 0, -1): pass", "counts in i64"),
    ("    for x in range(0, 5, len(record)): pass", "must be a constant"),
    ("    for x in range(1, 2, 0): pass", "and not 0"),
    ("    for x in 5: pass", "bytes are needed here"),
    ("    for x, y in record: pass", "for takes one name"),
    ("    x, y = record", "as many values as names"),
    ("    x = bytearray(len(record))", "bytearray takes a constant"),
    ("    x = ord(record)", "ord takes one letter"),
    ("    x = min(1)", "two or more numbers"),
    ("    x = len(record, 1)", "len takes 1 value"),
    ("    x = None", "nothing cannot be kept"),
    ("    return b'x'", "a program returns a number"),
    ("    return True", "a program returns a number"),
    ("    x = bytearray(200)\n    y = bytearray(200)\n    z = bytearray(200)", "bytes of stack"),
    ("    record.count(b'ab')", "count takes one constant byte"),
    ("    record.count_parts(b'ab', b'a')", "count_parts takes one constant byte"),
    ("    record.count_parts(b'a')", "count_parts takes 2 values, not 1"),
    ("    record.find(b'x', i64(2))", "find begins at a u64"),
    ("    emit(len(record) in 5)", "bytes are needed here"),
    ("    emit(len(record) is len(record))", "comparison Is"),
    ("    emit(" + "-(" * 300 + "1" + ")" * 300 + ")", "nested too deeply|too many nested|a number"),
)  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_what_is_not_supported_names_file_and_line(tmp_path: Path, body: str, reason: str) -> None:
    text = f"{HEAD}def f(record):\n{body}\n"
    last = len(HEAD.splitlines()) + 1 + len(body.splitlines())
    first = len(HEAD.splitlines()) + 1
    with pytest.raises(NotTranslatable, match=reason) as caught:
        write(tmp_path, text)()
    assert caught.value.fields["file"] == str(tmp_path / "source.py")
    line = caught.value.fields["line"]
    assert isinstance(line, int)
    assert first <= line <= last


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(): pass", "a program takes the record"),
        ("def f(a, b): pass", "a program takes the record"),
        ("def f(*a): pass", "parameters with stars"),
        ("def f(a, *, b=1): pass", "the argument b needs a type"),
        ("def f(a, *, b: str = 'x'): pass", "the argument b needs a type"),
        ("def f(a, *, b: int = -1): pass", "the default of b is no u64"),
        ("def f(a, *, b: int): pass", "the argument b needs a default"),
        ("async def f(a): pass", "functions that begin with def"),
        ("from packetfs import Array\na = Array(1, name='x y')\ndef f(r): a[0] += 1", "no identifier"),
        (
            "from packetfs import Array\na = Array(1, name='b')\nb = Array(1)\ndef f(r):\n  a[0] += 1\n  b[0] += 1",
            "another map",
        ),
        ("def g(x):\n  if x: return 1\ndef f(r): return g(r)", "on some ways and none on others"),
        ("def g(x):\n  if x: return\n  return 1\ndef f(r): return g(r)", "on some ways and none on others"),
    ],
)
def test_wrong_functions(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(NotTranslatable, match=reason):
        write(tmp_path, text + "\n")()


def test_copies_of_functions_do_not_grow_without_end(tmp_path: Path) -> None:
    levels = [f"def f{n}(x):\n    return f{n - 1}(x) + f{n - 1}(x + 1)\n" for n in range(1, 28)]
    text = "".join(("def f0(x):\n    return x * x\n", *levels, "def f(record):\n    return f27(len(record))\n"))
    with pytest.raises(NotTranslatable, match="grows too long"):
        write(tmp_path, text)()


def test_functions_without_source_are_refused() -> None:
    scope: dict[str, Any] = {}
    exec("def f(record): pass", scope)  # noqa: S102  # what a prompt would do
    with pytest.raises(NotTranslatable, match="source cannot be read"):
        PythonProgram(scope["f"])()
    with pytest.raises(NotTranslatable, match="no Python function"):
        PythonProgram(len)()


def test_arrays_refuse_reducers_that_zero_spoils() -> None:
    from packetfs import MIN, Array

    with pytest.raises(ValueError, match="use a Hash"):
        Array(1, MIN)


def test_what_llvm_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(backend.BackendError, match="expected"):
        backend.compile_ir("this is no IR", 60)
    floats = "define double @main(double %x) {\n %y = fmul double %x, %x\n ret double %y\n}"
    with pytest.raises(backend.BackendError):
        backend.compile_ir(floats, 60)
    with pytest.raises(backend.BackendError, match="more than 0 seconds"):
        backend.compile_ir("", 0.001)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TranslationFailed, match="LLVM said nothing"):
        PythonProgram(python_cases.logic)()


def test_missing_llvm_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\necho \"No module named 'llvmlite'\" >&2\nexit 3\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(LibraryMissing, match="llvmlite cannot be loaded: No module"):
        PythonProgram(python_cases.loops)()
