"""Run conformance cases on engines that translate, and count what they left to the interpreter.

`python -m fuzz.vm_conformance cpu lanes` takes the cases of tests/vm/conformance; `--public DIR` the `.data` files of
bpf_conformance/tests instead. In lanes each case runs alone in one lane, another one for each case, or with
`--every-lane` in all of them. Exit code 1 where a result is not what the case says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzz.ptx_conformance import read_public
from packetfs.engines.lanes.machine import lane
from packetfs.engines.lanes.shape import LANES as WIDTH
from packetfs.engines.machines import choose
from packetfs.errors import IllegalInstruction
from packetfs.vm.image import Image, load
from packetfs.vm.layout import Fault
from packetfs.vm.machine import Machine
from packetfs.vm.single import run_single
from tests.vm.conformance_cases import Case, cases


def machines(engine: str, number: int, *, every_lane: bool) -> Sequence[Machine]:
    """Return what a case runs on."""
    if engine != "lanes":
        return (choose(engine),)
    return tuple(lane(position) for position in (range(WIDTH) if every_lane else (number % WIDTH,)))


def found(folder: str | None) -> Iterator[tuple[Case, Image]]:
    """Yield cases that are programs."""
    every = (read_public(path) for path in sorted(Path(folder).glob("*.data"))) if folder else cases()
    for case in every:
        try:
            yield case, load(case.program())
        except IllegalInstruction:
            continue


def judge(case: Case, image: Image, machine: Machine) -> tuple[str, bool]:
    """Return what is wrong, and whether the interpreter ended a record that has no fault."""
    ended = run_single(machine, image, case.memory, fuel=case.fuel)
    wanted = (
        ended.result if case.fault else case.result,
        case.fault,
        case.slot if case.fault else ended.pc,
        case.output,
    )
    got = (ended.result, ended.fault, ended.pc, ended.output)
    said = "" if got == wanted else f"{case.file}, {case.name}: {got}, not {wanted}"
    return said, case.fault is Fault.NONE and bool(dict(ended.ran).get("interpreted"))


def main() -> int:
    """Run all cases on each engine; report counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="+")
    parser.add_argument("--public", metavar="DIR", help="tests of bpf_conformance")
    parser.add_argument("--every-lane", action="store_true")
    options = parser.parse_args()
    bad = 0
    for engine in options.engines:
        ran = wrong = left = 0
        for number, (case, image) in enumerate(found(options.public)):
            for machine in machines(engine, number, every_lane=options.every_lane):
                said, fell_back = judge(case, image, machine)
                ran, wrong, left = ran + 1, wrong + bool(said), left + fell_back
                if said or (fell_back and options.public):
                    print(said or f"{case.name}: left to the interpreter")
        print(f"{engine}: {ran - wrong} of {ran} as the cases say, {left} left to the interpreter")
        bad += wrong
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
