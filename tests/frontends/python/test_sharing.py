"""One pool, many users: threads, other objects, other processes, forked children, and the lease between them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from packetfs import Pool
from packetfs.errors import PoolBusy
from packetfs.frontends.python import connection
from packetfs.pool.pool import Pool as Core

WRITER = """
import sys
from packetfs import Pool
with Pool(sys.argv[1]) as pool, pool.transaction():
    pool.write_bytes("theirs", bytes(range(256)) * 1000)
    print("writing", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.create(tmp_path / "pool", durable=False) as pool:
        yield pool


@pytest.fixture
def writer(pool: Pool) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of a transaction; a line on its stdin ends it."""
    command = [sys.executable, "-c", WRITER, pool.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert _stream(child.stdout).readline() == "writing\n"
        yield child
        child.communicate()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _let_go(writer: subprocess.Popen[str]) -> None:
    writer.communicate("\n")
    assert writer.returncode == 0


def test_reading_goes_on_while_another_process_writes(pool: Pool, writer: subprocess.Popen[str]) -> None:
    assert not pool.exists("theirs")
    with Pool(pool.path) as other:
        assert other.ls() == []
    _let_go(writer)
    assert pool.read_bytes("theirs") == bytes(range(256)) * 1000


def test_who_writes_is_named(pool: Pool, writer: subprocess.Popen[str]) -> None:
    with pytest.raises(PoolBusy, match=f"process {writer.pid} "):
        pool.write_text("ours", "")
    file = pool.writer("ours")  # opening takes nothing from anybody
    with pytest.raises(PoolBusy, match=f"process {writer.pid} "):
        file.write(b"1")
    file.discard()
    _let_go(writer)
    pool.write_text("ours", "1")
    assert pool.read_text("ours") == "1"


def test_waiting_for_the_lease(pool: Pool, writer: subprocess.Popen[str]) -> None:
    with Pool(pool.path, wait=30) as patient, ThreadPoolExecutor(1) as threads:
        done = threads.submit(patient.write_text, "ours", "1")
        _let_go(writer)
        done.result(60)
    assert pool.read_text("ours") == "1"
    assert pool.exists("theirs")


def test_the_lease_goes_back_when_nothing_is_written(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITER_IDLE", 0.01)
    pool.write_text("file", "1")
    Core.open(pool.path, writable=True).close() if _waited(pool) else pytest.fail("the lease was kept")
    with pool.writer("file") as file:
        file.write(b"2")
        assert not _waited(pool, 0.1)
    assert _waited(pool)
    assert pool.read_text("file") == "2"


def _waited(pool: Pool, seconds: float = 20) -> bool:
    """Wait until this process has no writer; False if it still has one."""
    timer = pool._connection._timer
    if timer is not None:
        timer.join(seconds)
    event = threading.Event()
    for _ in range(int(seconds * 100)):
        if pool._connection._writer is None:
            return True
        event.wait(0.01)
    return False


def test_threads_write_and_read_at_once(pool: Pool) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            name = f"dir/{number}/{turn}"
            content = f"{name} ".encode() * 2000
            pool.write_bytes(name, content)
            assert pool.read_bytes(name) == content
            assert pool.stat(name).size == len(content)
            pool.mv(name, name + ".moved")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(pool.glob("dir/*/*.moved")) == 160


def test_other_threads_take_part_in_a_transaction(pool: Pool) -> None:
    with ThreadPoolExecutor(2) as threads:
        with pytest.raises(KeyError), pool.transaction():  # noqa: PT012 (what comes before is what is undone)
            threads.submit(pool.write_text, "file", "1").result(60)
            assert threads.submit(pool.exists, "file").result(60)
            raise KeyError
        assert not pool.exists("file")


def test_other_objects_wait_for_the_end_of_a_transaction(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool(pool.path) as other, ThreadPoolExecutor(1) as threads:
        with pool.transaction():
            pool.write_text("file", "1")
            later = threads.submit(other.write_text, "file", "2")
            assert not other.exists("file")
        later.result(60)
        assert pool.read_text("file") == "2"
        monkeypatch.setattr(connection, "WRITER_TURN", 0.01)
        with pool.transaction(), pytest.raises(PoolBusy, match="this process"):
            other.write_text("file", "3")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_leaves_the_parents_files_alone(pool: Pool) -> None:
    with pool.transaction():
        pool.write_text("file", "1")
        child = os.fork()
        if not child:
            os._exit(_child(pool))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        pool.write_text("file", "2")
    assert pool.read_text("file") == "2"
    assert [each.name for each in pool.ls()] == ["file"]


def _child(pool: Pool) -> int:
    """Return 0 where the child sees what is committed, and is refused while the parent writes."""
    try:
        with Pool(pool.path) as own:
            assert own.ls() == []
            own.write_text("theirs", "1")
    except PoolBusy:
        return 0
    except BaseException:
        return 1
    return 2


def test_a_reader_follows_writers_that_have_gone(tmp_path: Path) -> None:
    """Also when they put a larger index in place: 5,000 extents do not fit the first."""
    content = random.randbytes(20_000_000)
    with Pool.create(tmp_path / "pool", mean=4096, durable=False) as pool:
        pool.write_text("first", "1")
        with pool.reader("first") as file:
            pool.write_bytes("large", content)
            pool.release()
            assert pool.read_bytes("large") == content
            assert file.read() == b"1"


WORKER = """
import sys
import fsspec
fs = fsspec.filesystem("packetfs", pool=sys.argv[1])
for turn in range(30):
    fs.pipe(f"dir/{sys.argv[2]}/{turn}", sys.argv[2].encode() * 100_000)
"""


def test_processes_write_by_turns(pool: Pool) -> None:
    pytest.importorskip("fsspec")
    names = ("a", "b", "c")
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, pool.path, name]) for name in names]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    for name in names:
        assert len(pool.ls(f"dir/{name}")) == 30
        assert pool.read_bytes(f"dir/{name}/29") == name.encode() * 100_000


def test_a_writer_gives_others_their_turn(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITER_HOLD", -1.0)
    pool.write_text("file", "1")
    Core.open(pool.path, writable=True).close()
    pool.write_text("file", "2")
    assert pool.read_text("file") == "2"
