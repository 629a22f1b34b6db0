"""What code does beside its program. Everything that runs has all of it; a benchmark leaves it out to see its price."""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import Final


@dataclass(frozen=True, slots=True)
class Safety:
    """checks: addresses are inside before memory is touched. fuel: slots are counted and end a record."""

    checks: bool
    fuel: bool


SAFE: Final = Safety(checks=True, fuel=True)
