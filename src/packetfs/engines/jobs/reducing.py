"""What a job came to, as its batches are reduced in order, and what each of its stretches did, to be remembered."""

from __future__ import annotations

from packetfs.engines.input.shards import Batch
from packetfs.engines.input.source import Source
from packetfs.engines.live.table import Table
from packetfs.engines.results.outcome import Outcome
from packetfs.typing import TYPE_CHECKING, Sequence
from packetfs.vm.image import Image

if TYPE_CHECKING:
    from packetfs.engines.memo.memo import Memo, Remembered


class Reducing:
    """The outcome of a job so far. A stretch is added up by itself, and then merged into it."""

    def __init__(self, outcome: Outcome, image: Image, memo: Memo | None) -> None:
        self._outcome = outcome
        self._image = image
        self._memo = memo
        self._parts: list[Outcome] = []
        """What the open stretch came to: the last one grows, those before are merged already."""

    def add(self, table: Table, batch: Batch, source: Source) -> None:
        """Add a batch whose microVMs have all ended."""
        self._open(batch).add(table, batch, source.name)
        self._close(batch, source)

    def add_known(self, batch: Batch, source: Source, known: Sequence[Remembered]) -> None:
        """Add a batch of which all shards were remembered."""
        outcome = self._open(batch)
        for index, each in enumerate(known):
            start, stop = batch.edges(index)
            outcome.add_one(each.totals(stop - start), each.maps)
        self._close(batch, source)

    def _open(self, batch: Batch) -> Outcome:
        """Return what a batch is to be added to."""
        if self._memo is None or batch.stretch is None:
            return self._outcome
        if batch.shard == batch.stretch.shard:
            self._parts = [Outcome(self._image)]
        return self._parts[-1]

    def _close(self, batch: Batch, source: Source) -> None:
        """Remember the stretch of a batch that was added, if it is the last one in it."""
        stretch = batch.stretch
        if self._memo is None or stretch is None or batch.behind < stretch.shard + len(stretch.starts):
            return
        whole, *more = self._merged()
        for each in more:
            whole.merge(each)
        self._memo.keep_stretch(source, batch.file, stretch, whole)

    def merge(self, known: Outcome) -> None:
        """Add what was remembered of a stretch."""
        self._outcome.merge(known)

    def settled(self) -> Outcome:
        """Return what all batches came to that were added."""
        if self._parts:
            self._parts = [*self._merged(), Outcome(self._image)]
        return self._outcome

    def _merged(self) -> list[Outcome]:
        """Merge what grows, and return the parts of the stretch, which is not open any more."""
        parts, self._parts = self._parts, []
        self._outcome.merge(parts[-1])
        return parts
