"""What a job's processes tell each other besides the contexts: one small file of shared memory beside the table.

    bytes 0..3      control: RUN, PAUSE or CANCEL; any process that may write it may ask
    bytes 4..7      process that runs the job
    bytes 8..15     bytes of output that were delivered
    bytes 16..23    bytes of the spool that are valid
    bytes 24..31    where the first undelivered output in the spool begins
    64 + slot       1 while the batch whose first microVM has that slot is being run
    65,600 + slot   1 while that microVM is held: it stays as it is until it is let go

Numbers are little-endian.
"""

from __future__ import annotations

import struct

from packetfs.dataclass import dataclass
from packetfs.enum import IntEnum
from packetfs.typing import Final
from packetfs.vm.layout import VMS_MAX

SLOTS: Final = VMS_MAX + 1
_CLAIMS: Final = 64
_HELD: Final = _CLAIMS + SLOTS
LEDGER_BYTES: Final = _HELD + SLOTS
_FRONT: Final = struct.Struct("<IIQ")


class Control(IntEnum):
    """What a job is asked to do."""

    RUN = 0
    PAUSE = 1
    CANCEL = 2


class Ledger:
    """The mapped file. Each number is stored by one instruction, so that a killed process leaves none half written."""

    def __init__(self, view: memoryview) -> None:
        self._halves = view[:8].cast("I")
        self._words = view[:_CLAIMS].cast("Q")
        self.claims = view[_CLAIMS:_HELD]
        self.held = view[_HELD:LEDGER_BYTES]

    @property
    def control(self) -> Control:
        """What was asked for; what no version knows counts as RUN."""
        number = self._halves[0]
        return Control(number) if number <= Control.CANCEL else Control.RUN

    @control.setter
    def control(self, wanted: Control) -> None:
        self._halves[0] = wanted

    @property
    def owner(self) -> int:
        return self._halves[1]

    @owner.setter
    def owner(self, pid: int) -> None:
        self._halves[1] = pid

    @property
    def delivered(self) -> int:
        return self._words[1]

    @delivered.setter
    def delivered(self, count: int) -> None:
        self._words[1] = count

    @property
    def spooled(self) -> int:
        return self._words[2]

    @spooled.setter
    def spooled(self, count: int) -> None:
        self._words[2] = count

    @property
    def spool_low(self) -> int:
        return self._words[3]

    @spool_low.setter
    def spool_low(self, offset: int) -> None:
        self._words[3] = offset

    def close(self) -> None:
        for view in (self._halves, self._words, self.claims, self.held):
            view.release()


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the front of a ledger says, as read at one moment."""

    control: Control
    owner: int
    delivered: int


def read_ledger(directory: str) -> LedgerView:
    """Read the front of a job's ledger without mapping it; OSError when there is none."""
    with open(f"{directory}/ledger", "rb") as file:
        front = file.read(_CLAIMS).ljust(_CLAIMS, b"\0")
    number, owner, delivered = _FRONT.unpack_from(front)
    return LedgerView(Control(number) if number <= Control.CANCEL else Control.RUN, owner, delivered)


def control_place() -> int:
    """Return where in the file `control` lies."""
    return 0


def held_place(slot: int) -> int:
    """Return where in the file the byte lies that holds a microVM."""
    return _HELD + slot
