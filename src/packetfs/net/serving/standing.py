"""The far side of a connection that stands: after the first sync it takes changes until the sender goes away.

Each change is one commit: into a pool the live names change at once, and a snapshot is taken now and then and at the
end, not for each. Between changes the place is let go, so that others can write to it; whoever did so changed what the
next change starts from, which the sender is told (BaseMoved), and then it compares.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from packetfs.dataclass import replace
from packetfs.errors import Disconnected
from packetfs.events import ignore
from packetfs.limits import STANDING_REST, STANDING_SNAPSHOT
from packetfs.net.access.rights import Quota
from packetfs.net.ends import OpenTarget, Terms
from packetfs.net.link.channel import FrameChannel
from packetfs.net.receiving.receiver import Receiver
from packetfs.net.wire.messages import Begin
from packetfs.typing import TypeAlias

OpenPlace: TypeAlias = Callable[[], AbstractContextManager[OpenTarget]]


def receive_changes(
    channel: FrameChannel,
    open_place: OpenPlace,
    terms: Terms,
    quota: Quota,
    clock: Callable[[], float] = time.monotonic,
    *,
    in_pool: bool,
) -> None:
    """Take changes until the sender closes the connection."""
    standing = _Standing(channel, replace(terms, follows=True), quota, clock, in_pool=in_pool)
    try:
        while (begin := standing.next()) is not None:
            with open_place() as open_target:
                standing.take(begin, open_target)
    finally:
        if standing.unsaved:
            with open_place() as open_target, open_target(standing.terms) as target:
                target.take_snapshot()


class _Standing:
    def __init__(
        self, channel: FrameChannel, terms: Terms, quota: Quota, clock: Callable[[], float], *, in_pool: bool
    ) -> None:
        self._in_pool = in_pool
        self._channel = channel
        self.terms = terms
        self._quota = quota
        self._clock = clock
        self._due = clock() + STANDING_SNAPSHOT
        self.unsaved = False

    def next(self) -> Begin | None:
        """Wait for a change; None when the sender has gone."""
        try:
            return self._channel.expect(Begin)
        except Disconnected:
            return None

    def take(self, begin: Begin | None, open_target: OpenTarget) -> None:
        """Take this change and those that follow soon."""
        while begin is not None:
            self._take_one(begin, open_target)
            begin = self.next() if self._channel.hears(STANDING_REST) else None

    def _take_one(self, begin: Begin, open_target: OpenTarget) -> None:
        snapshots = self._clock() >= self._due
        with open_target(replace(self.terms, snapshots=snapshots)) as target:
            Receiver(self._channel, target, ignore, quota=self._quota).follow(begin)
        self.unsaved = not snapshots and self._in_pool
        if snapshots:
            self._due = self._clock() + STANDING_SNAPSHOT
