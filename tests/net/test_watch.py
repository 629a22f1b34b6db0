"""A connection that stands: what waits and for how long, what is sent, and what a lost line or a slow one does."""

from __future__ import annotations

import fcntl
import os
import queue
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packetfs.errors import Overlap, PacketFSError
from packetfs.events import Connection, Delivered, Event
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.host.watches import Kind, Note
from packetfs.limits import BACKOFF_FIRST, BACKOFF_MOST, WATCH_LONGEST, WATCH_PENDING, WATCH_QUIET
from packetfs.net.job import Job, Summary
from packetfs.net.link.carrier import Carrier, Carrying
from packetfs.net.watch import destination
from packetfs.net.watch.backoff import Backoff
from packetfs.net.watch.loop import watch
from packetfs.net.watch.pending import Due, Pending
from packetfs.net.watch.sharing import SharingChannel
from packetfs.net.wire.batch import Batch
from packetfs.net.wire.messages import Begin, Commit, Message
from packetfs.pool.pool import Pool
from tests.net.rig import Rig, describe

PATIENCE = 60.0
"""Seconds after which a test gives up waiting for an event."""


def test_a_closed_file_is_due_at_once_and_a_written_one_when_it_is_quiet() -> None:
    pending = Pending()
    pending.note(Note(b"log", Kind.WRITING), 100.0)
    pending.note(Note(b"done", Kind.WRITING), 100.0)
    pending.note(Note(b"done", Kind.DONE), 100.1)
    assert pending.take(100.1) == Due({b"done": False}, {b"done": 100.0})
    assert pending.wait(100.1) == pytest.approx(WATCH_QUIET - 0.1)
    pending.note(Note(b"log", Kind.WRITING), 100.2)
    assert pending.take(100.0 + WATCH_QUIET) is None
    assert pending.take(100.2 + WATCH_QUIET) == Due({b"log": False}, {b"log": 100.0})
    assert pending.wait(101.0) is None


def test_a_file_that_is_never_quiet_is_sent_all_the_same() -> None:
    pending, now = Pending(), 0.0
    while pending.take(now) is None:
        pending.note(Note(b"log", Kind.WRITING), now)
        now += WATCH_QUIET / 2
    assert now <= WATCH_LONGEST + WATCH_QUIET


def test_what_waits_is_one_entry_a_path_and_bounded() -> None:
    pending = Pending()
    for number in range(WATCH_PENDING + 1):
        pending.note(Note(b"%d" % number, Kind.WRITING), 0.0)
        pending.note(Note(b"%d" % number, Kind.WRITING), 0.1)
    assert pending.wait(0.1) == 0.0
    assert pending.take(0.1) == Due(all=True)
    assert pending.take(0.1) is None


def test_an_overflow_replaces_what_waited() -> None:
    pending = Pending()
    pending.note(Note(b"a", Kind.DONE), 0.0)
    pending.note(Note(b"", Kind.ALL), 0.0)
    assert pending.take(0.0) == Due(all=True)


def test_attempts_come_later_and_later_and_never_in_step() -> None:
    least, most = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    assert [least.next() for _ in range(3)] == [BACKOFF_FIRST / 2, BACKOFF_FIRST, BACKOFF_FIRST * 2]
    assert [most.next() for _ in range(20)][-1] == BACKOFF_MOST
    most.reset()
    assert most.next() == BACKOFF_FIRST


class Watching:
    """A watch in a thread, and what it tells."""

    def __init__(self, rig: Rig, *destinations: str, **options: object) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.summaries: list[Summary] = []
        self.error: BaseException | None = None
        self._ended = threading.Event()
        jobs = [(name, self._job(rig, name, options)) for name in destinations]
        self._thread = threading.Thread(target=self._run, args=(jobs,))
        self._thread.start()

    def _job(self, rig: Rig, name: str, options: dict[str, object]) -> Job:
        source, to = rig.endpoint(f"{rig.base}/src/"), rig.endpoint(name.format(base=rig.base))
        return Job(source, to, history=str(rig.base / "history"), **options)  # type: ignore[arg-type]

    def _run(self, jobs: list[tuple[str, Job]]) -> None:
        try:
            self.summaries = watch(jobs, self.events.put, self._ended)
        except PacketFSError as error:
            self.error = error

    def await_event(self, wanted: Callable[[Event], bool]) -> Event:
        while not wanted(event := self.events.get(timeout=PATIENCE)):
            pass
        return event

    def await_connections(self, count: int = 1) -> None:
        for _ in range(count):
            self.await_event(lambda event: isinstance(event, Connection) and not event.lost)

    def await_path(self, path: bytes, to: str = "") -> Delivered:
        def wanted(event: Event) -> bool:
            return isinstance(event, Delivered) and event.path == path and to in event.destination

        event = self.await_event(wanted)
        assert isinstance(event, Delivered)
        return event

    def end(self) -> None:
        self._ended.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(destination, "_LISTEN", 0.05)
    (tmp_path / "src" / "sub").mkdir(parents=True)
    (tmp_path / "src" / "big").write_bytes(random.Random(1).randbytes(3_000_000))
    made = Rig(tmp_path)
    made.make_pool()
    return made


@pytest.fixture
def started(rig: Rig) -> Iterator[Callable[..., Watching]]:
    running: list[Watching] = []

    def start(*destinations: str, **options: object) -> Watching:
        running.append(Watching(rig, *destinations, **options))
        running[-1].await_connections(len(destinations))
        return running[-1]

    yield start
    for one in running:
        one.end()


def put(rig: Rig, name: str, content: bytes) -> None:
    """Let a file appear whole, so that no part of it can be sent before the rest."""
    (rig.base / "aside").write_bytes(content)
    (rig.base / "aside").rename(rig.base / "src" / name)


def await_no_writer(rig: Rig) -> None:
    """Wait until nobody writes the pool: a far side lets go of it a moment after it has answered."""
    with (rig.base / "pool" / "leases").open("rb") as leases:
        fcntl.lockf(leases, fcntl.LOCK_SH, 1)


def snapshots(rig: Rig) -> int:
    with Pool.open(str(rig.base / "pool")) as pool, FileSystem(pool) as fs:
        return len(fs.snapshots())


def test_changes_arrive_at_two_kinds_of_destination(rig: Rig, started: Callable[..., Watching]) -> None:
    watching = started("{base}/plain", "pfs:dst", delete=True)
    src = rig.base / "src"
    with (src / "big").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"changed")
    assert {watching.await_path(b"big").moved < 2000, watching.await_path(b"big").moved < 2000} == {True}
    (src / "sub" / "new").write_bytes(b"new")
    (src / "sub").rename(src / "other")
    (src / "gone").write_bytes(b"x")
    (src / "gone").unlink()
    put(rig, "end", b"end")
    watching.await_path(b"end"), watching.await_path(b"end")
    watching.end()
    assert watching.error is None
    assert describe(rig.base / "plain") == describe(src)
    assert [summary.troubles for summary in watching.summaries] == [0, 0]
    assert snapshots(rig) == 2  # of the first sync, and at the end
    rig.sync("pfs:dst/", f"{rig.base}/back")
    assert describe(rig.base / "back") == describe(src)
    assert rig.sync(f"{src}/", f"{rig.base}/plain").changed == 0


@pytest.mark.parametrize("to", ["{base}/plain", "pfs:dst"])
def test_a_directory_that_is_renamed_moves_with_all_that_is_in_it(
    rig: Rig, started: Callable[..., Watching], to: str
) -> None:
    src = rig.base / "src"
    for number in range(5):
        (src / "sub" / f"{number}").write_bytes(random.Random(number).randbytes(20_000))
    watching = started(to, delete=True)
    (src / "sub").rename(src / "tub")
    put(rig, "end", b"end")
    watching.await_path(b"end")
    watching.end()
    assert [summary.troubles for summary in watching.summaries] == [0]
    rig.sync(f"{to.format(base=rig.base)}/", rig.base / "back")
    assert describe(rig.base / "back") == describe(src)


def test_names_that_go_stay_at_the_destination_unless_they_may_be_deleted(
    rig: Rig, started: Callable[..., Watching]
) -> None:
    watching = started("{base}/plain")
    (rig.base / "src" / "big").unlink()
    put(rig, "end", b"end")
    watching.await_path(b"end")
    watching.end()
    assert (rig.base / "plain" / "big").exists()
    assert [summary.deleted for summary in watching.summaries] == [0]


def test_a_lost_line_is_made_again_and_brings_what_it_missed(
    rig: Rig, started: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch
) -> None:
    carriers: list[Carrier] = []

    def reach(*_: object) -> Carrying:
        carriers.append(Carrier(None, None, "pfs"))
        return carriers[-1]

    monkeypatch.setattr(destination, "reach", reach)
    watching = started("{base}/plain")
    carriers[0]._process.kill()
    watching.await_event(lambda event: isinstance(event, Connection) and bool(event.lost))
    put(rig, "late", b"late")
    watching.await_connections()
    put(rig, "end", b"end")
    watching.await_path(b"end")
    watching.end()
    assert describe(rig.base / "plain") == describe(rig.base / "src")


@pytest.mark.parametrize("to", ["{base}/plain", "pfs:dst"])
@pytest.mark.parametrize(("step", "kind"), [("send", Begin), ("send_batch", Batch), ("send", Commit), ("expect", type)])
def test_a_line_that_is_cut_within_a_change_tears_nothing(
    rig: Rig, started: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch, to: str, step: str, kind: type
) -> None:
    """Kill the far side before a change is announced, before its content, before its end, and before the answer."""
    carriers: list[Carrier] = []
    held: list[bytes] = []
    real = getattr(SharingChannel, step)

    def reach(*_: object) -> Carrying:
        carriers.append(Carrier(None, None, "pfs"))
        return carriers[-1]

    def cut(self: SharingChannel, message: object) -> object:
        if not held and isinstance(message, kind):
            carriers[0]._process.kill()
            carriers[0]._process.wait()
            held.append((rig.base / "plain" / "big").read_bytes() if "plain" in to else b"")
        return real(self, message)

    monkeypatch.setattr(destination, "reach", reach)
    watching = started(to, delete=True)
    monkeypatch.setattr(SharingChannel, step, cut)
    source = random.Random(1)
    versions = [b"", (rig.base / "src" / "big").read_bytes(), source.randbytes(2_000_000)]
    (rig.base / "src" / "big").write_bytes(versions[2])
    (rig.base / "src" / "sub").rename(rig.base / "src" / "moved")
    (rig.base / "src" / "moved" / "new").write_bytes(source.randbytes(700_000))
    watching.await_connections()  # the second: it begins with an ordinary sync
    put(rig, "end", b"end")
    watching.await_path(b"end")
    watching.end()
    assert watching.error is None
    assert held[0] in versions
    rig.sync(f"{to.format(base=rig.base)}/", f"{rig.base}/back")
    assert describe(rig.base / "back") == describe(rig.base / "src")


def test_what_a_lost_line_held_up_is_told_of_when_it_arrives(
    rig: Rig, started: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch
) -> None:
    carriers: list[Carrier] = []
    real = SharingChannel.send

    def reach(*_: object) -> Carrying:
        carriers.append(Carrier(None, None, "pfs"))
        return carriers[-1]

    def cut(self: SharingChannel, message: Message) -> None:
        if isinstance(message, Commit) and len(carriers) == 1:
            carriers[0]._process.kill()
            carriers[0]._process.wait()
        real(self, message)

    monkeypatch.setattr(destination, "reach", reach)
    watching = started("{base}/plain")
    monkeypatch.setattr(SharingChannel, "send", cut)
    put(rig, "late", b"late")
    assert watching.await_path(b"late").seconds >= BACKOFF_FIRST / 2
    assert len(carriers) == 2


def test_one_that_changes_the_destination_is_overruled(rig: Rig, started: Callable[..., Watching]) -> None:
    watching = started("pfs:dst", delete=True)
    (rig.base / "other").mkdir()
    (rig.base / "other" / "file").write_bytes(b"not of the source")
    await_no_writer(rig)
    rig.sync(f"{rig.base}/other/", "pfs:dst")
    put(rig, "end", b"end")
    watching.await_connections()
    watching.end()
    rig.sync("pfs:dst/", f"{rig.base}/back")
    assert describe(rig.base / "back") == describe(rig.base / "src")


def test_a_first_connection_that_fails_ends_the_watch(rig: Rig) -> None:
    options: dict[str, object] = {"shell": ("false",)}
    watching = Watching(rig, "far:{base}/dst", **options)
    watching._thread.join(PATIENCE)
    assert watching.error is not None
    assert os.path.lexists(rig.base / "src" / "big")


def test_a_destination_inside_the_source_is_refused(rig: Rig) -> None:
    watching = Watching(rig, "{base}/src/sub")
    watching._thread.join(PATIENCE)
    assert isinstance(watching.error, Overlap)


def test_a_slow_destination_holds_up_no_other(
    rig: Rig, started: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = started("{base}/slow", "{base}/quick")
    stuck, gate, real = threading.Event(), threading.Event(), SharingChannel.send

    def send(self: SharingChannel, message: Message) -> None:
        if isinstance(message, Commit) and threading.current_thread().name.endswith("slow"):
            with self._waiting():
                stuck.set()
                gate.wait(PATIENCE)
        real(self, message)

    monkeypatch.setattr(SharingChannel, "send", send)
    for number in range(3):
        put(rig, f"file{number}", b"x")
        watching.await_path(b"file%d" % number, "quick")
        assert stuck.wait(PATIENCE)
    assert not (rig.base / "slow" / "file1").exists()
    gate.set()
    watching.await_path(b"file2", "slow")
    watching.end()
    assert describe(rig.base / "slow") == describe(rig.base / "quick") == describe(rig.base / "src")


def test_a_file_that_is_replaced_while_it_is_sent_arrives_in_its_last_version(
    rig: Rig, started: Callable[..., Watching]
) -> None:
    watching = started("{base}/plain", "pfs:dst")
    rng = random.Random(5)
    for _ in range(8):
        (rig.base / "src" / "new").write_bytes(rng.randbytes(2_000_000))
        (rig.base / "src" / "new").rename(rig.base / "src" / "big")
    put(rig, "end", b"end")
    watching.await_path(b"end"), watching.await_path(b"end")
    watching.end()
    assert (rig.base / "plain" / "big").read_bytes() == (rig.base / "src" / "big").read_bytes()
    rig.sync("pfs:dst/", f"{rig.base}/back")
    assert (rig.base / "back" / "big").read_bytes() == (rig.base / "src" / "big").read_bytes()
