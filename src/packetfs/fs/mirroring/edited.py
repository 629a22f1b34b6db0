"""Where files differ from what they were, as far as their import found out."""

from __future__ import annotations

from packetfs.limits import EDITS_MAX
from packetfs.packet.digest import Digest
from packetfs.packet.rivals import Span
from packetfs.typing import Sequence


class Edited:
    """What an import found out of the files that it read, for whoever sends them."""

    def __init__(self) -> None:
        self._found: dict[tuple[Digest, Digest], Sequence[Span]] = {}
        self._room = EDITS_MAX

    def note(self, old: Digest, new: Digest, spans: Sequence[Span]) -> None:
        """Remember where the program `new` makes other bytes than `old`, as long as there is room."""
        size = len(spans) + 1
        if size <= self._room:
            self._room -= size
            self._found[old, new] = spans

    def spans(self, old: Digest, new: Digest) -> Sequence[Span] | None:
        """Return where these differ, [start, end) by [start, end) in order; None where that is not known."""
        return self._found.get((old, new))
