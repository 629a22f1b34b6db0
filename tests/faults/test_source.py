"""Files that cannot be read, vanish or change under the sync: they are named, the rest is done, the exit code is 3."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from bench.compare import differences
from bench.peers import Stage
from tests.faults.syncs import Ended, finish, judge_end, make_stage, start, sync

POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""root without the right to read everything: so that a mode of 0 means what it says."""
BLOCK = 8 << 20
STEP = 64 << 10


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = make_stage(tmp_path / "stage")
    stage.source.mkdir()
    for name in ("a", "m", "z"):
        (stage.source / name).mkdir()
        (stage.source / name / "file").write_bytes(random.randbytes(100_000))
    return stage


def rest_differs(stage: Stage, *aside: str) -> list[str]:
    found = differences(os.fsencode(stage.source), os.fsencode(stage.target), content_only=True)
    return [line for line in found if not line.startswith(aside)]


def names(ended: Ended, *paths: str) -> None:
    """Fail unless the sync ended as partly done and named each path on a line of its own."""
    assert ended.status == 3, f"exit {ended.status}: {ended.stderr}"
    for path in paths:
        assert any(path in line for line in ended.stderr.splitlines()), f"{path} is not named: {ended.stderr}"


def test_unreadable(stage: Stage) -> None:
    prefix = POWERLESS if os.geteuid() == 0 else ()
    if prefix and not shutil.which("setpriv"):
        pytest.skip("as root, this needs setpriv")
    (stage.source / "m/secret").write_bytes(b"secret")
    (stage.source / "m/secret").chmod(0)
    (stage.source / "n").mkdir(mode=0)
    ended = sync(stage, prefix=prefix)
    names(ended, "m/secret", "n")
    assert not rest_differs(stage, "m/secret", "n")
    (stage.source / "m/secret").chmod(0o600)
    (stage.source / "n").chmod(0o700)
    judge_end(stage)


def test_unreadable_keeps_the_old_version(stage: Stage) -> None:
    """With --delete, a file that cannot be read now is not one that is gone."""
    prefix = POWERLESS if os.geteuid() == 0 else ()
    if prefix and not shutil.which("setpriv"):
        pytest.skip("as root, this needs setpriv")
    assert sync(stage).status == 0
    held = (stage.target / "m/file").read_bytes()
    (stage.source / "m/file").write_bytes(b"newer")
    (stage.source / "m/file").chmod(0)
    (stage.source / "z").chmod(0)
    names(sync(stage, prefix=prefix), "m/file", "z")
    assert (stage.target / "m/file").read_bytes() == held
    assert (stage.target / "z/file").exists()
    (stage.source / "m/file").chmod(0o600)
    (stage.source / "z").chmod(0o700)
    judge_end(stage)


def test_vanishing(stage: Stage) -> None:
    """Hold the line up in the middle of a large file; meanwhile others vanish that may have been listed already."""
    (stage.source / "b").write_bytes(random.randbytes(4 * BLOCK))
    gate = stage.root / "gate"
    process = start(stage, "--hold", f"1000000:{gate}")
    while not gate.with_suffix(".held").exists() and process.poll() is None:
        time.sleep(0.001)
    for name in ("m", "z"):
        shutil.rmtree(stage.source / name)
    gate.touch()
    ended = finish(process)
    assert ended.status in (0, 3), ended.stderr
    if ended.status == 3:
        names(ended, "file")
    assert not rest_differs(stage, "m", "z")
    judge_end(stage)


def test_changing(stage: Stage) -> None:
    """Rewrite a file over and over while it is read: the target gets what it was at one moment, or it is named."""
    busy, stop = stage.source / "m/busy", threading.Event()
    write_generation(busy, 0)
    writer = threading.Thread(target=rewrite, args=(busy, stop))
    writer.start()
    ended = sync(stage)
    stop.set()
    writer.join()
    if ended.status:
        names(ended, "m/busy")
    copied = stage.target / "m/busy"
    if copied.exists():
        assert_one_moment(copied.read_bytes())
    assert not rest_differs(stage, "m/busy")
    judge_end(stage)


def write_generation(path: Path, generation: int) -> None:
    """Write in small steps: each sets the file's time, so that a reader can tell."""
    with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
        for _ in range(BLOCK // STEP):
            file.write(bytes([generation % 256]) * STEP)


def assert_one_moment(data: bytes) -> None:
    """The file has looked like this at some moment: one generation, or the next one as far as it was written."""
    assert len(data) == BLOCK
    newer, older = data[0], data[-1]
    assert newer in (older, (older + 1) % 256), "the target mixes versions"
    assert data.rstrip(bytes([older])).strip(bytes([newer])) == b"", "the target mixes versions"


def rewrite(path: Path, stop: threading.Event) -> None:
    generation = 0
    while not stop.is_set():
        generation += 1
        write_generation(path, generation)


def test_growing(stage: Stage) -> None:
    """Append to a log while it is read: the target gets a prefix of it, or nothing and its name."""
    log, stop = stage.source / "m/log", threading.Event()
    log.write_bytes(b"line\n" * 400_000)
    writer = threading.Thread(target=append, args=(log, stop))
    writer.start()
    ended = sync(stage)
    stop.set()
    writer.join()
    if ended.status:
        names(ended, "m/log")
    copied = stage.target / "m/log"
    assert not copied.exists() or log.read_bytes().startswith(copied.read_bytes())
    assert not rest_differs(stage, "m/log")
    judge_end(stage)


def append(path: Path, stop: threading.Event) -> None:
    with path.open("ab", buffering=0) as file:
        while not stop.is_set():
            file.write(b"line\n")


def test_odd_kinds(stage: Stage) -> None:
    """Named pipes and sockets have no content to wait for: the sync never blocks on them."""
    os.mkfifo(stage.source / "m/pipe")
    ended = sync(stage)
    assert ended.status in (0, 3), ended.stderr
    assert not rest_differs(stage, "m/pipe")
