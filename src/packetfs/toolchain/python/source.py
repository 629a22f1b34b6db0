"""The source of a function: its syntax tree with true line numbers, and the values of names that it does not assign."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from types import FunctionType

from packetfs.dataclass import dataclass, field
from packetfs.errors import NotTranslatable
from packetfs.typing import Callable, NoReturn


@dataclass(frozen=True, slots=True)
class Source:
    """A function as text and tree. `scope`: its globals and what its closure holds. `assigned`: its own names."""

    file: str
    tree: ast.FunctionDef
    scope: dict[str, object] = field(repr=False)
    assigned: frozenset[str]

    def refuse(self, node: ast.AST, reason: str) -> NoReturn:
        """Raise NotTranslatable for a place in this function."""
        raise NotTranslatable(file=self.file, line=getattr(node, "lineno", self.tree.lineno), reason=reason)

    def find(self, name: str) -> object:
        """Return the object that a free name means; LookupError when there is none."""
        if name in self.scope:
            return self.scope[name]
        return vars(builtins)[name]


def read_source(function: Callable[..., object]) -> Source:
    """Return the source of a Python function; NotTranslatable when it cannot be seen or is no plain function."""
    if not isinstance(function, FunctionType):
        raise NotTranslatable(file=getattr(function, "__name__", "?"), line=0, reason="this is no Python function")
    file = function.__code__.co_filename
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, SyntaxError, TypeError, IndexError) as error:
        reason = f"its source cannot be read: {error}"
        raise NotTranslatable(file=file, line=function.__code__.co_firstlineno, reason=reason) from None
    ast.increment_lineno(tree, first - 1)
    if not isinstance(tree, ast.FunctionDef):
        raise NotTranslatable(file=file, line=first, reason="programs are made of functions that begin with def")
    return Source(file, tree, _scope(function), frozenset(_assigned(tree)))


def _scope(function: FunctionType) -> dict[str, object]:
    names = function.__code__.co_freevars
    cells = dict(zip(names, function.__closure__ or (), strict=True))
    held = {}
    for name, cell in cells.items():
        try:
            held[name] = cell.cell_contents
        except ValueError:  # a name that the enclosing function has not assigned yet
            continue
    return {**function.__globals__, **held}


def _assigned(tree: ast.FunctionDef) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}


def parameters(source: Source) -> tuple[list[ast.arg], list[ast.arg]]:
    """Return the positional and the keyword-only parameters of a function; stars are refused."""
    arguments = source.tree.args
    if arguments.vararg or arguments.kwarg:
        source.refuse(source.tree, "parameters with stars are not supported")
    return [*arguments.posonlyargs, *arguments.args], arguments.kwonlyargs
