"""Programs as kernels: conformance cases, random and shipped programs give on lanes what interpreters say."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from fuzz.ptx.kernels import Kernels
from fuzz.ptx_conformance import accept, judge, own, shipped
from fuzz.ptx_differential import Case, compare, interpret, make
from packetfs.engines.gpu.kernel import module
from packetfs.engines.gpu.ptx import make_ptx
from packetfs.engines.ir.search import SEARCHES
from packetfs.engines.lowering import arithmetic
from packetfs.errors import NoKernel, UsageError
from packetfs.toolchain.sources import find_program
from packetfs.vm.assembly import assemble
from packetfs.vm.image import Image, load
from packetfs.vm.layout import ContextKind, MapFlag, MapType, Stop
from packetfs.vm.machine import MACHINES
from packetfs.vm.program import MapDefinition, Program
from packetfs.vm.single import Ended
from tests.ptx.rig import ARCHITECTURES, needs_ptxas

STEP = 13
"""One case in so many is run here, `python -m fuzz.ptx_conformance` runs all."""
LINES = tuple(b"%d,%s,%d.5\n" % (i, b"word" * (i % 4), -i) for i in range(8))


def image_of(text: str, context: ContextKind = ContextKind.RAW) -> Image:
    return load(Program(assemble(text), (), context))


def test_conformance() -> None:
    counts = Counter[str]()
    found = list(own(counts))
    assert counts["own cases"] > 1700
    assert list(judge(found[::STEP])) == []


def test_random_programs() -> None:
    ends = Counter[str]()
    assert list(compare([make(seed) for seed in range(48)], ends)) == []
    assert ends["programs compared"] > 20
    assert len(ends.keys() & {"NONE", "ADDRESS", "FUEL"}) == 3


def test_what_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one condition lowered wrongly."""
    monkeypatch.setitem(arithmetic._COMPARISONS, "jgt", "uge")
    cases = [kernel for kernel in own(Counter()) if kernel.case and kernel.case.file == "jgt"]
    assert list(judge(cases[:24]))


def test_shipped_programs_on_lanes() -> None:
    images = [kernel.image for kernel in shipped()]
    assert len(images) > 3
    kernels = Kernels(images)
    for number, image in enumerate(images):
        lanes = kernels.run(number, LINES, 100_000)
        assert lanes == interpret(MACHINES[-1], Case(0, image, LINES, 100_000))
        assert all(isinstance(end, Ended) and not end.fault for end, _ in lanes)


def _arguments(number: int, third: int, fourth: int) -> str:
    """Return code that sets the registers behind r2: a byte and a number, or a word on the stack."""
    at = {4097: 3, 4104: 4}.get(number)
    if at is None:
        return f"mov r3, {third}\nlddw r4, {fourth}"
    word = f"stb [r10-64], 97\nstb [r10-63], {third}\nmov r{at}, r10\nsub r{at}, 64\nmov r{at + 1}, {min(fourth, 5)}"
    byte = {32: 10, 97: 97, 98: 32}[third]
    return word if number == 4097 else f"{word}\nmov r3, {byte}"


def test_searches() -> None:
    """All lengths, words and bytes of texts that have some of them often."""
    rng, cases = random.Random(3), []
    for number in SEARCHES:
        for third, fourth in itertools.product((32, 97, 98), (0, 1, 2, 5, 70, 1 << 40)):
            given = _arguments(number, third, fourth)
            image = image_of(f"{given}\ncall {number}\nmov r6, r0\ncall 5\nlsh r0, 32\nxor r0, r6\nexit")
            records = [bytes(rng.choices(b"ab \n", k=size)) for size in (0, 1, 2, 7, 64, 150)]
            cases.append(Case(0, image, tuple(records), 10_000))
    kernels = Kernels([case.image for case in cases])
    for number, case in enumerate(cases):
        assert kernels.run(number, case.records, case.fuel) == interpret(MACHINES[-1], case), number


def test_reservations() -> None:
    text = """mov r6, 0
        lddw r1, map 0
        mov r2, SIZE
        call ringbuf_reserve
        jeq r0, 0, out
        mov r7, r0
        stdw [r7+0], 77
        lddw r1, map 0
        mov r2, 8
        call ringbuf_reserve
        jeq r0, 0, out
        mov r1, r0
        call ringbuf_discard
        mov r1, r7
        add r1, ODD
        call ringbuf_submit
        mov r1, r7
        call TWICE
        out: exit"""
    ring = (MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096),)
    cases = [
        Case(0, load(Program(assemble(changed), ring)), (b"x",), 1000)
        for size, odd, twice in ((8, 0, 133), (24, 8, 133), (4080, 0, 132), (4090, 0, 133), (8, 0, 8), (4000, 0, 8))
        for changed in [text.replace("SIZE", str(size)).replace("ODD", str(odd)).replace("TWICE", str(twice))]
    ]
    kernels = Kernels([case.image for case in cases])
    for number, case in enumerate(cases):
        assert kernels.run(number, case.records, case.fuel) == interpret(MACHINES[-1], case), number


@needs_ptxas
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ptxas_accepts_kernels(architecture: str) -> None:
    images = [kernel.image for kernel in [*shipped(), *list(own(Counter()))[::97]]]
    assert accept(images, architecture) == ""


def test_records_that_do_not_fit_are_left_to_the_host() -> None:
    """Output beyond the room of a lane, and a helper that is only known when it is called."""
    often = "mov r6, 9\nloop: mov r1, r10\nadd r1, -512\nmov r2, 512\ncall emit\nsub r6, 1\njne r6, 0, loop\nexit"
    emits = image_of(often)
    asks = image_of("mov r5, 28\ncallx r5\nexit")
    kernels = Kernels([emits, asks])
    assert [end for end, _ in kernels.run(0, [b""], 1000)] == [Stop.OUTPUT]
    assert [end for end, _ in kernels.run(1, [b""], 1000)] == [Stop.HELPER]


def test_code_grows_with_the_program_only() -> None:
    """Each callx may go anywhere, and each instruction may be where one goes."""
    small, large = (len(module([image_of("callx r3\n" * count + "exit")])) for count in (1000, 4000))
    assert large < 4 * small


def test_what_no_kernel_has_is_refused_by_name() -> None:
    with pytest.raises(NoKernel, match=r"trace_printk \(6\), csum_diff \(28\)"):
        make_ptx(image_of("call 28\ncall 6\nexit"), "x", "sm_90")
    with pytest.raises(NoKernel, match="map_update_elem"):
        make_ptx(load(find_program("topk").program), "topk", "sm_90")
    large = MapDefinition(b"large", MapType.ARRAY, 4, 2 << 20, 1, flags=MapFlag.READ_ONLY, initial=b"x")
    with pytest.raises(NoKernel, match="read-only maps"):
        make_ptx(load(Program(assemble("exit"), (large,))), "x", "sm_90")
    with pytest.raises(UsageError, match="sm_75, sm_80"):
        make_ptx(image_of("exit"), "x", "sm_20")
