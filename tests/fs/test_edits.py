"""What an import says of where a file differs from what it was makes the new content of the old one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs.fs.streams.ingest import ingest
from packetfs.fs.streams.prints import Prints
from packetfs.packet.rivals import Span
from packetfs.pool.pool import Pool
from packetfs.typing import Sequence
from tests.fs.test_ingest import CONTENT, EDITS, MEAN, edit, make, noise, reader, shown


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool.create(str(tmp_path_factory.mktemp("pool") / "p"), mean=MEAN, durable=False) as made:
        yield made


def edits_of(pool: Pool, old: bytes, new: bytes, *, printed: bool = False, keep: bool = True) -> Sequence[Span] | None:
    before = Prints(pool.fingerprint_key())
    root = ingest(pool, reader(old), prints=before).root
    prints = Prints(pool.fingerprint_key(), bytes(before.made), shown(new)) if printed else None
    return ingest(pool, reader(new, again=printed), root, keep, prints=prints).edits


def applied(old: bytes, new: bytes, spans: Sequence[Span]) -> bytes:
    """Return `old` as long as `new` is, with that in the spans; they are in order, and in it."""
    made = bytearray(old[: len(new)].ljust(len(new), b"\0"))
    done = 0
    for start, end in spans:
        assert done <= start < end <= len(new)
        made[start:end] = new[start:end]
        done = end
    return bytes(made)


@settings(max_examples=200, deadline=None)
@given(pieces=CONTENT, edits=EDITS, seed=st.integers(0, 99), printed=st.booleans(), keep=st.booleans())
def test_edits_make_the_new_content_of_the_old(
    pool: Pool,
    pieces: list[tuple[str, int, int]],
    edits: list[tuple[str, float, int]],
    seed: int,
    printed: bool,
    keep: bool,
) -> None:
    old = make(pieces) + noise(seed, 40 * MEAN)
    new = edit(old, edits)
    spans = edits_of(pool, old, new, printed=printed, keep=keep)
    if spans is not None:
        assert applied(old, new, spans) == new


@pytest.mark.parametrize("printed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_overwritten_is_known_to_the_byte(pool: Pool, seed: int, printed: bool) -> None:
    rng = random.Random(seed)
    old = rng.randbytes(500 * MEAN)
    new = bytearray(old)
    for at in rng.sample(range(0, len(old) - 100, 500), 60):
        new[at : at + 100] = rng.randbytes(100)
    spans = edits_of(pool, old, bytes(new), printed=printed)
    assert spans is not None
    assert applied(old, bytes(new), spans) == new
    assert sum(end - start for start, end in spans) <= 60 * 100


def test_a_chunk_of_other_content_is_one_edit(pool: Pool) -> None:
    old = noise(5, 100 * MEAN)
    new = old[: 40 * MEAN] + noise(6, 4 * MEAN) + old[44 * MEAN :]
    spans = edits_of(pool, old, new)
    assert spans is not None
    assert applied(old, new, spans) == new
    assert sum(end - start for start, end in spans) < 10 * MEAN


def test_nothing_is_known_where_content_moved_or_is_not_kept(pool: Pool) -> None:
    old = noise(7, 100 * MEAN)
    inserted = old[: 50 * MEAN] + b"more" + old[50 * MEAN :]
    changed = old[: 50 * MEAN] + b"other" + old[50 * MEAN + 5 :]
    assert edits_of(pool, old, inserted) is None
    assert edits_of(pool, old, changed) is not None
    assert edits_of(pool, noise(8, 100 * MEAN), changed, keep=False) is None


def test_what_did_not_change_has_no_edits(pool: Pool) -> None:
    old = noise(9, 100 * MEAN)
    assert edits_of(pool, old, old) == []
    assert edits_of(pool, old, old[: 50 * MEAN]) is not None
    assert ingest(pool, reader(old)).edits is None


def test_edits_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packetfs.fs.streams.edits.EDITS_MAX", 10)
    old = noise(10, 100 * MEAN)
    new = bytearray(old)
    for at in range(0, len(new), 5 * MEAN):
        new[at] ^= 1
    with Pool.create(str(tmp_path / "p"), mean=MEAN, durable=False) as pool:
        assert edits_of(pool, old, bytes(new)) is None
