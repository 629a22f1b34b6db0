"""The engine `lanes` as a machine: blocks of records in lanes, and the code of `cpu` for what they leave."""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Final

from packetfs.accel import native
from packetfs.engines.compiled.graph import make_graph
from packetfs.engines.compiled.records import MANY, ONE, many_records, one_record
from packetfs.engines.lanes import cells
from packetfs.engines.lanes.facts import TooLarge, goes_on
from packetfs.engines.lanes.records import ALONE, BLOCKS, POSITION, RECORD_MAX, blocks_of_records, record_alone
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import Framing, Stop
from packetfs.vm.machine import Machine

_core: Any = native
WIDTH: Final = cells.LANES


class Prepared:
    """A program in the C core with its machine code. Counts the records that ran in lanes, and those that did not."""

    def __init__(self, image: Image, position: int | None) -> None:
        self._image = image
        self._position = position
        self._by_size: dict[int, tuple[object, list[object]]] = {}
        self._compiling = threading.Lock()
        self._counting = threading.Lock()
        self.lanes = self.compiled = self.interpreted = 0

    def ran(self) -> dict[str, int]:
        """Return how many records ran in lanes, in machine code one by one, and in the interpreter."""
        return {"lanes": self.lanes, "compiled": self.compiled, "interpreted": self.interpreted}

    def loaded(self, framing: int, size: int) -> object:
        """Return what `vm_run` takes, with code for this framing."""
        many = size if framing == Framing.FIXED and size <= RECORD_MAX and self._position is None else 0
        with self._compiling:  # the workers of a job all ask at once, and must be given one and the same
            if many not in self._by_size:
                self._by_size[many] = self._compile(many)
            return self._by_size[many][0]

    def _compile(self, size: int) -> tuple[object, list[object]]:
        from packetfs.engines.compiled.cache import load_code

        places, capsule = _core.vm_places(), hand_over(self._image)
        if self._position is not None:
            alone = load_code(record_alone(self._image, places), ALONE)
            address = alone.owner.get_global_value_address(POSITION)
            ctypes.c_int64.from_address(address).value = self._position
            _core.vm_attach(capsule, 0, alone.address, 0)
            return capsule, [alone]
        if not size:
            one = load_code(one_record(self._image, places), ONE)
            _core.vm_attach(capsule, 0, one.address, 0)
            return capsule, [one]
        many = load_code(many_records(self._image, places, size), MANY)
        try:
            blocks = load_code(blocks_of_records(self._image, places, size), BLOCKS)
        except TooLarge:
            _core.vm_attach(capsule, many.address, 0, size)
            return capsule, [many]
        _core.vm_attach(capsule, many.address, 0, size, blocks.address, WIDTH)
        return capsule, [many, blocks]

    def count(self, compiled: int, interpreted: int, lanes: int) -> None:
        """Add what one call of the C core counted."""
        alone = self._position is not None
        with self._counting:
            self.lanes += lanes + (compiled if alone else 0)
            self.compiled += 0 if alone else compiled
            self.interpreted += interpreted


def does_all(image: Image, size: int) -> bool:
    """Tell whether lanes do all that a program may do to records of `size` bytes; else they drop most blocks."""
    steps = (step for run in make_graph(image).runs.values() for step in run.steps)
    return size <= RECORD_MAX and all(goes_on(step) for step in steps)


def _run(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    framing, size = arguments[8], arguments[9]
    slot, stop, used, *counts = _core.vm_run(prepared.loaded(framing, size), *arguments)
    prepared.count(*counts)
    return slot, Stop(stop), used


def lane(position: int) -> Machine:
    """Return a machine that runs each record alone in one lane: what tests and conformance suites look at."""
    return Machine("lanes", _run, lambda image: Prepared(image, position), Prepared.ran)


LANES: Final = Machine("lanes", _run, lambda image: Prepared(image, None), Prepared.ran)
