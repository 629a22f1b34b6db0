"""Write the generated parts of the documents, or with --check fail where one is stale.

A generated part stands between `<!-- generated: module:function -->` and `<!-- end -->`; the function takes nothing and
returns Markdown. So one definition in code feeds every table, and a test keeps both the same.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(r"(<!-- generated: (?P<module>[\w.]+):(?P<function>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents(root: Path = ROOT) -> Iterator[Path]:
    yield from sorted(root.glob("*.md"))
    yield from sorted(root.glob("docs/**/*.md"))


def regenerate(text: str) -> str:
    return PART.sub(lambda part: part[1] + _produce(part["module"], part["function"]) + part[4], text)


def _produce(module: str, function: str) -> str:
    produce = cast("Callable[[], str]", getattr(import_module(module), function))
    return produce().strip("\n") + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a part is stale")
    check = parser.parse_args(arguments).check
    stale = [path for path in documents() if regenerate(path.read_text()) != path.read_text()]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'stale, run `make docs`' if check else 'written'}")
        if not check:
            path.write_text(regenerate(path.read_text()))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
