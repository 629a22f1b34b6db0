from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from packetfs.pool.superblock import COPIES, FIRST
from tests.pool.flips import FILES, Sample, build, flip, rewrite_all

SAMPLE = {"arena/00000000": 1, "index": 53, "names.db": 17, "verified": 997, "leases": 3}
"""Every how many bytes are flipped here; `python -m tests.pool.flips` flips all."""


@pytest.fixture
def sample(place: Path) -> Sample:
    return build(place)


def test_no_flipped_byte_is_ever_served_as_wrong_data(sample: Sample) -> None:
    assert set(FILES) == set(SAMPLE)
    for name, step in SAMPLE.items():
        first = FIRST if name.startswith("arena") else 0
        tally = flip(sample, name, range(first, (sample.path / name).stat().st_size, step))
        assert tally.wrong == 0, name
        assert tally.right + tally.errors > 20
        if name.startswith("arena") or name == "names.db":
            assert tally.errors > tally.right
        if name in ("verified", "leases"):
            assert tally.errors == 0


def test_either_copy_of_the_superblock_is_enough(sample: Sample) -> None:
    for offset in COPIES:
        tally = flip(sample, "arena/00000000", range(offset, offset + 128, 5))
        assert (tally.wrong, tally.errors) == (0, 0)


def test_a_check_finds_flips_where_they_matter(sample: Sample) -> None:
    size = (sample.path / "arena/00000000").stat().st_size
    tally = flip(sample, "arena/00000000", range(FIRST, size, 31), check=True)
    assert tally.found >= tally.errors > 200
    tally = flip(sample, "names.db", range(0, (sample.path / "names.db").stat().st_size, 331), check=True)
    assert tally.found >= tally.errors > 50


def test_what_was_damaged_is_mended_by_putting_it_again(sample: Sample) -> None:
    intact = sample.path.parent / "intact"
    sample.path.rename(intact)
    size = (intact / "arena/00000000").stat().st_size
    for offset in range(FIRST, size, 199):
        shutil.copytree(intact, sample.path)
        path = sample.path / "arena/00000000"
        data = bytearray(path.read_bytes())
        data[offset] ^= 0x80
        path.write_bytes(data)
        assert rewrite_all(sample)
        shutil.rmtree(sample.path)
