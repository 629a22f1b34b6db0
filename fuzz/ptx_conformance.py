"""Run conformance cases as PTX kernels on lanes in Python, and let ptxas judge every kernel for five architectures.

`python -m fuzz.ptx_conformance` takes the cases of tests/vm/conformance and the shipped programs; with a folder, the
`.data` files of the public suite (bpf_conformance/tests) too. Cases that no kernel can run are refused by name and
counted. Exit code 1 where anything differs or ptxas refuses.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.ptx.kernels import Kernels, ptx_of
from fuzz.ptx.syntax import Refused
from packetfs.engines.ir.helpers import missing
from packetfs.errors import IllegalInstruction
from packetfs.toolchain.python.backend import GPUS
from packetfs.toolchain.shipped.catalogue import programs
from packetfs.toolchain.sources import find_program
from packetfs.vm.assembly import assemble
from packetfs.vm.image import Image, load
from packetfs.vm.layout import ContextKind, Stop
from tests.vm.conformance_cases import Case, cases

BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Kernel:
    """A case with its image; or an image alone, for ptxas."""

    image: Image
    case: Case | None


def own(counts: Counter[str]) -> Iterator[Kernel]:
    """Yield our cases that a kernel can run."""
    for case in cases():
        yield from _possible(case, counts, "own cases")


def public(folder: Path, counts: Counter[str]) -> Iterator[Kernel]:
    """Yield the cases of the public suite's files."""
    for path in sorted(folder.glob("*.data")):
        yield from _possible(read_public(path), counts, "public cases")


def shipped() -> list[Kernel]:
    """Return the shipped programs that a kernel can run."""
    images = [load(find_program(each.name).program) for each in programs()]
    return [Kernel(image, None) for image in images if not missing(image)]


def _possible(case: Case, counts: Counter[str], kind: str) -> Iterator[Kernel]:
    try:
        image = load(case.program())
    except IllegalInstruction:
        counts[f"{kind} that are no programs"] += 1
        return
    if lacking := missing(image):
        counts[f"{kind} refused for {', '.join(lacking)}"] += 1
        return
    counts[kind] += 1
    yield Kernel(image, case)


def read_public(path: Path) -> Case:
    """Read one file of the public suite, whose assembler writes %r1 for r1."""
    sections, current = dict[str, list[str]](), list[str]()
    for line in path.read_text().splitlines():
        if line.startswith("-- "):
            current = sections.setdefault(line[3:].strip(), [])
        else:
            current.append(line.partition("#")[0])
    text = {name: "\n".join(lines).strip() for name, lines in sections.items()}
    memory = bytes.fromhex(text.get("mem", ""))
    return Case(path.stem, path.stem, assemble(text["asm"].replace("%", "")), memory, result=int(text["result"], 16))


def judge(kernels: Sequence[Kernel]) -> Iterator[str]:
    """Yield what is wrong with cases, run as one module's kernels."""
    device = Kernels([kernel.image for kernel in kernels])
    for number, (case, image) in enumerate((kernel.case, kernel.image) for kernel in kernels):
        assert case is not None
        assert image.context is ContextKind.RAW
        wanted = (0 if case.fault else case.result, case.fault, case.slot if case.fault else 0, case.output)
        try:
            ended, _ = device.run(number, [case.memory], case.fuel)[0]
            assert not isinstance(ended, Stop), ended.name
        except (Refused, AssertionError) as error:
            yield f"{case.file}, {case.name}: {error}"
            continue
        got = (ended.result, ended.fault, ended.pc if ended.fault else 0, ended.output)
        if got != wanted:
            yield f"{case.file}, {case.name}: {got}, not {wanted}"


def accept(images: Sequence[Image], architecture: str) -> str:
    """Return what ptxas says against the kernels of a module; "" where it takes them."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "kernels.ptx")
        text.write_text(ptx_of(images, architecture))
        command = ["ptxas", f"-arch={architecture}", str(text), "-o", str(text.with_suffix(".cubin"))]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return (ended.stdout + ended.stderr) if ended.returncode else ""


def main() -> int:
    """Run all cases; report counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="tests of bpf_conformance")
    parser.add_argument("--no-ptxas", action="store_true", help="leave ptxas out")
    options = parser.parse_args()
    counts = Counter[str]()
    found = [*own(counts), *(public(Path(options.folder), counts) if options.folder else ())]
    wrong = [said for at in range(0, len(found), BATCH) for said in judge(found[at : at + BATCH])]
    print("\n".join(wrong[:20]))
    for name, count in counts.items():
        print(f"{count:6} {name}")
    print(f"{len(found) - len(wrong)} of {len(found)} as the cases say")
    return bool(wrong) | (0 if options.no_ptxas else _assemble([*found, *shipped()]))


def _assemble(found: Sequence[Kernel]) -> int:
    if shutil.which("ptxas") is None:
        print("ptxas is not installed: nobody judged the PTX but our own reader")
        return 0
    bad = 0
    for architecture in GPUS:
        parts = [found[at : at + BATCH] for at in range(0, len(found), BATCH)]
        said = [accept([kernel.image for kernel in part], architecture) for part in parts]
        bad += sum(map(bool, said))
        taken = sum(len(part) for part, against in zip(parts, said, strict=True) if not against)
        print(f"{architecture}: ptxas takes {taken} of {len(found)}", "".join(said))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
