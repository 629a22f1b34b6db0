"""Flip single bytes of a pool on disk, and read it by the command line: the right data, or an error that says so.

The bytes are drawn from all that the pool's files hold, each file alike, so that the small ones are not passed over.
That every byte of a pool is flipped in turn is tested inside one process, by the pool's own tests.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bench.measure import clone
from bench.peers import BIN
from tests.faults.pools import pfs

Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Contents]:
    """Make a pool with a small file, one of several extents, and one in a directory; and a snapshot."""
    root, rng = tmp_path_factory.mktemp("flips"), Random(5)
    contents = {"small": b"just a line\n", "large": rng.randbytes(200_000), "folder/text": b"line of text\n" * 9000}
    for name, data in contents.items():
        path = root / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    subprocess.run([str(BIN / "pfs"), "init", str(root / "pool")], check=True, capture_output=True)
    sources = [str(root / "tree" / name) for name in ("small", "large", "folder")]
    put = pfs(root / "pool", "put", "--snapshot", "first", *sources, "/")
    assert put.returncode == 0, put.stderr.decode()
    return root / "pool", contents


def held_bytes(pool: Path) -> dict[Path, list[tuple[int, int]]]:
    """Give for each file of the pool the ranges that are not holes."""
    files = sorted(path for path in pool.rglob("*") if path.is_file() and path.stat().st_size)
    return {path.relative_to(pool): list(data_ranges(path)) for path in files}


def data_ranges(path: Path) -> Iterator[tuple[int, int]]:
    with path.open("rb") as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # only a hole is left
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            yield start, at


def flip(path: Path, ranges: list[tuple[int, int]], rng: Random) -> int:
    place = rng.randrange(sum(end - start for start, end in ranges))
    for start, end in ranges:
        if place < end - start:
            offset = start + place
            break
        place -= end - start
    with path.open("r+b", buffering=0) as file:
        byte = os.pread(file.fileno(), 1, offset)[0]
        os.pwrite(file.fileno(), bytes([byte ^ rng.randrange(1, 256)]), offset)
    return offset


def judge(pool: Path, name: str, wanted: bytes) -> str:
    """Say how reading went: right, told (an error in words), or fail: silently wrong."""
    ended = pfs(pool, "cat", name)
    if ended.returncode == 0:
        assert ended.stdout == wanted, f"{name} is silently wrong"
        return "right"
    words = ended.stderr.decode(errors="backslashreplace")
    assert words.strip(), f"{name}: exit {ended.returncode}, and nothing said"
    assert "Traceback" not in words, words
    assert "fault in PacketFS" not in words, words
    return "told"


def test_flipped_bytes(filled: tuple[Path, Contents], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pool, contents = filled
    rng, ranges = Random(request.config.getoption("--fault-seed")), held_bytes(pool)
    outcomes = {"right": 0, "told": 0}
    for number in range(request.config.getoption("--flips")):
        where = list(ranges)[number % len(ranges)]
        copy = tmp_path / str(number)
        clone(pool, copy)
        offset = flip(copy / where, ranges[where], rng)
        for name, wanted in contents.items():
            try:
                outcomes[judge(copy, name, wanted)] += 1
            except AssertionError as error:
                error.add_note(f"after a flip in {where} at {offset}")
                raise
        subprocess.run(["rm", "-rf", str(copy)], check=True)
    print(f"reads after flips: {outcomes}")
    assert outcomes["right"], "not one read went well: the harness is broken"


def test_flipped_payload_is_told(filled: tuple[Path, Contents], tmp_path: Path) -> None:
    """A flip in the middle of a file's payload must be told: the test above is not vacuous."""
    pool, contents = filled
    clone(pool, tmp_path / "pool")
    for segment in (tmp_path / "pool" / "arena").iterdir():
        data = segment.read_bytes()
        at = data.find(contents["large"][100_000:100_032])
        if at >= 0:
            with segment.open("r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ 1]))
            assert judge(tmp_path / "pool", "large", contents["large"]) == "told"
            assert judge(tmp_path / "pool", "small", contents["small"]) == "right"
            return
    pytest.fail("the payload was not found in the arena")
