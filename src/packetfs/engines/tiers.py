"""The engine `auto`: the interpreter at once, machine code as soon as that pays, and of it the shape that is faster.

Code that was made before costs nothing, so it runs from the first record on. Else:

What pays is measured, not guessed. Machine code costs some tenths of a second once, in a thread beside the job; a
program earns that when the interpreter has been busy with it for a while and executes many instructions in that time.
One that spends its time in helpers, which are as fast from either, stays in the interpreter. Where lanes can do all
that a program does, they are made too, both run for a while, and the one that takes less time a record stays. Time is
that of the thread on its processor: what else the machine does changes no choice.
"""

from __future__ import annotations

import time

from packetfs.accel import native
from packetfs.engines.beside import begin, is_ending
from packetfs.threading import Lock, Thread
from packetfs.typing import TYPE_CHECKING, Any, Callable, Final
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import CONTEXT, CONTEXT_BYTES, Framing, Stop
from packetfs.vm.machine import Machine

if TYPE_CHECKING:
    from packetfs.engines.compiled.machine import Prepared as OneByOne
    from packetfs.engines.lanes.machine import Prepared as Lanes

_core: Any = native
BUSY_NS: Final = 100_000_000
"""Interpreter time before machine code is thought of: as much as a small job takes in all."""
SLOTS_A_MICROSECOND: Final = 30
"""Instructions from which on a program is slowed by them: the interpreter executes 300 to 1,000, `wc` and `grep`, which
live in helpers, fewer than 10; a filter of seven instructions on a busy machine 70 (measured)."""
TRIAL_NS: Final = 5_000_000
"""What each shape of machine code runs before they are compared: some thousand records at the least."""
_TOLD: Final = 200
"""Characters of what LLVM said that are repeated."""
INTERPRETED, COMPILED, LANES = "interpreted", "compiled", "lanes"
_EXECUTED: Final = next(field.offset for field in CONTEXT if field.name == "executed") // 8
_WORDS: Final = CONTEXT_BYTES // 8


class Tiered:
    """A program that may get machine code while it runs. making: the thread that makes it, once there is one; chosen:
    the way that was found to be the fastest, once that is known; clock: nanoseconds."""

    def __init__(self, image: Image, clock: Callable[[], int] = time.thread_time_ns) -> None:
        self.clock = clock
        self._image = image
        self._interpreted = hand_over(image)
        self._made: dict[str, OneByOne | Lanes] = {}
        self._one: OneByOne | None = None
        self.making: Thread | None = None
        self.chosen: str | None = None
        self._failed = ""
        self._looked = False
        self._lock = Lock()
        self._slots = 0
        self._ns = dict.fromkeys((INTERPRETED, COMPILED, LANES), 0)
        self._records = dict(self._ns)
        self._ran = {LANES: 0, COMPILED: 0, INTERPRETED: 0}

    def run(self, *arguments: Any) -> tuple[int, Stop, int]:
        """Run with what there is now."""
        framing, size = arguments[8], arguments[9]
        if not self._looked:
            self._look(framing, size)
        way = self._way()
        prepared = self._interpreted if way == INTERPRETED else self._made[way].loaded(framing, size)
        before = self._executed(arguments) if way == INTERPRETED and self.making is None else None
        begun = self.clock()
        slot, stop, used, *counts = _core.vm_run(prepared, *arguments)
        spent = self.clock() - begun
        if way == COMPILED and self._one is not None:
            self._one.took(framing, size, spent)
        with self._lock:
            self._ns[way] += spent
            self._records[way] += sum(counts)
            for ran, count in zip((COMPILED, INTERPRETED, LANES), counts, strict=True):
                self._ran[ran] += count
            if before is not None:
                self._slots += self._executed(arguments) - before
        self._consider(framing, size)
        return slot, Stop(stop), used

    def _look(self, framing: int, size: int) -> None:
        """Take what was made before; others wait for that, as a batch in the interpreter takes far longer."""
        from packetfs.engines.compiled.cache import has_code
        from packetfs.engines.compiled.recipe import of_program

        with self._lock:
            if self._looked:
                return
            if has_code(of_program(self._image)):
                try:
                    self._find(framing, size)
                except OSError as error:  # no memory that may be executed
                    self._fail(error)
            self._looked = True

    def _find(self, framing: int, size: int) -> None:
        from packetfs.engines.compiled.machine import Prepared

        one = Prepared(self._image)
        if not one.find(framing, size):
            return
        self._made[COMPILED] = self._one = one
        from packetfs.engines.lanes import machine as lanes

        blocks = lanes.Prepared(self._image, None)
        if blocks.find(framing, size):
            self._made[LANES] = blocks

    def _way(self) -> str:
        """Return how to run now: as chosen, or what there is, or while they are compared what ran less."""
        if self.chosen is not None or LANES not in self._made:
            return self.chosen or (COMPILED if COMPILED in self._made else INTERPRETED)
        return min((COMPILED, LANES), key=self._ns.__getitem__)

    def _executed(self, arguments: Any) -> int:
        """Return how many instructions the microVMs of a run have executed."""
        contexts, first, count = arguments[0], arguments[3], arguments[4]
        words = memoryview(contexts).cast("B").cast("Q")
        return sum(words[first * _WORDS + _EXECUTED : (first + count) * _WORDS : _WORDS])

    def _consider(self, framing: int, size: int) -> None:
        """Begin to compile if the program has earned it; choose if both shapes have run for long enough."""
        with self._lock:
            if LANES in self._made:
                if self.chosen is None and min(self._ns[COMPILED], self._ns[LANES]) > TRIAL_NS:
                    self.chosen = min((COMPILED, LANES), key=self._cost)
                return
            if self.making is not None or not self._earned():
                return
            self.making = begin(lambda: self._try(framing, size))

    def _earned(self) -> bool:
        """Tell whether the program was busy for long enough: in code, or with instructions that code is faster at."""
        if self._ns[COMPILED] > BUSY_NS:
            return True
        busy = self._ns[INTERPRETED]
        return busy > BUSY_NS and self._slots * 1000 > SLOTS_A_MICROSECOND * busy

    def _cost(self, way: str) -> float:
        """Return nanoseconds a record."""
        return self._ns[way] / max(self._records[way], 1)

    def _try(self, framing: int, size: int) -> None:
        """Make code; where that fails, which is LLVM's to know, the job goes on with what it has."""
        try:
            self._make(framing, size)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failed = "".join(filter(str.isprintable, f"{type(error).__name__}: {error}"))[:_TOLD]

    def _make(self, framing: int, size: int) -> None:
        from packetfs.engines.compiled.machine import Prepared  # most jobs end before they need it

        if COMPILED not in self._made:
            made = Prepared(self._image)
            made.loaded(framing, size)
            self._made[COMPILED] = self._one = made
        if framing != Framing.FIXED or is_ending():
            return
        from packetfs.engines.lanes import machine as lanes

        if lanes.does_all(self._image, size):
            both = lanes.Prepared(self._image, None)
            both.loaded(framing, size)
            self._made[LANES] = both

    def ran(self) -> dict[str, int]:
        """Return how many records ran in lanes, in machine code one by one, and in the interpreter."""
        return dict(self._ran)

    def like(self) -> str:
        """Return the engine that runs by now, as SLOTS_A_CALL knows them."""
        return "cpu" if self._made else ""

    def why(self) -> str:
        """Return in words what was measured and chosen."""
        took = ", ".join(f"{way} {self._cost(way):.1f} ns a record" for way in self._ns if self._records[way])
        if self._failed:
            return f"{took}; there is no code of another shape ({self._failed})"
        if self.making is None and not self._made:
            few = self._ns[INTERPRETED] <= BUSY_NS
            return "too short to compile for" if few else "helpers take the time, code would not help"
        return took if self.chosen is None else f"{self.chosen}, as it took least: {took}"


def _run(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    return prepared.run(*arguments)  # type: ignore[no-any-return]


AUTO: Final = Machine("auto", _run, Tiered, Tiered.ran, Tiered.why, Tiered.like)
