"""Which open files bypass the kernel's pages, and which requests pass others."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

from packetfs.frontends.mount.caching import OpenFiles
from packetfs.frontends.mount.protocol import HEAD, READ_IN, REPLY_HEAD, Fopen, Opcode
from packetfs.frontends.mount.session import Session
from packetfs.fs.posix.attributes import Caller
from packetfs.packet.layout import Buffer
from tests.frontends.mount.memory import MemoryOperations
from tests.frontends.mount.served import HANG, needs_mount, served


def test_all_who_have_a_file_open_see_it_in_one_way() -> None:
    files = OpenFiles(alone=True)
    assert files.opened(5, os.O_WRONLY) & Fopen.DIRECT_IO
    assert files.opened(5, os.O_RDONLY) & Fopen.DIRECT_IO
    assert not files.opened(6, os.O_RDWR) & Fopen.DIRECT_IO
    assert not files.opened(6, os.O_WRONLY) & Fopen.DIRECT_IO
    files.released(5)
    assert files.opened(5, os.O_RDWR) & Fopen.DIRECT_IO
    files.released(5)
    files.released(5)
    assert not files.opened(5, os.O_RDONLY) & Fopen.DIRECT_IO


def test_pages_outlive_an_opening_only_where_nobody_else_changes_files() -> None:
    assert OpenFiles(alone=True).opened(5, os.O_RDONLY) == Fopen.KEEP_CACHE | Fopen.NOFLUSH
    assert OpenFiles(alone=False).opened(5, os.O_RDONLY) == Fopen.NOFLUSH
    OpenFiles(alone=True).released(5)


class _Recording(MemoryOperations):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, handle: int, offset: int, data: Buffer) -> int:
        self.sizes.append(memoryview(data).nbytes)
        return super().write(handle, offset, data)


@needs_mount
def test_a_write_that_ends_inside_a_page_is_one_request(tmp_path: Path) -> None:
    memory = _Recording()
    with served(memory, tmp_path / "mnt"), (tmp_path / "mnt" / "f").open("wb", buffering=0) as file:
        for _ in range(5):
            file.write(bytes(10_000))
        assert memory.sizes == [10_000] * 5


_WATCHING = """
import mmap, os, sys
writer = open(sys.argv[1], "wb", buffering=0)
writer.write(b"a" * 100)
reader = open(sys.argv[1], "rb", buffering=0)
shown = mmap.mmap(reader.fileno(), 100, prot=mmap.PROT_READ)
assert shown[:] == b"a" * 100
os.pwrite(writer.fileno(), b"b" * 50, 0)
assert shown[:60] == b"b" * 50 + b"a" * 10
writer.write(b"c" * 9000)
assert reader.read(20_000) == b"b" * 50 + b"a" * 50 + b"c" * 9000
"""


@needs_mount
def test_readers_and_maps_see_what_is_written_meanwhile(tmp_path: Path) -> None:
    with served(MemoryOperations(), tmp_path / "mnt"):
        command = [sys.executable, "-c", _WATCHING, str(tmp_path / "mnt" / "f")]
        done = subprocess.run(command, check=False, capture_output=True, timeout=HANG)
        assert done.returncode == 0, done.stderr


def test_a_read_lets_others_pass() -> None:
    """Without a kernel: what stands in the queue together is answered in another order."""
    memory = MemoryOperations()
    made = memory.mknod(1, b"f", stat.S_IFREG | 0o644, 0, Caller(0, 0, 0))
    handle = memory.open(made.ino, os.O_RDWR)
    memory.write(handle, 0, b"content")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        body = READ_IN.struct.pack(handle, 0, 7)
        _ask(ours, Opcode.READ, 1, body)
        for unique in range(2, 2 + 40):
            _ask(ours, Opcode.GETATTR, unique)
        _ask(ours, Opcode.DESTROY, 99)
        Session(theirs.fileno(), memory, ready=lambda: None, complain=print).serve()
        answered = [REPLY_HEAD.unpack_from(ours.recv(4096))[2] for _ in range(42)]
    assert answered[:3] == [2, 3, 4]
    assert 3 < answered.index(1) < 40


def _ask(device: socket.socket, opcode: Opcode, unique: int, body: bytes = b"") -> None:
    device.send(HEAD.pack(HEAD.size + len(body), opcode, unique, 1, 0, 0, 0, 0) + body)
