"""Two processes of one machine: large content is told by offset, arrives whole, and nobody is believed."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from packetfs.errors import BadMessage, FarSideFailed
from packetfs.net.handing import HandedFiles, Place
from packetfs.net.job import Endpoint
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.stream import PipeStream
from packetfs.net.link.unix import UnixDoor, UnixStream, visit
from packetfs.net.sending.source import HostSource, PoolSource
from packetfs.net.serving.daemon import Daemon
from packetfs.net.wire.batch import Batch, Item
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Hello, Option, Ready, State, Welcome
from tests.net.rig import describe
from tests.net.visit import Host

LARGE: Final = 3_000_000


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def socket_path(host: Host) -> Iterator[str]:
    """The socket of a daemon that serves `host`'s pool and directories."""
    daemon = Daemon([UnixDoor(str(host.base / "socket"))], host.service, host.visits.append)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    yield str(host.base / "socket")
    daemon.stop()
    thread.join()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of every kind of content: what lies somewhere as it is, holes, what is compressed, and what is small."""
    made = tmp_path / "tree"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "large").write_bytes(random.randbytes(LARGE))
    (made / "other").write_bytes(random.randbytes(LARGE))
    (made / "text").write_text("words that repeat\n" * 100_000)
    (made / "small").write_bytes(b"small")
    with open(made / "holes", "wb") as file:
        file.write(random.randbytes(100_000))
        file.truncate(LARGE)
        file.seek(2_000_000)
        file.write(random.randbytes(70_000))
    return made


def in_pool(path: str, name: str) -> Endpoint:
    return Endpoint(path, "", name.encode(), daemon=True)


def on_host(path: str, name: str | Path) -> Endpoint:
    return Endpoint(path, None, os.fsencode(name), daemon=True)


@pytest.mark.parametrize("pooled", [True, False])
def test_large_content_does_not_pass_the_socket(host: Host, socket_path: str, tree: Path, pooled: bool) -> None:
    def end(slash: str = "") -> Endpoint:
        return in_pool(socket_path, f"a{slash}") if pooled else on_host(socket_path, f"{host.export}/a{slash}")

    summary = host.sync(f"{tree}/", end())
    assert summary.sent.wire < 30_000
    assert summary.sent.copied > 2 * LARGE
    summary = host.sync(end("/"), host.base / "back")
    assert summary.received.wire < 60_000
    assert describe(host.base / "back") == describe(tree)


def test_a_change_is_a_delta_as_anywhere(host: Host, socket_path: str, tree: Path) -> None:
    host.sync(f"{tree}/", in_pool(socket_path, "a"))
    with open(tree / "other", "r+b") as file:
        file.seek(1_000_000)
        file.write(b"changed")
    (tree / "new").write_bytes(random.randbytes(LARGE))
    summary = host.sync(f"{tree}/", in_pool(socket_path, "a"))
    assert summary.sent.wire < 3000
    host.sync(in_pool(socket_path, "a/"), host.base / "back")
    assert describe(host.base / "back") == describe(tree)


@pytest.mark.parametrize("kind", [HostSource, PoolSource])
def test_what_lies_elsewhere_by_now_is_sent_as_bytes(
    host: Host, socket_path: str, tree: Path, kind: type[PoolSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.sync(f"{tree}/", on_host(socket_path, host.export / "a"))
    place = kind.place

    def beside(self: PoolSource, path: bytes, offset: int, leaf: bytes) -> Place | None:
        found = place(self, path, offset, leaf)
        return found and found._replace(offset=found.offset + 1)

    monkeypatch.setattr(kind, "place", beside)
    host.sync(f"{tree}/", on_host(socket_path, host.base / "far"))  # the history has all: nothing goes early
    for file in (path for path in tree.rglob("*") if path.is_file()):
        assert (host.base / "far" / file.relative_to(tree)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_content_beyond_the_budget_is_handed_over_too(host: Host, socket_path: str, tree: Path, keep: int) -> None:
    for name in ("a", "b"):
        summary = host.sync(f"{tree}/", in_pool(socket_path, name), keep=keep)
        assert summary.sent.wire < 30_000


def greeted(path: str, place: Path) -> tuple[UnixStream, FrameChannel]:
    """Say HELLO with a file, as one who may hand files over."""
    stream = visit(path)
    channel = FrameChannel(stream, "the daemon")
    channel.greet(Hello(MAGIC, PROTOCOL, Option(0), b"", os.fsencode(place), b"", 4096, 0))
    assert channel.expect(Welcome).hands
    channel.expect(Ready)
    channel.expect(State)
    return stream, channel


def test_an_offer_without_a_file_ends_the_session(host: Host, socket_path: str) -> None:
    stream, channel = greeted(socket_path, host.export)
    channel.send_batch(Batch(bytes([Item.OFFER]), ()))
    with pytest.raises(FarSideFailed, match="did not come along"):
        channel.receive()
    stream.close()


def test_a_file_that_could_wait_for_somebody_is_refused(host: Host, socket_path: str) -> None:
    stream, channel = greeted(socket_path, host.export)
    reading, writing = os.pipe()
    channel.send_batch(Batch(bytes([Item.OFFER]), (), descriptor=reading))
    with pytest.raises(FarSideFailed, match="no file"):
        channel.receive()
    stream.close()
    os.close(reading)
    os.close(writing)


def test_files_that_nobody_asked_for_are_closed() -> None:
    near, far = (UnixStream(end) for end in socket.socketpair())
    handed = os.memfd_create("handed")

    def is_open() -> int:
        names = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        return sum("memfd:handed" in name for name in names)

    for _ in range(50):
        near.hand(handed, [b"x"])
        far.read_into(memoryview(bytearray(1)))
    assert is_open() == 2
    far.close()
    near.close()
    assert is_open() == 1
    os.close(handed)


def test_without_a_file_a_copy_has_no_base() -> None:
    with pytest.raises(BadMessage, match="no base"):
        HandedFiles().read(0, 1)


def test_a_pipe_hands_nothing_over(tmp_path: Path) -> None:
    file = os.open(tmp_path / "said", os.O_RDWR | os.O_CREAT)
    channel = FrameChannel(PipeStream(file, file), "the peer")
    channel.greet(Hello(MAGIC, PROTOCOL, Option(0), b"", b"", b"", 4096, 0))
    os.lseek(file, 0, os.SEEK_SET)
    assert isinstance(channel.receive(), Hello)
    assert not channel.greeted()
    with pytest.raises(BadMessage, match="did not come along"):
        channel.take()
    os.close(file)
