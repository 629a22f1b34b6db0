"""A stream that is held to a rate, by a clock that only waiting moves."""

from __future__ import annotations

import random
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from packetfs.net.link.paced import Pace, Paced
from packetfs.net.wire.batch import Origin
from tests.net.rig import Rig, describe
from tests.net.visit import Host


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Kept:
    """A stream that keeps what is written, and gives it back."""

    patience = 60.0

    def __init__(self, clock: Clock) -> None:
        self.data = b""
        self.passed: list[tuple[float, int]] = []
        self._clock = clock

    def read_into(self, view: memoryview) -> int:
        count = min(len(view), len(self.data))
        view[:count], self.data = self.data[:count], self.data[count:]
        self.passed.append((self._clock.now, count))
        return count

    def write(self, parts: list[bytes | bytearray | memoryview]) -> None:
        for part in parts:
            self.data += part
            self.passed.append((self._clock.now, len(part)))

    def write_from(self, origin: Origin, parts: list[bytes | bytearray | memoryview]) -> None:
        raise AssertionError((origin, parts))

    def hears(self, seconds: float) -> bool:
        return seconds >= 0


@given(
    rate=st.integers(1024, 1 << 20),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 100_000)), min_size=1, max_size=8),
)
def test_no_stretch_of_time_passes_more_than_its_share(rate: int, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    stream = Kept(clock)
    paced = Paced(stream, Pace(rate, clock, clock.wait))
    written = b""
    for pause, size in steps:
        clock.wait(pause)
        part = bytes([size % 251]) * size
        paced.write([part[: size // 3], memoryview(part)[size // 3 :]])
        written += part
    assert stream.data == written
    for begin in range(len(stream.passed)):
        start, total = stream.passed[begin][0], 0
        for moment, count in stream.passed[begin:]:
            total += count
            assert total <= rate * (moment - start + 0.25) + 2 * max(rate * 0.05, 512) + 1


def test_what_is_read_counts_as_well_and_a_busy_pace_is_used_up() -> None:
    clock = Clock()
    stream = Kept(clock)
    pace = Pace(10_000, clock, clock.wait)
    paced, other = Paced(stream, pace), Paced(Kept(clock), pace)
    begun = clock.now
    paced.write([bytes(20_000)])
    other.write([bytes(20_000)])
    out, at = bytearray(20_000), 0
    while at < len(out):
        at += paced.read_into(memoryview(out)[at:])
    assert 5.6 <= clock.now - begun <= 6.1  # 60,000 bytes, less the burst
    assert paced.patience == 60.0
    assert paced.hears(0)


def test_a_sync_keeps_to_its_rate(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(random.randbytes(300_000))
    rig = Rig(tmp_path)
    summary = rig.sync(f"{tmp_path}/source/", f"far:{tmp_path}/target", rate=400_000)
    assert summary.seconds >= 0.5  # 0.75 less the burst
    assert describe(tmp_path / "target") == describe(tmp_path / "source")


def test_the_sessions_of_a_key_share_its_rate(tmp_path: Path) -> None:
    host = Host(tmp_path)
    try:
        host.mint(write=("pfs:",), rate=400_000)
        begun = time.monotonic()
        for number in range(3):  # of 100,000 bytes each, as many as pass at once after a pause
            (tmp_path / "file").write_bytes(random.randbytes(100_000))
            host.sync(tmp_path / "file", host.path(f"pfs:{number}/"))
        assert time.monotonic() - begun >= 0.5
    finally:
        host.stop()
