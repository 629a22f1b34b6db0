"""Which Python a program may use, as a table; everything else is an error that names file and line."""

from __future__ import annotations

import ast

from packetfs.toolchain.python.source import Source
from packetfs.typing import Final

TAKEN: Final = (
    ast.arguments, ast.arg, ast.Load, ast.Store, ast.Del, ast.Name, ast.Constant, ast.Attribute, ast.Subscript,
    ast.Slice, ast.Call, ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.If, ast.While, ast.For, ast.Break,
    ast.Continue, ast.Return, ast.Pass, ast.Delete, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Tuple, ast.keyword,
)  # fmt: skip
"""Syntax that programs are made of; what it means stands in the lowering."""

ADVICE: Final[dict[type[ast.AST], str]] = {
    ast.JoinedStr: "f-strings are not supported: emit takes bytes and numbers, one after the other",
    ast.List: "lists are not supported: keep numbers in an Array of the program",
    ast.Dict: "dictionaries are not supported: keep numbers in a Hash of the program",
    ast.Set: "sets are not supported: keep keys in a Hash of the program",
    ast.ListComp: "comprehensions are not supported: write a loop",
    ast.GeneratorExp: "comprehensions are not supported: write a loop",
    ast.DictComp: "comprehensions are not supported: write a loop",
    ast.SetComp: "comprehensions are not supported: write a loop",
    ast.Lambda: "lambda is not supported: write a function with def",
    ast.FunctionDef: "functions inside of functions are not supported: put it beside this one",
    ast.ClassDef: "classes are not supported",
    ast.Try: "try is not supported: where Python would raise, a program faults",
    ast.Raise: "raise is not supported: return a verdict instead",
    ast.Assert: "assert is not supported: return a verdict instead",
    ast.With: "with is not supported",
    ast.Import: "imports stand outside of the function",
    ast.ImportFrom: "imports stand outside of the function",
    ast.Global: "global is not supported: keep numbers in an Array of the program",
    ast.Nonlocal: "nonlocal is not supported: keep numbers in an Array of the program",
    ast.Yield: "yield is not supported: emit what is found",
    ast.YieldFrom: "yield is not supported: emit what is found",
    ast.Await: "await is not supported",
    ast.NamedExpr: "assignments inside of expressions are not supported: give it a line of its own",
    ast.Starred: "stars are not supported",
    ast.Match: "match is not supported: write if and elif",
}
"""What to do instead of what is refused most."""


def check_syntax(source: Source) -> None:
    """Refuse a function that uses Python which programs do not have; NotTranslatable names the first place."""
    nodes = [node for part in (*source.tree.body, *source.tree.args.args) for node in ast.walk(part)]
    for node in sorted(nodes, key=_line):
        reason = _problem(node)
        if reason:
            source.refuse(node, reason)


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1 << 30)  # parts without a place come after those that have one


def _problem(node: ast.AST) -> str:
    if not isinstance(node, TAKEN):
        return ADVICE.get(type(node), f"{type(node).__name__} is not supported")
    if isinstance(node, ast.While | ast.For) and node.orelse:
        return "else of a loop is not supported"
    if isinstance(node, ast.Slice) and node.step is not None:
        return "slices with a step are not supported"
    if isinstance(node, ast.Constant):
        return _constant(node.value)
    return ""


def _constant(value: object) -> str:
    if isinstance(value, float | complex):
        return "fractions are not supported: count in the smallest unit, as integers"
    if value is Ellipsis:
        return "... is not supported"
    return ""
