"""The engine `lanes` as a machine: blocks of records in lanes, and the code of `cpu` for what they leave."""

from __future__ import annotations

from packetfs.accel import native
from packetfs.engines.compiled.cache import Code, find_code, load_code
from packetfs.engines.compiled.machine import one_by_one
from packetfs.engines.compiled.recipe import MANY, recipe
from packetfs.engines.lanes.shape import ALONE, BLOCKS, POSITION, RECORD_MAX
from packetfs.engines.lanes.shape import LANES as WIDTH
from packetfs.threading import Lock
from packetfs.typing import Any, Final
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import Framing, Stop
from packetfs.vm.machine import Machine

_core: Any = native


class Prepared:
    """A program in the C core with its machine code. Counts the records that ran in lanes, and those that did not."""

    def __init__(self, image: Image, position: int | None) -> None:
        self._image = image
        self._position = position
        self._by_size: dict[int, tuple[object, list[Code]]] = {}
        self._compiling = Lock()
        self._counting = Lock()
        self.lanes = self.compiled = self.interpreted = 0

    def ran(self) -> dict[str, int]:
        """Return how many records ran in lanes, in machine code one by one, and in the interpreter."""
        return {"lanes": self.lanes, "compiled": self.compiled, "interpreted": self.interpreted}

    def loaded(self, framing: int, size: int) -> object:
        """Return what `vm_run` takes, with code for this framing."""
        many = _many(framing, size) if self._position is None else 0
        with self._compiling:  # the workers of a job all ask at once, and must be given one and the same
            if many not in self._by_size:
                self._by_size[many] = self._make(many)
            return self._by_size[many][0]

    def find(self, framing: int, size: int) -> bool:
        """Take code that was made before, of blocks and of what they leave; False if there is none."""
        many = _many(framing, size)
        if not many or self._position is not None:
            return False
        with self._compiling:
            if many not in self._by_size:
                wanted = recipe(self._image, many)
                found = [code for code in (find_code(wanted, MANY), find_code(wanted, BLOCKS)) if code is not None]
                if len(found) < 2:
                    return False
                self._by_size[many] = self._attach(many, *found), found
            return True

    def _make(self, many: int) -> tuple[object, list[Code]]:
        if self._position is not None:
            return self._alone(self._position)
        one = one_by_one(self._image, many)
        if not many:
            capsule = hand_over(self._image)
            _core.vm_attach(capsule, 0, one.address, 0)
            return capsule, [one]
        blocks = _blocks(self._image, many)
        return self._attach(many, one, blocks), [one] if blocks is None else [one, blocks]

    def _attach(self, many: int, one: Code, blocks: Code | None) -> object:
        capsule = hand_over(self._image)
        _core.vm_attach(capsule, one.address, 0, many, *(() if blocks is None else (blocks.address, WIDTH)))
        return capsule

    def _alone(self, position: int) -> tuple[object, list[Code]]:
        import ctypes

        from packetfs.engines.lanes.records import record_alone

        capsule = hand_over(self._image)
        code = load_code(recipe(self._image, 0), ALONE, lambda: record_alone(self._image, _core.vm_places()))
        ctypes.c_int64.from_address(code.owner.get_global_value_address(POSITION)).value = position
        _core.vm_attach(capsule, 0, code.address, 0)
        return capsule, [code]

    def count(self, compiled: int, interpreted: int, lanes: int) -> None:
        """Add what one call of the C core counted."""
        alone = self._position is not None
        with self._counting:
            self.lanes += lanes + (compiled if alone else 0)
            self.compiled += 0 if alone else compiled
            self.interpreted += interpreted


def _many(framing: int, size: int) -> int:
    """Return the size of records that run in blocks; 0 where each runs alone."""
    return size if framing == Framing.FIXED and size <= RECORD_MAX else 0


def _blocks(image: Image, size: int) -> Code | None:
    """Return code that runs blocks of records, None for a program that is not worth it."""
    from packetfs.engines.lanes.facts import TooLarge
    from packetfs.engines.lanes.records import blocks_of_records

    try:
        return load_code(recipe(image, size), BLOCKS, lambda: blocks_of_records(image, _core.vm_places(), size))
    except TooLarge:
        return None


def does_all(image: Image, size: int) -> bool:
    """Tell whether lanes do all that a program may do to records of `size` bytes; else they drop most blocks."""
    from packetfs.engines.lanes.facts import goes_on
    from packetfs.engines.lowering.graph import make_graph

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
