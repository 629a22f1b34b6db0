"""Where a stream differs from its old program, as whoever cut it found out: what is to be sent needs no second look."""

from __future__ import annotations

from packetfs.limits import EDITS_MAX, PATCH_SHARE
from packetfs.packet.inplace import differing
from packetfs.packet.rivals import Span
from packetfs.pool.lookup import Like
from packetfs.typing import Iterable, Sequence


class Edits:
    """Collects where a stream differs from what its old program makes at the same places.

    It gives up where content moved. A chunk that is much other than what stood there is other as a whole: more of it
    may be found around.
    """

    def __init__(self) -> None:
        self.spans: list[Span] | None = []
        """What differs, in order; None where that is not known."""

    def give_up(self) -> None:
        """Know nothing of this stream."""
        self.spans = None

    def note(self, at: int, spans: Sequence[Span], length: int) -> None:
        """Take what differs in the `length` bytes from `at` on, counted from there. What was noted of them and of those
        behind them goes: it was known before it was settled."""
        noted = self.spans
        if noted is None:
            return
        while noted and noted[-1][0] >= at:
            noted.pop()
        if sum(end - start for start, end in spans) > length // PATCH_SHARE:
            spans = ((0, length),)
        if len(noted) + len(spans) > EDITS_MAX:
            self.give_up()
        else:
            noted += [(at + start, at + end) for start, end in spans]

    def take(self, at: int, chunk: memoryview, like: Sequence[Like], was_at: int) -> None:
        """Take a chunk that was cut: an old one, which `was_at` a place, or a new one, with the old extents that stand
        where it is."""
        if was_at == at:
            self.note(at, (), len(chunk))
        elif was_at >= 0 or not like:
            self.give_up()
        elif self.spans is not None:
            self.note(at, _differing(chunk, like), len(chunk))


def _differing(chunk: memoryview, like: Iterable[Like]) -> list[Span]:
    """Return where a chunk is not as the old extents that stand where it is; where none stands it is other."""
    spans: list[Span] = []
    done = 0
    for one in like:
        start, stop = max(done, one.at), min(len(chunk), one.at + len(one.content))
        if start < stop:
            spans += [(done, start)] if done < start else []
            there = one.content[start - one.at : stop - one.at]
            spans += [(start + a, start + b) for a, b in differing(chunk[start:stop], there)]
            done = stop
    return [*spans, (done, len(chunk))] if done < len(chunk) else spans
