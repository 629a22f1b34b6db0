"""How long to wait before the next attempt to connect: twice as long each time, up to a limit, and never in step."""

from __future__ import annotations

import random
from collections.abc import Callable

from packetfs.limits import BACKOFF_FIRST, BACKOFF_MOST


class Backoff:
    """The delays of one destination. Half of each is chance: many that lost one server do not return at once."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._next = BACKOFF_FIRST

    def next(self) -> float:
        """Return the seconds to wait now."""
        delay, self._next = self._next, min(self._next * 2, BACKOFF_MOST)
        return delay * (1 + self._chance()) / 2

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self._next = BACKOFF_FIRST
