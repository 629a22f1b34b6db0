"""`pfs serve --listen`: what it writes of its sessions."""

from __future__ import annotations

import pytest

from packetfs.errors import FarSideFailed
from packetfs.net.link.channel import FrameChannel
from packetfs.net.link.unix import visit
from packetfs.net.wire.messages import MAGIC, PROTOCOL, Hello, Option
from tests.frontends.command import Pfs


def test_a_peer_has_one_line_in_the_log(pfs: Pfs) -> None:
    """Whatever it asks for: no line is forged, and no terminal is steered."""
    path = str(pfs.home / "socket")
    with pfs.start("serve", "--listen", f"unix:{path}") as daemon:
        assert daemon.stdout is not None
        try:
            assert daemon.stdout.readline() == f"listening {path}\n".encode()
            _ask_for(path, b"/nowhere\n\x1b[2Jforged")
            line = daemon.stdout.readline()
        finally:
            daemon.terminate()
        assert daemon.stdout.read() == b"stopped\n"
    assert b": read /nowhere\\n\\x1b[2Jforged; " in line
    assert line[:-1].decode().isprintable()


def _ask_for(address: str, path: bytes) -> None:
    stream = visit(address)
    channel = FrameChannel(stream, "the daemon")
    channel.send(Hello(MAGIC, PROTOCOL, Option.PULL, b"", path, b"", 4096, 0))
    with pytest.raises(FarSideFailed):
        channel.receive()
    stream.close()
