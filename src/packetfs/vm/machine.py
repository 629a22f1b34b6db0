"""Which interpreter runs: the C core where it is built, else its twin in Python. Engines may ask for either."""

from __future__ import annotations

from packetfs.accel import native
from packetfs.dataclass import dataclass
from packetfs.packet.layout import Buffer
from packetfs.typing import Any, Callable, Final, Protocol
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
    """What runs microVMs. prepare: what it makes of an image once, for `run` to take. ran: how many records ran so far
    in which way, where there are several; why: what it chose among them, and why, in words; like: the name of the one
    that it is as fast as by now, where that changes."""

    name: str
    run: Run
    prepare: Callable[[Image], object]
    ran: Callable[[Any], dict[str, int]] = lambda _: {}
    why: Callable[[Any], str] = lambda _: ""
    like: Callable[[Any], str] = lambda _: ""


def _same(image: Image) -> object:
    return image


def _run_twin(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    from packetfs.vm.interpreter import run_python  # most processes run the core and need none of the twin

    return run_python(prepared, *arguments)


def _run_native(prepared: Any, *arguments: Any) -> tuple[int, Stop, int]:
    slot, stop, used, *_ = _core.vm_run(prepared, *arguments)
    return slot, Stop(stop), used


_core: Any = native
TWIN: Final = Machine("interpreter", _run_twin, _same)
NATIVE: Final = None if native is None else Machine("native", _run_native, hand_over)
MACHINES: Final = tuple(machine for machine in (TWIN, NATIVE) if machine is not None)
"""Those that this installation has."""
