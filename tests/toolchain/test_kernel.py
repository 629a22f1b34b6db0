"""Our C programs do the same in microVMs as in the kernel: verdicts, packets afterwards, maps at the end.

The kernel's answers were the same as ours when GOLDEN was written, so that machines without bpf(2) hold us to it too.
`python -m tests.toolchain.kernel.run` does the same with objects of others.
"""

from __future__ import annotations

import json

import pytest

from packetfs.packet.digest import digest_of
from packetfs.toolchain.link import link, programs
from packetfs.vm.layout import ContextKind
from packetfs.vm.machine import MACHINES, Machine
from tests.toolchain.compiled import OBJECTS, compiled, read
from tests.toolchain.kernel import bpf
from tests.toolchain.kernel.compare import Seen, compare, ours
from tests.toolchain.kernel.packets import packets

PACKETS = packets()
GOLDEN = {
    "atomics:atomics": "55eb06ae843e8ccd",
    "legacy:legacy": "d58ad1f6670ccddd",
    "packets:swap": "6e85736465095c92",
    "packets:head": "e59d0113990b1aa6",
    "packets:tail": "78361e182a834963",
    "packets:bytes": "587897fd5fceba34",
    "packets:reports": "f68fff65f886d7f4",
    "relocations:references": "1226b7535cf6b2d0",
}


def cases() -> list[tuple[str, str]]:
    found = []
    for path in sorted(OBJECTS.glob("*.c")):
        functions = programs(read(path.stem))
        found += [(path.stem, function.name) for function in functions if function.context is ContextKind.XDP]
    return found


@pytest.fixture(scope="module")
def kernel() -> None:
    reason = bpf.why_not()
    if reason:
        pytest.skip(f"the kernel cannot be asked here: {reason}")


def told(seen: Seen) -> str:
    """Return what names all that was seen."""
    maps = {name: sorted((k.hex(), v.hex()) for k, v in held.items()) for name, held in seen.maps.items()}
    maps = {name: held for name, held in maps.items() if not name.startswith(".rodata")}  # the compiler's choice
    parts = [seen.verdicts, [p.hex() for p in seen.packets], [r.hex() for r in seen.rings], maps]
    return digest_of(json.dumps(parts, sort_keys=True).encode()).hex()[:16]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_programs_do_what_they_did_beside_the_kernel(machine: Machine) -> None:
    seen = {}
    for name, function in cases():
        seen[f"{name}:{function}"] = told(ours(link(read(name), function), PACKETS, machine))
    assert seen == GOLDEN


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_kernel_does_the_same(machine: Machine) -> None:
    for seed, (name, function) in enumerate(cases()):
        outcome = compare(compiled(name), read(name), function, PACKETS, machine, seed)
        assert not outcome.refused, f"{name}: {function}: {outcome.refused}"
        assert not outcome.problems, f"{name}: {function}: {outcome.problems[0]}"
        assert outcome.packets == len(PACKETS)


@pytest.mark.usefixtures("kernel")
def test_the_oracle_sees_a_difference() -> None:
    """A wrong constant in a program of ours is found, so that equal means something."""
    data = bytearray(compiled("packets"))
    place = read("packets").section("xdp")
    assert place is not None
    at = data.index(place.data)
    wrong = data[at:].index(bytes.fromhex("b400000003000000")) + at  # mov32 r0, XDP_TX
    data[wrong + 4] = 2
    outcome = compare(bytes(data), read("packets"), "swap", PACKETS, MACHINES[-1])
    assert outcome.problems
