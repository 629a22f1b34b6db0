"""Objects that were not written for us, in microVMs and in the kernel: `python -m tests.toolchain.kernel.run`.

PACKETFS_FOREIGN names a directory of objects (`clang -target bpf -O2 -g -c`), which are not part of this repository.
Every XDP program in them that links is given the same packets in each interpreter and, by BPF_PROG_TEST_RUN, in the
kernel; verdicts, packets afterwards and maps must be equal. Needs root, a kernel with bpf(2), and libbpf.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from packetfs.engines.machines import every_machine as find_machines
from packetfs.errors import PacketFSError
from packetfs.toolchain.elf import read_object
from packetfs.toolchain.link import programs
from packetfs.vm.layout import ContextKind
from packetfs.vm.machine import Machine
from tests.toolchain.kernel import bpf
from tests.toolchain.kernel.compare import Compared, compare
from tests.toolchain.kernel.packets import packets

SEEDS = (0, 1, 2)
"""Maps are empty, then filled in two ways: most programs do little before somebody has filled their maps."""


def examine(directory: Path, machine: Machine) -> Iterator[tuple[str, Compared | str]]:
    """Yield the outcome of each program of each object below a directory, or why it cannot be run."""
    given = packets()
    for path in sorted(directory.rglob("*.o")):
        data, name = path.read_bytes(), path.stem
        try:
            object_ = read_object(data, name)
            runnable = [function for function in programs(object_) if function.context is ContextKind.XDP]
        except PacketFSError as error:
            yield name, str(error)
            continue
        for function in runnable:
            label = f"{name}:{function.name}"
            try:
                yield label, _both(compare(data, object_, function.name, given, machine, seed) for seed in SEEDS)
            except PacketFSError as error:
                yield label, str(error).removeprefix(f"{name}: ")


def _both(outcomes: Iterator[Compared]) -> Compared:
    """Return the first outcome that is not well, else the last one."""
    last = next(outcomes)
    while not last.problems and not last.refused and (following := next(outcomes, None)) is not None:
        last = following
    return last


def main() -> int:
    """Print a line for each program and the counts; fail where anything differs."""
    directory, reason = os.environ.get("PACKETFS_FOREIGN"), bpf.why_not()
    if directory is None or reason:
        print(f"cannot compare: {reason or 'PACKETFS_FOREIGN names no directory'}")
        return 2
    different = 0
    for machine in find_machines():
        counts = {"equal": 0, "different": 0, "refused by the kernel": 0, "refused by us": 0}
        for label, outcome in examine(Path(directory), machine):
            kind, said = _said(outcome)
            counts[kind] += 1
            print(f"{machine.name}: {label}: {kind}{said}")
        different += counts["different"]
        print(f"{machine.name}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}")
    return 1 if different else 0


def _said(outcome: Compared | str) -> tuple[str, str]:
    if isinstance(outcome, str):
        return "refused by us", f": {outcome}"
    if outcome.refused:
        return "refused by the kernel", f": {outcome.refused}"
    if outcome.problems:
        return "different", "".join(f"\n    {problem}" for problem in outcome.problems[:5])
    return "equal", f" ({outcome.packets} packets, {outcome.slots} slots, linked by {outcome.linked})"


if __name__ == "__main__":
    sys.exit(main())
