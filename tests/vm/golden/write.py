"""Write tests/vm/conformance/*.txt: `python -m tests.vm.golden.write`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.vm.golden import arithmetic, atomics, calls, jumps, memory, refusals

FOLDER = Path(__file__).parent.parent / "conformance"


def contents() -> Iterator[tuple[Path, str]]:
    """Yield each file with what must stand in it."""
    for module in (arithmetic, jumps, memory, atomics, calls, refusals):
        for name, cases in module.files():
            yield FOLDER / f"{name}.txt", "\n".join(case.text() for case in cases)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in contents():
        path.write_text(text)
