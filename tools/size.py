"""The size budget: small modules and small functions, or the build fails.

Blank lines and comments count, as a reader meets them too. `__init__` modules are left out of the median: they only
hold a docstring here and would flatter it.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE_MEDIAN = 150
MODULE_MAX = 600
FUNCTION_MEDIAN = 10
FUNCTION_P95 = 45


@dataclass(frozen=True, slots=True)
class Sizes:
    modules: dict[str, int]
    functions: dict[str, int]


def measure(root: Path = ROOT) -> Sizes:
    modules: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in _sources(root):
        text = path.read_text()
        name = str(path.relative_to(root))
        modules[name] = text.count("\n")
        if path.suffix == ".py":
            functions.update(_functions(name, text))
    return Sizes(modules, functions)


def _sources(root: Path) -> Iterator[Path]:
    for folder, pattern in (("src", "**/*.py"), ("bench", "**/*.py"), ("tools", "**/*.py"), ("native", "**/*.[ch]")):
        yield from sorted((root / folder).glob(pattern))


def _functions(name: str, text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def judge(sizes: Sizes) -> list[str]:
    modules = [lines for name, lines in sizes.modules.items() if not name.endswith("__init__.py")]
    functions = sorted(sizes.functions.values())
    p95 = functions[len(functions) * 95 // 100]
    faults = [f"{name} has {n} lines, over {MODULE_MAX}" for name, n in sizes.modules.items() if n > MODULE_MAX]
    for what, value, bound in (
        ("median module", statistics.median(modules), MODULE_MEDIAN),
        ("median function", statistics.median(functions), FUNCTION_MEDIAN),
        ("95th percentile of functions", p95, FUNCTION_P95),
    ):
        print(f"{what}: {value:g} lines (at most {bound})")
        if value > bound:
            faults.append(f"{what}: {value:g} lines, over {bound}")
    return faults


def main() -> int:
    sizes = measure()
    print(f"{len(sizes.modules)} files, {sum(sizes.modules.values())} lines, {len(sizes.functions)} functions")
    faults = judge(sizes)
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
