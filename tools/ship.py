"""Translate the sources of the shipped programs, and write their packets and table; with --check, compare only."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final

from packetfs.toolchain.arguments import Argument
from packetfs.toolchain.python.decorator import PythonProgram
from packetfs.toolchain.shipped import catalogue
from packetfs.vm.program import encode_program

MODULES: Final = ("text", "numbers", "digests", "capture")
_MEANING: Final = re.compile(r"^(\w+): (.+)$", re.MULTILINE)


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
    made = {Path(catalogue.COMPILED, f"{name}.packets"): encode_program(each()) for name, each in programs.items()}
    rows = [_row(each) for _, each in sorted(programs.items())]
    made[Path(catalogue.TABLE)] = (json.dumps(rows, indent=1) + "\n").encode()
    return made


def _row(source: PythonProgram) -> dict[str, object]:
    paragraphs = [" ".join(part.split()) for part in (source.__doc__ or "").split("\n\n")]
    example = next(part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: "))
    meanings = dict(_MEANING.findall(re.sub(r"^ +", "", source.__doc__ or "", flags=re.MULTILINE)))
    arguments = [replace(each, meaning=meanings[each.name]) for each in source.arguments]
    return {
        "name": source.name,
        "summary": paragraphs[0],
        "records": source.records,
        "example": example,
        "decimals": source.translate().decimals,
        "arguments": [_argument(each) for each in arguments],
    }


def _argument(each: Argument) -> dict[str, object]:
    default = each.default.hex() if isinstance(each.default, bytes) else int(each.default)
    return {"name": each.name, "kind": each.kind, "offset": each.offset, "default": default, "meaning": each.meaning}


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
