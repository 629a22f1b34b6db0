"""Run random programs on several engines and compare every byte that they leave: contexts, spill, maps, output.

`python -m fuzz.vm_differential --programs 1000000 --processes 2 --engines native,cpu`. Each program runs on the twin in
random slices, and on each engine twice, at once and in those slices, with random windows, room for output and answers
in between. Any difference is printed with the seed that makes it again (--seed N --programs 1), and the run fails.
Programs are small (a dozen instructions, a few records, little fuel), since the twin is what takes the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from fuzz.vm_programs import Programs
from packetfs.engines.compiled import cache
from packetfs.engines.lanes.machine import lane
from packetfs.engines.machines import choose
from packetfs.errors import IllegalInstruction
from packetfs.vm.assembly import disassemble
from packetfs.vm.check import check
from packetfs.vm.context import BASE_UNKNOWN, Context, begin_shard
from packetfs.vm.framing import PAIR
from packetfs.vm.helpers import answer
from packetfs.vm.image import Image, load
from packetfs.vm.layout import (
    CONTEXT_BYTES,
    SPILL_STRIDE,
    STACK_BYTES,
    ContextKind,
    Fault,
    Framing,
    MapFlag,
    MapType,
    State,
    Stop,
)
from packetfs.vm.machine import NATIVE, TWIN, Machine
from packetfs.vm.memory import COPY_AT
from packetfs.vm.program import MapDefinition, Program
from packetfs.vm.slots import starts

MAPS: Final = (
    MapDefinition(b"array", MapType.ARRAY, 4, 8, 4, initial=b""),
    MapDefinition(b"table", MapType.HASH, 8, 8, 3),
    MapDefinition(b"ring", MapType.RINGBUF, 0, 0, 4096),
    MapDefinition(b"wide", MapType.LRU_HASH, 13, 21, 2),
    MapDefinition(b"fixed", MapType.ARRAY, 4, 8, 1, flags=MapFlag.READ_ONLY, initial=b"readonly"),
)
TURNS: Final = 400
"""Runs of one program at the most: slices of few slots, and fuel that ends every loop, need fewer."""
HANDED_OVER: Final = "handed over"
BATCH: Final = 2000
CHECKED: Final = 8
"""One in so many programs is also damaged, to see that both checkers refuse the same."""
EXIT: Final = (0x95).to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class Case:
    """A program and all that decides how it runs."""

    image: Image
    data: bytes
    framing: Framing
    size: int
    bounds: bytes
    window: tuple[int, int]
    base: int
    fuel: int
    room: int
    slices: tuple[int, ...]


class Table:
    """One microVM's memory, on one interpreter."""

    def __init__(self, machine: Machine, case: Case, prepared: object) -> None:
        self.machine, self.case, self.prepared = machine, case, prepared
        self.contexts, self.spill = bytearray(CONTEXT_BYTES), bytearray(SPILL_STRIDE)
        self.maps = bytearray(case.image.initial.ljust(case.image.maps_bytes, b"\0"))
        stop = len(case.bounds) // PAIR.size if case.framing is Framing.LIST else len(case.data)
        begin_shard(self.contexts, 0, shard=77, start=0, stop=stop, position=0, record_base=case.base, seed=5)
        self.output, self.lines = bytearray(), list[str | None]()
        self.trace = list[tuple[Stop, bytes, bytes, int]]()
        self.window, self.room = case.window, case.room

    def run(self, slice_slots: int) -> Stop:
        case, (start, stop) = self.case, self.window
        out = bytearray(self.room)
        _, why, used = self.machine.run(
            self.prepared, self.contexts, self.spill, self.maps, 0, 1, memoryview(case.data)[start:stop], start,
            stop == len(case.data), case.framing, case.size, case.bounds, out, slice_slots, case.fuel, 9,
        )  # fmt: skip
        self.output += out[:used]
        return why

    def finish(self, slices: tuple[int, ...]) -> Table:
        """Run until the microVM is done, and remember what it was at every stop."""
        for turn in range(TURNS):
            why = self.run(slices[turn % len(slices)])
            context = Context(self.contexts)
            self.trace.append((why, bytes(self.contexts), bytes(self.spill[:STACK_BYTES]), len(self.output)))
            if context.state in (State.DONE, State.FAULTED):
                return self
            self.help(why, context)
        raise AssertionError(f"still paused after {TURNS} runs")

    def help(self, why: Stop, context: Context) -> None:
        if why is Stop.HELPER:
            case = self.case
            self.lines.append(answer(case.image, self.contexts, self.spill, self.maps, 0, case.data, 0, 9))
        elif why is Stop.WINDOW:
            self.window = 0, len(self.case.data)
        elif why is Stop.INDEX:
            context.record_base = 1000
        elif why is Stop.OUTPUT:
            self.room = max(self.room, context.fault_address)

    def remains(self, copies: bool = True) -> tuple[bytes, ...]:
        """Return all that is left but spilled stacks, which depend on where it paused; the trace has those.

        copies: also private copies of records, of no use to anybody when the record is over.
        """
        spill = self.spill[STACK_BYTES : None if copies else COPY_AT]
        return bytes(self.contexts), bytes(spill), bytes(self.maps), bytes(self.output)


def _machine(name: str, ends: Counter[str]) -> Machine:
    if name == "relay":
        return relay(ends)
    if name == "draft":
        vars(cache)["LARGE"] = -1  # for every program in this process
        return choose("cpu")
    return lane(int(name[4:])) if name[4:].isdigit() else choose(name)


def relay(ends: Counter[str]) -> Machine:
    """Return a machine whose every run is some engine's: what pauses in one goes on in another, which `ends` counts."""
    engines = [choose(name) for name in ("interpreter", "native", "cpu", "lanes")]
    rng = Random(1)
    last = -1

    def prepare(image: Image) -> list[object]:
        nonlocal last
        last = -1
        return [engine.prepare(image) for engine in engines]

    def run(prepared: list[object], *arguments: object) -> tuple[int, Stop, int]:
        nonlocal last
        number = rng.randrange(len(engines))
        ends[HANDED_OVER] += number != last >= 0
        last = number
        return engines[number].run(prepared[number], *arguments)  # type: ignore[arg-type]

    return Machine("relay", run, prepare)


class Fuzzer:
    """A stream of cases, each made from its own seed."""

    def __init__(self, engines: tuple[str, ...] = ("native",)) -> None:
        self.ends: Counter[str] = Counter()
        self.machines = [_machine(name, self.ends) for name in engines]
        self.blocks = "lanes" in engines
        self.templates = {kind: load(Program(EXIT, MAPS, kind)) for kind in ContextKind}

    def case(self, rng: Random, source: Programs) -> Case:
        """Make a case. Its code is legal: both checkers must say so."""
        kind = rng.choice((ContextKind.PACKETFS,) * 6 + (ContextKind.XDP, ContextKind.RAW))
        code = source.make(kind)
        image = replace(self.templates[kind], code=code, starts=starts(code))
        data = rng.randbytes(rng.choice((1, 15, 33, 40, 40, 64, 64)) if rng.random() < 0.97 else 0)
        framing = rng.choice((Framing.FIXED,) * 4 + (Framing.LINE, Framing.LINES, Framing.LIST))
        if framing in (Framing.LINE, Framing.LINES):
            data = data.translate(bytes(10 if i % 13 == 0 else i for i in range(256)))
        size, slices = rng.choice((16, 21, 33, 40)), list[int]((0, 1, 3, 9, 30, 1 << 40))
        if self.blocks and framing is Framing.FIXED:
            size, slices = rng.choice((5, 16, 21, 33, 40, 64, 64, 64, 70, 128)), [100, 300, 1000, 1 << 40]
            data = rng.randbytes(size * rng.choice((16, 20, 37, 50)) + rng.randrange(size))
        end = rng.randrange(len(data) + 1) if rng.random() < 0.2 else len(data)
        return Case(
            image, data, framing, size,
            _bounds(rng, len(data)) if framing is Framing.LIST else b"", (0, end), rng.choice((0, 5, 5, BASE_UNKNOWN)),
            rng.choice((20, 60, 60, 200)), rng.choice((8, 40, 4096)),
            tuple(rng.choice(slices) for _ in range(rng.randrange(1, 4))),
        )  # fmt: skip

    def compare(self, seed: int) -> str | None:
        """Run one case on all; return what differs, or None."""
        rng = Random(seed)
        source = Programs(rng)
        case = self.case(rng, source)
        if seed % CHECKED == 0:
            said = _compare_checks(case.image, rng)
            if said:
                return said
        twin = Table(TWIN, case, case.image).finish(case.slices)
        for machine in self.machines:
            said = _differs(machine, case, twin)
            if said:
                return said
        context = Context(twin.contexts)
        self.ends[Fault(context.fault).name if context.fault else f"{min(context.records, 4)} records"] += 1
        return None


def _differs(machine: Machine, case: Case, twin: Table) -> str | None:
    """Run a case at once and in slices; return what is not as on the twin, or None."""
    prepared = machine.prepare(case.image)
    whole = Table(machine, case, prepared).finish((1 << 50,))
    cut = Table(machine, case, prepared).finish(case.slices)
    copies = machine.name not in ("lanes", "relay")  # they make none
    if whole.remains(copies) != twin.remains(copies) or cut.remains(copies) != twin.remains(copies):
        return difference(whole, cut, twin)
    if cut.trace != twin.trace and Stop.HELPER not in (why for why, *_ in cut.trace):
        return f"{machine.name} pauses differently: {len(cut.trace)} and {len(twin.trace)} runs"
    return None


def _bounds(rng: Random, size: int) -> bytes:
    """Return pairs in order, now and then nonsense."""
    pairs, at = [], 0
    while at < size:
        start, stop = at + rng.randrange(3), at + rng.randrange(3, 20)
        pairs.append(PAIR.pack(*((stop, start) if rng.random() < 0.02 else (start, stop))))
        at = stop
    return b"".join(pairs)


def _compare_checks(image: Image, rng: Random) -> str | None:
    """Damage the code: whoever accepts it, both do, once it has no lddw that names something."""
    code = bytearray(image.code)
    for _ in range(rng.randrange(3)):
        code[rng.randrange(len(code))] = rng.choice((0, 1, 0xFF, rng.getrandbits(8), rng.getrandbits(8)))
    if any(code[at] == 0x18 and code[at + 1] >> 4 for at in range(0, len(code), 8)):
        return None
    legal = accepted = True
    try:
        check(bytes(code), len(image.maps))
    except IllegalInstruction:
        legal = False
    try:
        NATIVE.prepare(replace(image, code=bytes(code)))  # type: ignore[union-attr]
    except ValueError:
        accepted = False
    return None if legal == accepted else f"check says {legal}, the C core {accepted}: {code.hex()}"


def difference(*tables: Table) -> str:
    """Say what three tables disagree on, and show the program."""
    lines, names = [], ("contexts", "spill", "maps", "output")
    for name, parts in zip(names, zip(*(t.remains() for t in tables), strict=True), strict=True):
        if len(set(parts)) > 1:
            sizes = [len(part) for part in parts]
            at = next((i for i in range(min(sizes)) if len({part[i] for part in parts}) > 1), min(sizes))
            lines.append(f"{name} from {at}: " + " / ".join(part[at : at + 16].hex() for part in parts))
    for table in tables:
        context = Context(table.contexts)
        lines.append(
            f"{table.machine.name}: {State(context.state).name} {Fault(context.fault).name} pc {context.pc} records "
            f"{context.records} r0 {context.result} executed {context.executed} runs {len(table.trace)}"
        )
    case = tables[0].case
    lines.append(f"{case.image.context.name} {case.framing.name} {case.size} data {case.data.hex()} fuel {case.fuel}")
    return "\n".join([*lines, *disassemble(case.image.code)])


def run_batch(first: int, count: int, engines: tuple[str, ...]) -> tuple[int, list[tuple[int, str]], Counter[str]]:
    """Compare `count` cases from seed `first` on; return them, what differs, and how they ended."""
    fuzzer, found = Fuzzer(engines), []
    for seed in range(first, first + count):
        try:
            said = fuzzer.compare(seed)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            found.append((seed, said))
    return count, found, fuzzer.ends


def batches(first: int, programs: int, engines: tuple[str, ...]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield arguments of run_batch; engines that compile take longer for each."""
    size = BATCH if engines == ("native",) else BATCH // 20
    for at in range(first, first + programs, size):
        yield at, min(size, first + programs - at), engines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first program")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--engines", default="native", help="of native, cpu, draft, lanes, lane0 to lane15, relay (default: native)"
    )
    options = parser.parse_args()
    if NATIVE is None:
        print("the native core is not built")
        return 1
    begun, done, bad, all_ends = time.perf_counter(), 0, 0, Counter[str]()
    work = batches(options.seed, options.programs, tuple(options.engines.split(",")))
    with ProcessPoolExecutor(options.processes) as pool:
        for count, found, ends in pool.map(run_batch, *zip(*work, strict=True)):
            done, bad = done + count, bad + len(found)
            all_ends += ends
            for seed, said in found[:3]:
                print(f"seed {seed}\n{said}\n", flush=True)
            rate = done / (time.perf_counter() - begun)
            print(f"\r{done} programs, {bad} mismatches, {rate:.0f}/s", end="", file=sys.stderr, flush=True)
    rate = done / (time.perf_counter() - begun)
    handed = max(all_ends.pop(HANDED_OVER, 0) - done, 0)  # where a program begins anew is no pause
    print(f"\n{done} programs from seed {options.seed}: {bad} mismatches, {rate:.0f} programs/s")
    print(f"{handed} pauses, at the least, from which another engine went on")
    print(", ".join(f"{name} {count / done:.1%}" for name, count in all_ends.most_common()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
