"""The engine `cpu` as a machine: code for each framing that a job asks for, the interpreter for what it leaves."""

from __future__ import annotations

import threading
from typing import Any, Final

from packetfs.accel import native
from packetfs.engines.compiled.records import MANY, ONE, many_records, one_record
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import RECORD_COPY_MAX, Framing, Stop
from packetfs.vm.machine import Machine

_core: Any = native


class Prepared:
    """A program in the C core, with the machine code that was attached to it. Counts the records of both."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._by_size: dict[int, tuple[object, object]] = {}
        self._compiling = threading.Lock()
        self._counting = threading.Lock()
        self.compiled = self.interpreted = 0

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
        many = size if framing == Framing.FIXED and size <= RECORD_COPY_MAX else 0
        with self._compiling:  # the workers of a job all ask at once, and must be given one and the same
            if many not in self._by_size:
                self._by_size[many] = self._compile(many)
            return self._by_size[many][0]

    def _compile(self, many: int) -> tuple[object, object]:
        from packetfs.engines.compiled.cache import load_code

        places = _core.vm_places()
        name = MANY if many else ONE
        text = many_records(self._image, places, many) if many else one_record(self._image, places)
        code = load_code(text, name)
        capsule = hand_over(self._image)
        _core.vm_attach(capsule, code.address if many else 0, 0 if many else code.address, many)
        return capsule, code


def _prepare(image: Image) -> object:
    return Prepared(image)


def _run(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    framing, size = arguments[8], arguments[9]
    slot, stop, used, compiled, interpreted, _ = _core.vm_run(prepared.loaded(framing, size), *arguments)
    prepared.count(compiled, interpreted)
    return slot, Stop(stop), used


CPU: Final = Machine("cpu", _run, _prepare, Prepared.ran)
