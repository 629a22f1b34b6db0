"""An ingest gives the program of cutting everything: whatever the old program, the reads, or what the pool lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from packetfs.errors import MissingExtent
from packetfs.fs.streams.ingest import Ingested, ingest
from packetfs.fs.streams.prints import Look, Prints
from packetfs.packet.cut import cut
from packetfs.packet.digest import Digest, digest_of
from packetfs.packet.execute import read_program
from packetfs.packet.file import INLINE, copy_leaf, data_leaf, fill_leaf
from packetfs.packet.fingerprint import fingerprint_python
from packetfs.packet.head import Kind
from packetfs.packet.layout import Op
from packetfs.packet.tree import TreeWriter, leaves, produces
from packetfs.pool.lookup import Like
from packetfs.pool.pool import Pool

MEAN = 4096


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool.create(str(tmp_path_factory.mktemp("pool") / "p"), mean=MEAN, durable=False) as made:
        yield made


def reader(
    data: bytes, sizes: Callable[[], int] = lambda: 1 << 30, *, again: bool = False
) -> Callable[[int, memoryview], int]:
    """Return a `read_into` over `data` that gives as many bytes at a time as `sizes` says, none behind its end, unless
    it can be read `again`."""
    ended = False

    def read_into(offset: int, view: memoryview) -> int:
        nonlocal ended
        ended = offset >= len(data) or (ended and not again)
        if ended:
            return 0
        part = data[offset : offset + max(1, min(sizes(), len(view)))]
        view[: len(part)] = part
        return len(part)

    return read_into


def shown(data: bytes) -> Look:
    """Return what shows `data` to a scan."""
    return lambda at, count: memoryview(data)[at : at + count]


def take(pool: Pool, data: bytes, old_root: Digest | None = None, keep: bool = True) -> Ingested:
    return ingest(pool, reader(data), old_root, keep)


def whole_root(pool: Pool, data: bytes) -> Digest:
    """Return the root by the definition: one cut over all bytes."""
    writer = TreeWriter(pool, Kind.FILE, pool.mean)
    at = 0
    for length in cut(data, pool.mean, True, -1):
        part = data[at : at + abs(length)]
        at += abs(length)
        if length < 0:
            writer.add(fill_leaf(part[0], len(part)), len(part))
        elif length <= INLINE:
            writer.add(data_leaf(part), length)
        else:
            digest = digest_of(part)
            writer.add(copy_leaf(digest, length), length, digest)
    assert at == len(data)
    return writer.close()


def prints_of(pool: Pool, data: bytes) -> bytes:
    """Return the fingerprints by the definition: one for each extent."""
    out = b""
    for at, leaf in leaves(pool, whole_root(pool, data)):
        if leaf[0] == Op.COPY:
            out += fingerprint_python(data[at : at + produces(leaf)], pool.fingerprint_key())
    return out


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 48, 49, MEAN // 8, MEAN, 3 * MEAN, 300_000])
@pytest.mark.parametrize("zeros", [False, True])
def test_content_comes_back(pool: Pool, size: int, zeros: bool) -> None:
    data = bytes(size) if zeros else noise(size, size)
    done = take(pool, data)
    assert done.root == whole_root(pool, data)
    assert done.size == size
    assert read_program(pool, done.root) == data
    assert done.sparse == (size if zeros and size >= MEAN // 8 else 0)
    assert take(pool, data, done.root).new_bytes == 0


def test_a_run_longer_than_the_window_is_one_leaf(pool: Pool) -> None:
    data = noise(1, 10_000) + bytes(5 << 20) + noise(2, 10_000)
    done = take(pool, data)
    assert done.root == whole_root(pool, data)
    assert done.sparse == 5 << 20
    longer = noise(1, 10_000) + bytes(6 << 20) + noise(2, 10_000)
    assert take(pool, longer, done.root).root == whole_root(pool, longer)


def test_a_few_edits_are_the_only_news(pool: Pool) -> None:
    data = noise(3, 3 << 20)
    old = take(pool, data)
    edited = bytearray(data)
    edited[1 << 20] ^= 1
    del edited[2 << 20 : (2 << 20) + 10]
    edited[100:100] = b"inserted"
    new = take(pool, bytes(edited), old.root)
    assert new.root == whole_root(pool, bytes(edited))
    assert 0 < new.new_bytes <= 12 * MEAN


def test_evicted_content_is_stored_again(pool: Pool) -> None:
    data = noise(4, 100_000)
    old = take(pool, data, keep=False)
    with pytest.raises(MissingExtent):
        read_program(pool, old.root)
    assert take(pool, data, old.root, keep=False) == Ingested(old.root, len(data), 0, 0)
    assert take(pool, data, old.root).root == old.root
    assert read_program(pool, old.root) == data


def test_a_missing_old_program_costs_only_time(pool: Pool) -> None:
    data = noise(5, 100_000)
    assert take(pool, data, digest_of(b"none")).root == whole_root(pool, data)


def test_an_old_program_of_another_mean_is_not_followed(pool: Pool, tmp_path: Path) -> None:
    data = noise(6, 200_000)
    with Pool.create(str(tmp_path / "p"), mean=4 * MEAN, durable=False) as other:
        root = take(other, data).root
        pool.put(other.read(root))
    assert take(pool, data, root).root == whole_root(pool, data)


def test_a_reader_that_fails_is_heard(pool: Pool) -> None:
    def read_into(offset: int, view: memoryview) -> int:
        raise OSError(5, f"Input/output error at {offset} for {len(view)}")

    with pytest.raises(OSError, match="Input"):
        ingest(pool, read_into)
    assert take(pool, b"after").size == 5


PIECES = st.one_of(
    st.tuples(st.just("noise"), st.integers(0, 9), st.integers(1, 40_000)),
    st.tuples(st.just("run"), st.integers(0, 2), st.sampled_from([1, 100, 511, 512, 513, 4096, 30_000])),
    st.tuples(st.just("lines"), st.integers(0, 3), st.integers(1, 20_000)),
)
CONTENT = st.lists(PIECES, max_size=8)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "write", "insert", "delete", "run", "cut", "double"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 9000),
    ),
    max_size=6,
)


def make(pieces: list[tuple[str, int, int]]) -> bytes:
    parts = []
    for kind, seed, size in pieces:
        if kind == "noise":
            parts.append(noise(seed, size))
        elif kind == "run":
            parts.append(bytes([seed]) * size)
        else:
            parts.append((b"line %d of a text\n" % seed * size)[:size])
    return b"".join(parts)


def edit(data: bytes, edits: list[tuple[str, float, int]]) -> bytes:
    out = bytearray(data)
    for kind, place, size in edits:
        at = int(place * len(out))
        if kind == "flip" and out:
            out[at] ^= 1
        elif kind == "insert":
            out[at:at] = noise(size, size)
        elif kind == "delete":
            del out[at : at + size]
        elif kind == "write":
            out[at : at + size] = noise(size, min(size, len(out) - at))
        elif kind == "run":
            out[at : at + size] = bytes(min(size, len(out) - at))
        elif kind == "cut":
            del out[at:]
        elif kind == "double":
            out[at:at] = out[at : at + 4 * size]
    return bytes(out)


@settings(max_examples=200)
@given(pieces=CONTENT, edits=EDITS, seed=st.integers(0, 99), keep=st.booleans(), printed=st.booleans())
def test_any_edit_gives_the_root_of_cutting_everything(
    pool: Pool,
    pieces: list[tuple[str, int, int]],
    edits: list[tuple[str, float, int]],
    seed: int,
    keep: bool,
    printed: bool,
) -> None:
    data = make(pieces)
    prints = Prints(pool.fingerprint_key())
    old = ingest(pool, reader(data), keep=keep, prints=prints)
    assert old.root == whole_root(pool, data)
    new = edit(data, edits)
    prints = Prints(pool.fingerprint_key(), bytes(prints.made) if printed else b"", shown(new))
    sizes = random.Random(seed)
    read = reader(new, lambda: sizes.choice([1, 500, 5000, 100_000]), again=prints.leads)
    done = ingest(pool, read, old.root, keep, prints=prints)
    assert done.root == whole_root(pool, new)
    assert done.size == len(new)
    assert prints.made == prints_of(pool, new)
    if keep:
        assert read_program(pool, done.root) == new


def test_what_changes_between_a_look_and_the_read_is_not_kept_as_what_it_was(pool: Pool) -> None:
    data = noise(9000, 100 * MEAN)
    before = Prints(pool.fingerprint_key())
    old = ingest(pool, reader(data), keep=False, prints=before)
    prints = Prints(pool.fingerprint_key(), bytes(before.made), shown(data))
    changed = bytes(byte ^ 1 for byte in data)
    assert ingest(pool, reader(changed, again=True), old.root, prints=prints).root == old.root
    digests = [Digest(leaf[16:48]) for _, leaf in leaves(pool, old.root)]
    assert all(digest_of(pool.read(digest)) == digest for digest in digests if pool.holds(digest))
    again = Prints(pool.fingerprint_key(), bytes(before.made), shown(data))
    assert ingest(pool, reader(data, again=True), old.root, prints=again).root == old.root
    assert read_program(pool, old.root) == data


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), edits=EDITS)
def test_windows_do_not_show(pool: Pool, seed: int, edits: list[tuple[str, float, int]]) -> None:
    """The same with a file of several windows."""
    data = noise(seed, 1 << 20) + bytes(seed * 1000) + noise(seed + 1, 1 << 20)
    old = take(pool, data, keep=False)
    new = edit(data, edits)
    assert take(pool, new, old.root, keep=False).root == whole_root(pool, new)


@settings(max_examples=60)
@given(pieces=CONTENT, edits=EDITS, seed=st.integers(0, 99))
def test_what_is_recognised_becomes_the_same_program(
    pool: Pool, pieces: list[tuple[str, int, int]], edits: list[tuple[str, float, int]], seed: int
) -> None:
    """Without an old program, twice: what was found by digest is compared from then on."""
    data = make(pieces) + noise(seed, 40 * MEAN)
    take(pool, data)
    new = edit(data, edits)
    sizes = random.Random(seed)
    for content in (new, data, data + new):
        done = ingest(pool, reader(content, lambda: sizes.choice([500, 5000, 100_000])))
        assert done.root == whole_root(pool, content)
        assert (done.size, done.new_bytes + done.sparse <= done.size) == (len(content), True)
        assert read_program(pool, done.root) == content


def test_content_that_comes_again_is_not_cut_and_its_tee_has_it(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(77, 3 << 20)
    take(pool, data)
    cuts = 0

    def count(*args: object) -> list[int]:
        nonlocal cuts
        found: list[int] = cut(*args)  # type: ignore[arg-type]
        cuts += len(found)
        return found

    monkeypatch.setattr("packetfs.fs.streams.ingest.cut", count)
    seen = Copy()
    again = ingest(pool, reader(data), tee=seen)
    assert cuts < len(data) // MEAN // 2
    assert again.new_bytes == len(data)
    assert seen.root == again.root == whole_root(pool, data)
    assert b"".join(seen.parts) == data


class Copy:
    """A tee that keeps what passes; what it was shown must be the same still when it has to settle."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.shown: list[tuple[int, memoryview]] = []
        self.root = b""

    def leaf(self, leaf: bytes, data: memoryview) -> None:
        self.shown.append((len(self.parts), data))
        self.parts.append(bytes(data) or leaf[16 : 16 + leaf[4]])

    def extents(self, leaves: Sequence[bytes], data: Sequence[memoryview]) -> None:
        for leaf, content in zip(leaves, data, strict=True):
            self.leaf(leaf, content)

    def settle(self) -> None:
        assert all(self.parts[at] == data for at, data in self.shown if data)
        self.shown.clear()

    def end(self, root: Digest) -> None:
        self.root = root


class Compared:
    """What comparing two versions tells, or less of it: places from which on nothing is known are `blind`."""

    def __init__(self, old: bytes, new: bytes, blind: int) -> None:
        self.size = len(new)
        self._blind = blind
        self._ends: list[int] = [len(new)] * (len(new) + 1)
        self._changes: list[int] = list(range(len(new) + 1))
        for at in range(len(new) - 1, -1, -1):
            if old[at : at + 1] == new[at : at + 1]:
                self._ends[at] = self._ends[at + 1]
            else:
                self._ends[at], self._changes[at] = at, max(self._changes[at + 1], at + 1)

    def unchanged(self, at: int) -> int:
        return at if at >= self.size or (self._blind and not at // 1000 % self._blind) else self._ends[at]

    def changed(self, at: int) -> int:
        return max(self._changes[at], at + 1)

    def zeros(self, at: int) -> int:
        return at


@settings(max_examples=150, deadline=None)
@given(
    pieces=CONTENT,
    edits=EDITS,
    blind=st.sampled_from([0, 2, 5]),
    seed=st.integers(0, 99),
    keep=st.booleans(),
    trusting=st.booleans(),
)
@example(  # it ends in a run that was longer: what comes before that is read once more, from behind its end
    pieces=[("noise", 0, 1), ("noise", 0, 23210), ("run", 0, 4096)],
    edits=[("cut", 0.25, 1)],
    blind=0,
    seed=0,
    keep=False,
    trusting=False,
)
def test_what_is_known_of_an_edit_gives_the_same_program(
    pool: Pool,
    pieces: list[tuple[str, int, int]],
    edits: list[tuple[str, float, int]],
    blind: int,
    seed: int,
    keep: bool,
    trusting: bool,
) -> None:
    data = make(pieces) + noise(seed, 20 * MEAN)
    old = take(pool, data)
    new = edit(data, edits)
    sizes = random.Random(seed)
    read = reader(new, lambda: sizes.choice([1, 500, 5000, 100_000]), again=True)
    done = ingest(pool, read, old.root, keep, known=Compared(data, new, blind), trusting=trusting)
    assert done.root == whole_root(pool, new)
    assert done.size == len(new)
    if keep:
        assert read_program(pool, done.root) == new


def test_of_extents_that_changed_inside_little_more_is_read_than_what_changed(pool: Pool) -> None:
    data = bytearray(noise(78, 400 * MEAN))
    old = take(pool, bytes(data))
    extents = [(at, leaf) for at, leaf in leaves(pool, old.root)][5::20]
    for at, leaf in extents:
        data[at + produces(leaf) // 2] ^= 1
    counted = 0
    real = reader(bytes(data))

    def read_into(offset: int, view: memoryview) -> int:
        nonlocal counted
        counted += real(offset, view)
        return min(len(data) - offset, len(view))

    new = ingest(pool, read_into, old.root, known=Compared(read_program(pool, old.root), bytes(data), 0))
    assert new.root == whole_root(pool, bytes(data))
    assert new.new_bytes == sum(produces(leaf) for _, leaf in extents)
    assert counted <= len(extents) * 64 + 2 * MEAN  # the end of the stream is looked at


@pytest.mark.parametrize("known", [False, True])
def test_a_pool_grows_by_what_changed(tmp_path: Path, known: bool) -> None:
    """Where the change moves cuts as well: a chunk is then like two old ones. Whole extents would be 14 times that."""
    data = noise(79, 12_000_000)
    with Pool.create(str(tmp_path / "p"), durable=False) as pool:
        old = take(pool, data)
        new, rng = bytearray(data), random.Random(7)
        for _ in range(60):
            at = rng.randrange(len(new) - 2000)
            new[at : at + 2000] = rng.randbytes(2000)
        before = pool.content_bytes
        told = Compared(data, bytes(new), 0) if known else None
        done = ingest(pool, reader(bytes(new)), old.root, known=told)
        assert done.root == whole_root(pool, bytes(new))
        assert done.new_bytes > 2_000_000
        assert pool.content_bytes - before < 2.5 * 60 * 2000
        assert read_program(pool, done.root) == new


def test_damage_of_the_old_content_does_not_get_into_the_new(tmp_path: Path) -> None:
    data = noise(82, 40 * MEAN)
    with Pool.create(str(tmp_path / "p"), mean=MEAN) as pool:
        old = take(pool, data)
        pool.flush()
        new = bytearray(data)
        for at, leaf in leaves(pool, old.root):
            new[at + produces(leaf) // 2] ^= 1
            extent = pool.lookup.require(Digest(leaf[16:48]))
            with Path(pool.arena.segment_path(0)).open("r+b") as file:
                file.seek(extent.payload + 100)
                file.write(b"damage")
            pool.doubt(extent)
        done = ingest(pool, reader(bytes(new)), old.root, known=Compared(data, bytes(new), 0))
        assert done.root == whole_root(pool, bytes(new))
        assert read_program(pool, done.root) == new


def test_what_replaces_all_is_hardly_compared(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    old = take(pool, noise(8000, 200 * MEAN))
    read: list[Digest] = []

    read_each = pool.read_each

    def noted(wanted: Iterable[tuple[Digest, int]], *given: Any, **more: Any) -> list[Like]:
        asked = list(wanted)
        read.extend(digest for digest, _ in asked)
        return read_each(asked, *given, **more)

    monkeypatch.setattr(pool, "read_each", noted)
    new = noise(8001, 200 * MEAN)
    assert take(pool, new, old.root).root == whole_root(pool, new)
    assert 0 < len(read) < 50
