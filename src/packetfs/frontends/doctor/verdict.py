"""The answer of one check."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.enum import Enum


class Need(Enum):
    """REQUIRED: nothing works without it. ADVISED: slower or with less without it. OPTIONAL: one feature needs it."""

    REQUIRED = "required"
    ADVISED = "advised"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one property, and what to do where it lacks."""

    name: str
    need: Need
    good: bool
    found: str
    advice: str = ""

    @property
    def fatal(self) -> bool:
        return not self.good and self.need is Need.REQUIRED
