"""Where the first line of each shard begins: in the core as in Python, and over a file that becomes shorter."""

from __future__ import annotations

import os
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.accel import native
from packetfs.engines.input.lines import find_newline, first_lines, first_lines_python
from packetfs.engines.input.source import HostFile
from packetfs.engines.input.view import View

TEXT = st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\x8a"]), max_size=60).map(b"".join)


def words(numbers: list[int]) -> bytes:
    return pack(f"{len(numbers)}Q", *numbers)


@given(TEXT, st.integers(0, 20), st.lists(st.integers(0, 90), max_size=6), st.booleans())
def test_the_core_finds_what_python_finds(data: bytes, start: int, edges: list[int], ascending: bool) -> None:
    given = words(sorted(edges) if ascending else edges)
    try:
        expected = first_lines_python(data, start, given)
    except ValueError:
        with pytest.raises(ValueError, match=r"elsewhere|words"):
            first_lines(data, start, given)
    else:
        assert first_lines(data, start, given) == expected


@pytest.mark.parametrize("edges", [b"", b"1234", words([1]) + b"1"])
def test_edges_are_words(edges: bytes) -> None:
    for find in (first_lines, first_lines_python):
        with pytest.raises((ValueError, TypeError)):
            find(b"text", 0, edges)


@given(st.lists(TEXT, min_size=1, max_size=5).map(b"".join), st.integers(1, 20))
def test_they_are_where_a_newline_is_before(data: bytes, size: int) -> None:
    edges = [*range(0, len(data), size), len(data)]
    found = memoryview(first_lines(data, 0, words(edges))).cast("Q").tolist()
    for first, stop, line in zip(edges, edges[1:], found, strict=False):
        newline = data.find(b"\n", first - 1, stop - 1) if first else -1
        assert line == (0 if not first else stop if newline < 0 else newline + 1)


@pytest.mark.skipif(native is None, reason="only the core bears that a mapped file becomes shorter")
def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"ab\n" * 10_000)
    source, view = HostFile(bytes(path)), View(maps=True)
    view.cover(source, 0, 30_000)
    os.truncate(path, 0)
    with pytest.raises(OSError, match="Input/output"):
        first_lines(view.data, 0, words([0, 20_000, 30_000]))
    source.close()


def test_a_line_of_many_pieces_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"a" * 5000 + b"\nb")
    source = HostFile(bytes(path))
    assert find_newline(source, 0, 5002) == 5000
    source.close()
