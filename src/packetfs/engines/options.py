"""How a job is to be run. None of it but shard bytes, fuel and seed can change a byte of the result."""

from __future__ import annotations

from typing import Final

from packetfs.dataclass import dataclass
from packetfs.limits import FUEL, SHARD_BYTES

ENGINES: Final = ("auto", "interpreter", "native")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """`engine`: one of ENGINES. `vms`: microVMs live at once (None: a few a worker). `workers`: threads (None: cores).

    `fuel`: slots a record may execute. `shard_bytes`: bytes of a file that one microVM is given. `slice_slots`: slots
    that a microVM executes before the next one has its turn (None: chosen by engine). `repeat`: run so often, for
    measuring. `parent`: directory of shared memory in which the job's own is made. `keep`: leave the job's directory
    when it is interrupted, to be resumed. `keep_output`: keep what was delivered too, so that a resumed job delivers
    its output from the first byte on.
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
