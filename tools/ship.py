"""Translate the sources of the shipped programs, and write their packets and examples; with --check, compare only."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from packetfs.toolchain.python.decorator import PythonProgram
from packetfs.toolchain.shipped import catalogue
from packetfs.toolchain.shipped.packets import COMPILED
from packetfs.vm.program import encode_program

MODULES: Final = ("text", "numbers", "digests", "capture")


def sources() -> dict[str, PythonProgram]:
    """Return every shipped program's source, by name."""
    found: dict[str, PythonProgram] = {}
    for module in MODULES:
        for value in vars(import_module(f"packetfs.toolchain.shipped.{module}")).values():
            if isinstance(value, PythonProgram):
                found[value.name] = value
    return found


def files() -> dict[Path, bytes]:
    """Return what the files must hold."""
    programs = sources()
    made = {Path(COMPILED, f"{name}.packets"): encode_program(each()) for name, each in programs.items()}
    examples = {name: _example(each) for name, each in sorted(programs.items())}
    made[Path(catalogue.TABLE)] = (json.dumps(examples, indent=1) + "\n").encode()
    return made


def _example(source: PythonProgram) -> str:
    paragraphs = (" ".join(part.split()) for part in (source.__doc__ or "").split("\n\n"))
    return next(part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: "))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.ship", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file is stale")
    check = parser.parse_args(arguments).check
    made = files()
    stale = [path for path, content in made.items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        print(f"{path.name}: {'stale, run `python -m tools.ship`' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(made[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
