"""The engine `cpu` as a machine: code for each framing that a job asks for, the interpreter for what it leaves.

Of a large program a draft comes first; when that has run for a while, good code is made beside it and takes its place.
"""

from __future__ import annotations

import time

from packetfs.accel import native
from packetfs.engines.beside import begin
from packetfs.engines.compiled.cache import Code, find_code, load_code, load_draft
from packetfs.engines.compiled.recipe import MANY, ONE, recipe
from packetfs.threading import Lock, Thread
from packetfs.typing import Any, Callable, Final
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import RECORD_COPY_MAX, Framing, Stop
from packetfs.vm.machine import Machine

_core: Any = native
DRAFT_NS: Final = 100_000_000
"""What a draft runs, in time of its threads' processors, before good code is made, which takes about as long."""


class Prepared:
    """A program in the C core, with the machine code that was attached to it. Counts the records of both."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._by_size: dict[int, tuple[object, Code]] = {}
        self._compiling = Lock()
        self._counting = Lock()
        self.compiled = self.interpreted = 0
        self._ns = 0
        self.improving: Thread | None = None
        self._drafts: list[tuple[object, Code]] = []
        """What other threads may be in yet."""

    def ran(self) -> dict[str, int]:
        """Return how many records ran in machine code, and how many in the interpreter."""
        return {"compiled": self.compiled, "interpreted": self.interpreted}

    def count(self, compiled: int, interpreted: int) -> None:
        """Add what one run did."""
        with self._counting:
            self.compiled += compiled
            self.interpreted += interpreted

    def loaded(self, framing: int, size: int) -> object:
        """Return what `vm_run` takes, with code for this framing."""
        many = _many(framing, size)
        with self._compiling:  # the workers of a job all ask at once, and must be given one and the same
            if many not in self._by_size:
                self._attach(many, one_by_one(self._image, many, load_draft))
            return self._by_size[many][0]

    def find(self, framing: int, size: int) -> bool:
        """Take code that was made before; False if there is none."""
        many = _many(framing, size)
        with self._compiling:
            if many not in self._by_size:
                code = find_code(recipe(self._image, many), MANY if many else ONE)
                if code is None:
                    return False
                self._attach(many, code)
            return True

    def took(self, framing: int, size: int, ns: int) -> None:
        """Note how long code ran."""
        many = _many(framing, size)
        with self._counting:
            self._ns += ns
            if self._ns > DRAFT_NS and self.improving is None and self._by_size[many][1].draft:
                self.improving = begin(lambda: self._improve(many))

    def _improve(self, many: int) -> None:
        try:
            code = one_by_one(self._image, many)
        except Exception:  # LLVM's; the draft is code too
            return
        with self._compiling:
            self._drafts.append(self._by_size[many])
            self._attach(many, code)

    def _attach(self, many: int, code: Code) -> None:
        capsule = hand_over(self._image)
        _core.vm_attach(capsule, code.address if many else 0, 0 if many else code.address, many)
        self._by_size[many] = capsule, code


def _many(framing: int, size: int) -> int:
    """Return the size of records that one call runs many of; 0 where each is a call."""
    return size if framing == Framing.FIXED and size <= RECORD_COPY_MAX else 0


def one_by_one(image: Image, many: int, how: Callable[[bytes, str, Callable[[], str]], Code] = load_code) -> Code:
    """Return code that runs one record, or `many` > 0: those of so many bytes, one after the other."""

    def write() -> str:
        from packetfs.engines.compiled.records import many_records, one_record  # code made before needs none of it

        places = _core.vm_places()
        return many_records(image, places, many) if many else one_record(image, places)

    return how(recipe(image, many), MANY if many else ONE, write)


def _prepare(image: Image) -> object:
    return Prepared(image)


def _run(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    framing, size = arguments[8], arguments[9]
    loaded, begun = prepared.loaded(framing, size), time.thread_time_ns()
    slot, stop, used, compiled, interpreted, _ = _core.vm_run(loaded, *arguments)
    prepared.took(framing, size, time.thread_time_ns() - begun)
    prepared.count(compiled, interpreted)
    return slot, Stop(stop), used


CPU: Final = Machine("cpu", _run, _prepare, Prepared.ran)
