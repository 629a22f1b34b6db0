"""Which interpreter runs: the C core where it is built, else its twin in Python. Engines may ask for either."""

from __future__ import annotations

from typing import Any, Final, Protocol

from packetfs.accel import native
from packetfs.dataclass import dataclass
from packetfs.errors import UsageError
from packetfs.packet.layout import Buffer
from packetfs.vm.image import Image, hand_over
from packetfs.vm.layout import Stop


class Run(Protocol):
    """run_python says what the arguments mean. `prepared`: what `prepare` of the same machine returned."""

    def __call__(
        self,
        prepared: Any,
        contexts: Buffer,
        spill: Buffer,
        maps: Buffer,
        first: int,
        count: int,
        window: Buffer,
        window_start: int,
        final: bool,
        framing: int,
        size: int,
        bounds: Buffer,
        out: Buffer,
        slice_slots: int,
        fuel: int,
        file_id: int,
        /,
    ) -> tuple[int, Stop, int]: ...


@dataclass(frozen=True, slots=True)
class Machine:
    """An interpreter. prepare: what it makes of an image once; run: runs microVMs of it."""

    name: str
    run: Run

    def prepare(self, image: Image) -> object:
        """Return what `run` takes for this image."""
        return image if native is None or self is not NATIVE else hand_over(image)


def _run_twin(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    from packetfs.vm.interpreter import run_python  # most processes run the core and need none of the twin

    return run_python(prepared, *arguments)


def _run_native(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    slot, stop, used = _core.vm_run(prepared, *arguments)
    return slot, Stop(stop), used


_core: Any = native
TWIN: Final = Machine("interpreter", _run_twin)
NATIVE: Final = Machine("native", _run_native) if hasattr(native, "vm_run") else None
MACHINES: Final = tuple(machine for machine in (TWIN, NATIVE) if machine is not None)
"""Those that this installation has."""


def choose(name: str = "auto") -> Machine:
    """Return the machine `interpreter`, `native`, or the fastest there is for `auto`; UsageError for others."""
    if name == "auto":
        return MACHINES[-1]
    for machine in MACHINES:
        if machine.name == name:
            return machine
    has = ", ".join(machine.name for machine in MACHINES)
    raise UsageError(reason=f"there is no engine {name} in this installation; it has {has}")
