"""Which machine runs a job, by the name of its engine."""

from __future__ import annotations

from packetfs.accel import native
from packetfs.engines.options import COMPILING
from packetfs.errors import UsageError
from packetfs.importlib import find_spec
from packetfs.vm.machine import MACHINES, Machine


def can_compile() -> bool:
    """Tell whether this installation has what it takes, without loading it."""
    return native is not None and find_spec("llvmlite") is not None


def every_machine() -> tuple[Machine, ...]:
    """Return all machines of this installation, the definition first."""
    if not can_compile():
        return MACHINES
    from packetfs.engines.compiled.machine import CPU

    return (*MACHINES, CPU)


def choose(name: str = "auto") -> Machine:
    """Return the machine of an engine; UsageError for one that this installation has not."""
    if name == "auto":
        return _automatic()
    for machine in MACHINES if name not in COMPILING else every_machine():
        if machine.name == name:
            return machine
    if name == "lanes" and can_compile():
        from packetfs.engines.lanes.machine import LANES

        return LANES
    if name in COMPILING:
        reason = f"engine {name} needs the native core and llvmlite: pip install 'packetfs[programs]'"
        raise UsageError(reason=reason)
    has = ", ".join(machine.name for machine in every_machine())
    raise UsageError(reason=f"there is no engine {name} in this installation; it has {has}")


def _automatic() -> Machine:
    if not can_compile():
        return MACHINES[-1]
    from packetfs.engines.tiers import AUTO

    return AUTO
