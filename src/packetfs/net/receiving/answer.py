"""What a receiver without a common root answers: what it wants and holds of a listing, and signatures of the rest."""

from __future__ import annotations

import os
from collections.abc import Callable

from packetfs.errors import DestinationFull, PacketFSError
from packetfs.limits import PENDING_MAX
from packetfs.net.finding.comparing import OwnNames
from packetfs.net.link.channel import Channel
from packetfs.net.receiving.stale import StaleContent
from packetfs.net.receiving.target import Target
from packetfs.net.wire.listing import Bits, Listed
from packetfs.net.wire.messages import Matched, Signatures
from packetfs.net.wire.signatures import NOTHING, Layout, Plan, Run, plan_first, plan_second, write_runs
from packetfs.packet.blocks import PRIME, block_sums
from packetfs.typing import TypeAlias

_PIECE = 1 << 20
"""Bytes that are signed at a time; a multiple of every block."""

Fail: TypeAlias = Callable[[Listed, OSError | PacketFSError], None]


class ListingAnswer:
    """The bits of a WANT. Wanted files wait, as many as memory has room for, until all names are known."""

    def __init__(self, target: Target, own: OwnNames | None, fail: Fail) -> None:
        """`own` are the target's names where a sender asked for them."""
        self._target = target
        self._own = own
        self._fail = fail
        self._pending: list[Listed] | None = []
        self.wanted = Bits()
        self.held = Bits()

    def add(self, listed: Listed) -> None:
        """Take the next name."""
        wanted = self._examine(listed)
        self.wanted.append(wanted)
        if not wanted:
            return
        if self._pending is None:
            self._match(listed)
            return
        self._pending.append(listed)
        if len(self._pending) >= PENDING_MAX:
            self._match_pending()
            self._pending = None

    def end(self) -> None:
        """All names are known."""
        if self._own is not None:
            self._own.end(self._target)
        self._target.end_listing()
        self._match_pending()

    def _match_pending(self) -> None:
        for listed in self._pending or ():
            self._match(listed)

    def _match(self, listed: Listed) -> None:
        for held in self._target.match(listed):
            self.held.append(held)

    def _examine(self, listed: Listed) -> bool:
        try:
            if self._own is None:
                return self._target.examine(listed)
            if self._own.has(self._target, listed):
                return False
            return self._target.examine(listed) or self._own.lacks(listed)
        except DestinationFull:
            raise
        except (OSError, PacketFSError) as error:
            self._fail(listed, error)
            return False


def sign(channel: Channel, target: Target) -> StaleContent:
    """Sign what is stale, in one round or two; return the content that copies may name from then on."""
    content, lacking = target.stale()
    runs = content.runs
    plan = plan_first(runs, lacking)
    if plan is None:
        channel.send(NOTHING)
        return content
    layout = Layout(runs, plan.block)
    channel.send(_signatures(content, layout, plan, write_runs(runs)))
    if not plan.last:
        matched = channel.expect(Matched)
        bits = Bits(matched.blocks)
        left = layout.unmatched(bits)
        plan = plan_second(left, matched.left, layout.count, bits.population)
        second = _signatures(content, Layout(left, plan.block), plan, b"") if plan is not None else NOTHING
        channel.send(second)
    return content


def _signatures(content: StaleContent, layout: Layout, plan: Plan, runs: bytes) -> Signatures:
    key = int.from_bytes(os.urandom(16)) % PRIME  # a new one each time: no content is made beforehand with equal sums
    sums = bytearray()
    for run in layout.runs:
        for data in content.pieces(*_whole(run, plan.block), _PIECE):
            sums += block_sums(data, plan.block, plan.width, key)
    return Signatures(plan.block, plan.width, key, plan.last, runs, bytes(sums))


def _whole(run: Run, block: int) -> Run:
    return run[0], run[1] // block * block
