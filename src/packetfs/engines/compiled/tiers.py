"""The engine `auto`: the interpreter at once, machine code as soon as that pays.

What pays is measured, not guessed. Machine code costs some tenths of a second once, in a thread beside the job; a
program earns that when the interpreter has been busy with it for a while and executes many instructions in that time.
One that spends its time in helpers, which are as fast from either, stays in the interpreter.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from packetfs.accel import native
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import CONTEXT, CONTEXT_BYTES, Stop
from packetfs.vm.machine import Machine

if TYPE_CHECKING:
    from packetfs.engines.compiled.machine import Prepared

_core: Any = native
BUSY_NS: Final = 100_000_000
"""Interpreter time before machine code is thought of: as much as a small job takes in all."""
SLOTS_A_MICROSECOND: Final = 100
"""Instructions from which on a program is slowed by them: the interpreter executes 300 to 1,000, `wc` and `grep`, which
live in helpers, fewer than 10 (measured)."""
_EXECUTED: Final = next(field.offset for field in CONTEXT if field.name == "executed") // 8
_WORDS: Final = CONTEXT_BYTES // 8


class Tiered:
    """A program that may get machine code while it runs. making: the thread that makes it, once there is one."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._interpreted = hand_over(image)
        self._compiled: Prepared | None = None
        self.making: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ns = self._slots = self._records = 0

    def run(self, *arguments: Any) -> tuple[int, Stop, int]:
        """Run with what there is now."""
        framing, size = arguments[8], arguments[9]
        compiled = self._compiled
        prepared = self._interpreted if compiled is None else compiled.loaded(framing, size)
        before, begun = self._executed(arguments), time.perf_counter_ns()
        slot, stop, used, many, one, *_ = _core.vm_run(prepared, *arguments)
        spent = time.perf_counter_ns() - begun
        if compiled is not None:
            compiled.count(many, one)
        else:
            with self._lock:
                self._records += one
                self._ns += spent
                self._slots += self._executed(arguments) - before
            self._consider(framing, size)
        return slot, Stop(stop), used

    def _executed(self, arguments: Any) -> int:
        """Return how many instructions the microVMs of a run have executed."""
        if self.making is not None:
            return 0
        contexts, first, count = arguments[0], arguments[3], arguments[4]
        words = memoryview(contexts).cast("B").cast("Q")
        return sum(words[first * _WORDS + _EXECUTED : (first + count) * _WORDS : _WORDS])

    def _consider(self, framing: int, size: int) -> None:
        """Begin to compile if the program has earned it."""
        with self._lock:
            worth = self._ns > BUSY_NS and self._slots * 1000 > SLOTS_A_MICROSECOND * self._ns
            if not worth or self.making is not None:
                return
            self.making = threading.Thread(target=self._make, args=(framing, size), daemon=True)
        self.making.start()

    def _make(self, framing: int, size: int) -> None:
        from packetfs.engines.compiled.machine import Prepared  # most jobs end before they need it

        made = Prepared(self._image)
        made.loaded(framing, size)
        self._compiled = made

    def ran(self) -> dict[str, int]:
        """Return how many records ran in machine code, and how many in the interpreter."""
        made = self._compiled
        both = made.ran() if made is not None else {"compiled": 0, "interpreted": 0}
        return {**both, "interpreted": both["interpreted"] + self._records}


def _run(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    return prepared.run(*arguments)  # type: ignore[no-any-return]


AUTO: Final = Machine("auto", _run, Tiered, Tiered.ran)
