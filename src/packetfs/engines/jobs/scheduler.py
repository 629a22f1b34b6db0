"""Which batch of microVMs has its turn next, on which worker.

A queue goes round: every live batch gets a turn, then the first one again, so that short shards end while long ones
wait. New batches begin while there is room for them: so many microVMs live, so much output and so much of a pipe held,
and not farther from the last reduced batch than the table reaches.
"""

from __future__ import annotations

from packetfs import errors
from packetfs.dataclass import dataclass
from packetfs.engines.input.shards import Batch
from packetfs.engines.jobs.turn import Live
from packetfs.engines.live.ledger import Control, Ledger
from packetfs.limits import MIB
from packetfs.threading import Condition, Event
from packetfs.typing import Callable, Protocol, Sequence

LOOK_SECONDS = 0.02
"""Seconds between two looks at the ledger while a job is paused, or all that could run is held."""
ALONE = 16 * MIB
"""Bytes that one worker runs alone behind what was remembered: another one, with its buffers, costs 2 ms."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be under way. `live`: microVMs that have begun and not ended. `window`: shards from the first one
    that is not reduced to the last one that has begun."""

    live: int
    window: int


class Taker(Protocol):
    """A worker's way to give a batch its turn."""

    def take(self, live: Live) -> None: ...


class Care(Protocol):
    """What a job does around the turns (work.py)."""

    def plan(self) -> Live | None:
        """Return the next batch that has not begun; may wait for a pipe. One thread at a time asks."""

    def begin(self, live: Live) -> None:
        """Make its microVMs READY; `live` is finished where all of them are done already."""

    def reduce(self, ended: Sequence[Batch]) -> None:
        """Reduce these batches, which come next; their microVMs are free afterwards. One thread at a time asks."""

    def must_wait(self) -> bool:
        """Tell whether so much output waits that nothing new may begin."""

    def settled(self) -> int | None:
        """Return the shard up to which batches may be reduced, None for all: the output of what is reduced is not
        looked for again when this process dies, so it must be out."""

    def plan_waits(self) -> bool:
        """Tell whether `plan` may wait for long: what can run is then run first."""

    def release(self, file: int, start: int) -> None:
        """No batch needs what is before `start` of a file any more."""


class Scheduler:
    """The queue. `queue` and `ended`: batches that a dead process left; `shards`: how many are reduced."""

    def __init__(
        self,
        care: Care,
        ledger: Ledger,
        stopped: Event,
        bounds: Bounds,
        queue: Sequence[Live] = (),
        ended: Sequence[Batch] = (),
        shards: int = 0,
    ) -> None:
        self._care = care
        self._ledger = ledger
        self._stopped = stopped
        self._bounds = bounds
        self._queue = list(queue)
        self._open = {live.batch.shard: live.batch for live in queue}
        self._ended = {batch.shard: batch for batch in ended}
        self._live = sum(live.living for live in queue)
        self._reduced = self._front = shards
        self._step()
        self._next: Live | None = None
        self._last = (0, 0)
        self._planning = self._planned = self._reducing = False
        self._condition = Condition()
        self._call_others: Callable[[], None] | None = None
        self._room = 0
        """Bytes that the first worker may still run alone."""
        self._over = Event()  # of its own: the main thread must not wake up at every turn
        self.error: BaseException | None = None
        self.bytes_done = sum(batch.stop - batch.start for batch in ended)

    def work(self, taker: Taker, call_others: Callable[[], None] | None = None) -> None:
        """Take turns until the job is over. What goes wrong ends the job; the main thread raises it.

        `call_others`: begins the other workers; the first one is given it."""
        self._call_others = call_others or self._call_others
        try:
            if self._queue:
                self._call()
            while (live := self._take()) is not None:
                taker.take(live)
                self._put_back(live)
        except BaseException as error:
            self.stop(error)

    def stop(self, error: BaseException) -> None:
        """End the job; the first reason counts."""
        with self._condition:
            self.error = self.error or error
            self._stopped.set()
            self._over.set()
            self._condition.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until the job is over, or so long; tell whether it is over."""
        return self._over.wait(seconds)

    def _is_over(self) -> bool:
        return self._planned and not self._open and self._next is None and not self._reducing

    def rest(self) -> list[Batch]:
        """Return the batches that have ended and are not reduced, when all work is done."""
        return [self._ended[shard] for shard in sorted(self._ended)]

    # taking

    def _take(self) -> Live | None:
        """Wait for a batch to run; None at the end. Begins new ones first, where there is room for them."""
        while not self._stopped.is_set():
            control = self._ledger.control
            if control is Control.CANCEL:
                raise errors.JobCancelled
            with self._condition:
                if self._is_over():
                    self._over.set()
                    return None
                ended = self._claim_reducing()
                begun = self._begin() if control is Control.RUN and not ended else None
                if begun is None and not ended:
                    running = control is Control.RUN
                    first = running and not (self._queue and self._care.plan_waits())
                    planning = first and self._claim_planning()
                    live = self._pick() if running and not planning else None
                    if live is not None:
                        return live
                    planning = planning or (running and self._claim_planning())
                    if not planning:
                        self._condition.wait(LOOK_SECONDS)
            if ended:
                self._reduce(ended)
            elif begun is not None:
                self._start(begun)
            elif planning:
                self._plan()
        return None

    def _begin(self) -> Live | None:
        """Take the batch that was planned, if there is room for it."""
        live = self._next
        if live is None or not self._has_room(live.living) or not self._fits(live.batch):
            return None
        self._next = None
        self._open[live.batch.shard] = live.batch
        self._live += live.living
        return live

    def _has_room(self, count: int) -> bool:
        return (self._live + count <= self._bounds.live or not self._open) and not self._care.must_wait()

    def _fits(self, batch: Batch) -> bool:
        """Tell whether its slots are free; a batch alone always fits."""
        return batch.behind - self._reduced <= self._bounds.window or batch.shard == self._reduced

    def _claim_planning(self) -> bool:
        if self._planned or self._planning or self._next is not None or not self._has_room(1):
            return False
        self._planning = True
        return True

    def _plan(self) -> None:
        live = self._care.plan()
        with self._condition:
            self._next, self._planning = live, False
            if live is not None:
                self._last = (live.batch.file, live.batch.stop)
            self._planned = live is None
            self._tell_others(live)

    def _start(self, live: Live) -> None:
        """Begin a batch, and call the other workers unless the first one was remembered and little has to run since."""
        self._care.begin(live)
        batch = live.batch
        if live.finished:
            self._room = self._room or ALONE
        else:
            self._room -= (batch.stop - batch.start) * len(live.emitted) // batch.count
            if self._room <= 0:
                self._call()
        self._put_back(live)

    def _call(self) -> None:
        call, self._call_others = self._call_others, None
        if call is not None:
            call()

    def _pick(self) -> Live | None:
        """Return the first batch in the queue that may run: not all of it held, and with room for its output."""
        first = self._front if self._open and self._care.must_wait() else None
        for _ in range(len(self._queue)):
            live = self._queue.pop(0)
            held = self._ledger.held[live.batch.slot : live.batch.slot + live.batch.count]
            if not all(held) and first in (None, live.batch.shard):
                return live
            self._queue.append(live)
        return None

    # putting back

    def _put_back(self, live: Live) -> None:
        with self._condition:
            if not live.finished:
                self._queue.append(live)
                self._condition.notify()
                return
            batch = live.batch if live.faulted else live.batch.without_bounds()
            del self._open[batch.shard]
            self._ended[batch.shard] = batch
            self._live -= live.living
            self.bytes_done += batch.stop - batch.start
            self._step()
            file, start = self._needed()
            self._tell_others(live)
        self._care.release(file, start)

    def _tell_others(self, live: Live | None) -> None:
        """Wake the workers that wait, if they can have something to do now: what was remembered leaves them nothing,
        and of a file that did not change they would be woken for each stretch."""
        if self._planned or live is None or live.living:
            self._condition.notify_all()

    def _needed(self) -> tuple[int, int]:
        """Return the file and where in it the first batch begins that has not ended; if all have, where they do."""
        if self._open:
            first = self._open[self._front]
        elif self._next is not None:
            first = self._next.batch
        else:
            return self._last
        return first.file, first.start

    def _step(self) -> None:
        """Find the first shard that has not ended: those before it can be reduced. Batches begin in the order of their
        shards, so if any has begun and not ended, one begins there."""
        while self._front in self._ended:
            self._front = self._ended[self._front].behind

    def _claim_reducing(self) -> list[Batch]:
        """Return what should be reduced now: half a window of batches that have ended, or all when the next one
        needs their slots. Batches after one that has not ended wait, and after one whose output waits."""
        stuck = self._next is not None and not self._fits(self._next.batch)
        if self._reducing or not (stuck or 2 * (self._front - self._reduced) >= self._bounds.window):
            return []
        settled = self._care.settled()
        front = self._front if settled is None else min(self._front, settled)
        ended = [batch for _, batch in sorted(self._ended.items()) if batch.behind <= front]
        self._reducing = bool(ended)
        return ended

    def _reduce(self, ended: list[Batch]) -> None:
        self._care.reduce(ended)
        with self._condition:
            for batch in ended:
                del self._ended[batch.shard]
            self._reduced = ended[-1].behind
            self._reducing = False
            self._condition.notify_all()
