"""How a job is to be run. None of it but shard bytes, fuel and seed can change a byte of the result."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.limits import (
    FUEL,
    FUEL_MAX,
    REPEAT_MAX,
    SHARD_ARRAYS,
    SHARD_ARRAYS_ONCE,
    SHARD_BYTES,
    SHARD_BYTES_FIT,
    SHARD_BYTES_MAX,
    SHARD_BYTES_MIN,
    SHARD_TABLES,
    WORKERS_MAX,
)
from packetfs.typing import Final
from packetfs.vm.image import ARRAYS
from packetfs.vm.layout import VMS_MAX, MapFlag, MapType
from packetfs.vm.program import MapDefinition, Program

COMPILING: Final = ("cpu", "lanes")
"""Engines that make machine code: they need the C core and llvmlite."""
ENGINES: Final = ("auto", "interpreter", "native", *COMPILING)
RANGES: Final = {
    "vms": (1, VMS_MAX),
    "workers": (1, WORKERS_MAX),
    "fuel": (1, FUEL_MAX),
    "seed": (0, (1 << 64) - 1),
    "shard_bytes": (SHARD_BYTES_MIN, SHARD_BYTES_MAX),
    "slice_slots": (1, FUEL_MAX),
    "repeat": (1, REPEAT_MAX),
}
"""Least and most of each number in JobOptions, whoever says it: a user, a file, another machine."""
UNSAID: Final = ("vms", "workers", "slice_slots")
"""Those that may be None."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """`engine`: one of ENGINES. `vms`: microVMs live at once (None: a few a worker). `workers`: threads (None: cores).

    `fuel`: slots a record may execute. `shard_bytes`: bytes of a file that one microVM is given. `slice_slots`: slots
    that a microVM executes before the next one has its turn (None: chosen by engine). `repeat`: run so often, for
    measuring. `parent`: directory of shared memory in which the job's own is made. `keep`: leave the job's directory
    when it is interrupted, to be resumed. `keep_output`: keep what was delivered too, so that a resumed job delivers
    its output from the first byte on. `to_file`: output goes to a file that only a run to its end makes, so what was
    delivered is gone with its process, and a job that does not keep it cannot be resumed behind it.
    """

    engine: str = "auto"
    vms: int | None = None
    workers: int | None = None
    fuel: int = FUEL
    seed: int = 0
    shard_bytes: int = SHARD_BYTES
    slice_slots: int | None = None
    repeat: int = 1
    parent: str | None = None
    keep: bool = False
    keep_output: bool = False
    to_file: bool = False


def fitting_shard(program: Program, *, remembered: bool) -> int:
    """Return the bytes of a shard where nobody says them: the program decides, and whether results of shards may be
    remembered, so that shards are the same everywhere."""
    arrays = SHARD_ARRAYS if remembered else SHARD_ARRAYS_ONCE
    wanted = 1 << sum(_shard_for(each, arrays) for each in program.maps).bit_length()
    return max(SHARD_BYTES, min(wanted, SHARD_BYTES_FIT))


def _shard_for(found: MapDefinition, arrays: int) -> int:
    """Return for how many bytes of a shard a map is a small part of the work."""
    if found.flags & MapFlag.READ_ONLY or found.type is MapType.RINGBUF:
        return 0
    return found.value_size * found.max_entries * (arrays if found.type in ARRAYS else SHARD_TABLES)


def check_options(options: JobOptions) -> None:
    """Refuse options that are of a wrong type or out of range: ValueError."""
    for name, (least, most) in RANGES.items():
        number = getattr(options, name)
        if number is None and name in UNSAID:
            continue
        if type(number) is not int or not least <= number <= most:
            raise ValueError(f"{name} is {_short(number)}; {least} to {most} are possible")
    if options.engine not in ENGINES:
        raise ValueError(f"engine is {_short(options.engine)}; it is one of {', '.join(ENGINES)}")
    if not isinstance(options.parent, str | None) or "\0" in (options.parent or ""):
        raise ValueError("parent is no path")
    if not all(isinstance(flag, bool) for flag in (options.keep, options.keep_output, options.to_file)):
        raise ValueError("keep, keep_output or to_file is neither true nor false")


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 1 << 128:
        return "a very large number"
    return f"{value!r:.40}"
