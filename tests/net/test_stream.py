"""The stream below a channel: a peer that shows no life ends the session, one that computes does not."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator

import pytest

from packetfs.errors import Stalled
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.pulse import Pulse
from packetfs.net.link.stream import _SOON as SOON
from packetfs.net.link.stream import PipeStream, await_room
from packetfs.net.wire.batch import Batch, Origin
from packetfs.net.wire.messages import FRAME, Commit, Listed, Type
from packetfs.packet.digest import Digest

HEARTBEAT = FRAME.pack(0, Type.HEARTBEAT, 0)
SHORT = 0.05


class Pair:
    """A channel of little patience, and the two descriptors of its peer, who is the test."""

    def __init__(self) -> None:
        self.said, self.says = os.pipe()
        self.hears, self._writing = os.pipe()
        self.channel = FrameChannel(PipeStream(self.said, self._writing, SHORT), "the peer")

    def close(self) -> None:
        for descriptor in (self.said, self.says, self.hears, self._writing):
            os.close(descriptor)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_a_peer_that_says_nothing_is_given_up(pair: Pair) -> None:
    with pytest.raises(Stalled):
        pair.channel.receive()


def test_a_peer_that_stops_within_a_frame_is_given_up(pair: Pair) -> None:
    os.write(pair.says, FRAME.pack(100, Type.COMMIT, 0) + bytes(50))
    with pytest.raises(Stalled):
        pair.channel.receive()


@pytest.mark.parametrize("spliced", [False, True])
def test_a_peer_that_takes_nothing_is_given_up(pair: Pair, spliced: bool) -> None:
    data = random.randbytes(8 << 20)
    file = os.memfd_create("file")
    os.write(file, data)
    with pytest.raises(Stalled):
        pair.channel.send_batch(Batch(b"", [data], Origin(file, 0) if spliced else None))
    os.close(file)


def test_a_peer_that_takes_nothing_but_beats_is_waited_for(pair: Pair) -> None:
    """Its beats are not read meanwhile: that something arrived is enough."""
    waits = []

    class Full:
        """A pipe that has no room the first times somebody looks."""

        def poll(self, milliseconds: float) -> list[int]:
            waits.append(milliseconds)
            if len(waits) < 5:
                os.write(pair.says, HEARTBEAT)
            return [1] if len(waits) > 5 else []

    with pytest.raises(TimeoutError):
        await_room(Full(), pair.said, SHORT)  # type: ignore[arg-type]
    assert waits == [SOON * 1000] + [SHORT * 1000] * 4


def test_beats_are_no_messages_and_no_words(pair: Pair) -> None:
    os.write(pair.says, HEARTBEAT * 5)
    assert not pair.channel.hears(0)
    os.write(pair.says, HEARTBEAT + FRAME.pack(1, Type.LISTED, 0) + b"\x07" + HEARTBEAT)
    assert pair.channel.hears(1)
    assert pair.channel.hears(0)
    assert pair.channel.receive() == Listed(7)
    assert not pair.channel.hears(0)
    assert pair.channel.turns == 0


def test_a_side_that_computes_beats_and_one_that_speaks_does_not(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.net.link.channel.HEARTBEAT", 0.0)
    with Pulse(pair.channel, 0.001):
        assert os.read(pair.hears, 6) == HEARTBEAT
    monkeypatch.setattr("packetfs.net.link.channel.HEARTBEAT", 1000.0)
    pair.channel.send(Commit(Digest(bytes(32))))
    pair.channel.beat()
    said = os.read(pair.hears, 1 << 16).replace(HEARTBEAT, b"")
    assert len(said) == FRAME.size + 33


def test_a_pulse_leaves_no_thread_behind(pair: Pair) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with Pulse(pair.channel):
            pass
    assert set(threading.enumerate()) <= before
