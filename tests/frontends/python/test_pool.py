"""`packetfs.Pool`: names, contents, transactions and snapshots, as a script meets them."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packetfs import Pool
from packetfs.errors import (
    BadPath,
    Exists,
    IsADirectory,
    NoSnapshot,
    NotADirectory,
    NotAPool,
    NotContiguous,
    NotEmpty,
    NotFound,
    PoolClosed,
    SnapshotReadOnly,
    UsageError,
)
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool as Core


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.create(tmp_path / "pool", durable=False) as pool:
        yield pool


LARGE = random.Random(7).randbytes(300_000) + bytes(100_000)


# contents


def test_contents_come_back_by_every_way_of_reading(pool: Pool) -> None:
    pool.write_bytes("a/large", LARGE)
    assert pool.read_bytes("a/large") == LARGE
    assert pool.read_bytes("/a//large/", 5, -5) == LARGE[5:-5]
    assert bytes(pool.view("a/large")) == LARGE
    assert pool.cat_ranges(["a/large"] * 3, [0, 70_000, -9], [10, 70_010, 400_000]) == [
        LARGE[:10],
        LARGE[70_000:70_010],
        LARGE[-9:],
    ]
    with pool.reader("a/large") as file:
        assert file.size == len(LARGE)
        assert b"".join(file.views(10, 350_000)) == LARGE[10:350_000]
        file.seek(-4, os.SEEK_END)
        assert file.read() == LARGE[-4:]
        out = bytearray(100)
        file.seek(299_950)
        assert file.readinto(out) == 100
        assert out == LARGE[299_950:300_050]


def test_a_view_is_no_copy_where_one_extent_has_it_all(pool: Pool) -> None:
    pool.write_bytes("large", LARGE)
    first = pool.program("large").__iter__().__next__()
    part = pool.view("large", 10, first.length, copy=False)
    assert part.readonly
    assert part == LARGE[10 : first.length]
    with pytest.raises(NotContiguous):
        pool.view("large", copy=False)
    assert not pool.view("large", 9, 9)


def test_views_outlive_the_pool(tmp_path: Path) -> None:
    with Pool.create(tmp_path / "pool", durable=False) as pool:
        pool.write_bytes("file", LARGE[:5000])
        part = pool.view("file")
    assert part == LARGE[:5000]
    with pytest.raises(PoolClosed):
        pool.read_bytes("file")


@settings(max_examples=40)
@given(st.data())
def test_a_file_that_writes_is_like_one_in_memory(pool: Pool, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(("wb", "r+b", "ab")))
    pool.write_bytes("file", b"0123456789" * 3)
    model = io.BytesIO(b"" if mode == "wb" else b"0123456789" * 3)
    if mode == "ab":
        model.seek(0, os.SEEK_END)
    with pool.open("file", mode) as file:
        assert isinstance(file, io.BufferedIOBase)
        for _ in range(data.draw(st.integers(0, 6))):
            step = data.draw(st.sampled_from(("write", "seek", "read", "truncate")))
            number = data.draw(st.integers(0, 60))
            if step == "write":
                assert file.write(b"x" * number) == model.write(b"x" * number)
            elif step == "seek":
                assert file.seek(number) == model.seek(number)
            elif step == "read":
                assert file.read(number) == model.read(number)
            else:
                wanted = model.getvalue()[:number].ljust(number, b"\0")
                at = model.tell()
                model = io.BytesIO(wanted)
                model.seek(at)
                assert file.truncate(number) == number
            assert file.tell() == model.tell()
    assert pool.read_bytes("file") == model.getvalue()


def test_text_lines_and_encodings(pool: Pool) -> None:
    with pool.open("text", "w", encoding="utf-16") as file:
        file.writelines(["eins\n", "zwölf\n"])
    with pool.open("text", encoding="utf-16") as file:
        assert list(file) == ["eins\n", "zwölf\n"]


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_block_that_fails_leaves_the_old_file(pool: Pool, mode: str) -> None:
    pool.write_text("file", "old")
    with pytest.raises(KeyError), pool.open("file", mode) as file:  # noqa: PT012 (what comes before is what is undone)
        file.write("new" if isinstance(file, io.TextIOBase) else b"new")  # type: ignore[arg-type]
        raise KeyError
    assert pool.read_text("file") == "old"


def test_a_reader_keeps_what_it_opened(pool: Pool) -> None:
    pool.write_text("file", "old")
    with pool.reader("file") as file:
        pool.write_text("file", "new")
        assert file.read() == b"old"


def test_a_large_file_being_written_waits_on_disk_without_a_name(pool: Pool) -> None:
    with pool.writer("file") as file:
        for _ in range(10):
            file.write(bytes(1 << 20))
        assert not [name for name in os.listdir(pool.path) if name.startswith("tmp")]
    assert pool.stat("file").size == 10 << 20


def test_modes_are_those_of_open(pool: Pool) -> None:
    pool.write_text("file", "1")
    with pytest.raises(Exists):
        pool.open("file", "x")
    for mode in ("q", "rw", "rbt", "", "rr"):
        with pytest.raises(ValueError, match="mode"):
            pool.open("file", mode)
    with pytest.raises(FileNotFoundError):
        pool.open("missing", "r+")
    with pytest.raises(IsADirectoryError):
        pool.open("", "rb")
    pool.mkdir("dir")
    with pytest.raises(IsADirectory):
        pool.write_text("dir", "")


def test_writing_keeps_mode_and_owner(pool: Pool) -> None:
    with Core.open(pool.path, writable=True) as core, FileSystem(core) as fs:
        fs.set(b"file", Entry(b"file", 0o100640, 7, 8, xattrs=((b"user.a", b"1"),)))
        fs.commit()
    pool.write_text("file", "new")
    found = pool.stat("file")
    assert (found.mode & 0o777, found.uid, found.gid) == (0o640, 7, 8)


# names


def test_names_are_listed_walked_and_matched(pool: Pool) -> None:
    for path in ("a/one.csv", "a/b/two.csv", "a/b/three.txt", "top.csv", "a/.hidden/x.csv"):
        pool.write_text(path, path)
    assert [each.name for each in pool.ls("a")] == [".hidden", "b", "one.csv"]
    assert [each.path for each in pool.ls("a/one.csv")] == ["a/one.csv"]
    assert list(pool.walk("a")) == [
        ("a", [".hidden", "b"], ["one.csv"]),
        ("a/.hidden", [], ["x.csv"]),
        ("a/b", [], ["three.txt", "two.csv"]),
    ]
    assert pool.glob("a/*.csv") == ["a/one.csv"]
    assert pool.glob("**/*.csv") == ["a/.hidden/x.csv", "a/b/two.csv", "a/one.csv", "top.csv"]
    assert pool.glob("a/b/t[gw]*") == ["a/b/two.csv"]
    assert pool.glob("top.csv") == ["top.csv"]
    assert pool.glob("none/*") == []
    with pytest.raises(NotFound):
        pool.ls("none")
    with pytest.raises(BadPath):
        pool.ls("../x")


def test_names_move_and_go(pool: Pool) -> None:
    pool.write_text("dir/file", "1")
    pool.write_text("other", "2")
    pool.mkdir("empty")
    with pytest.raises(NotEmpty):
        pool.rm("dir")
    with pytest.raises(IsADirectory):
        pool.mv("other", "dir")
    with pytest.raises(NotADirectory):
        pool.mv("dir", "other")
    with pytest.raises(NotEmpty):
        pool.mv("empty", "dir")
    with pytest.raises(Exists):
        pool.mkdir("dir")
    pool.mkdir("dir", exist_ok=True)
    with pytest.raises(BadPath):
        pool.mv("dir", "dir/inside")
    pool.mv("dir", "empty")
    assert pool.read_text("empty/file") == "1"
    pool.mv("other", "empty/file")
    assert pool.read_text("empty/file") == "2"
    pool.rm("empty", recursive=True)
    assert pool.ls() == []
    with pytest.raises(FileNotFoundError):
        pool.rm("empty")


def test_a_copy_has_the_same_root_and_stores_nothing(pool: Pool) -> None:
    pool.write_bytes("dir/large", LARGE)
    with pool.transaction():
        pool.copy("dir/large", "copy")
        pool.copy("dir", "dir2")
    assert pool.stat("copy").root == pool.stat("dir/large").root == pool.stat("dir2/large").root
    pool.write_text("copy", "changed")
    assert pool.read_bytes("dir/large") == LARGE
    with pytest.raises(Exists):
        pool.copy("dir", "dir2")


def test_links_are_followed_inside_the_pool(pool: Pool) -> None:
    pool.write_text("dir/file", "1")
    pool.release()
    with Core.open(pool.path, writable=True) as core, FileSystem(core) as fs:
        for place, target in ((b"near", b"dir"), (b"dir/up", b"../dir/./file"), (b"out", b"/etc"), (b"loop", b"loop")):
            fs.set(place, Entry(place.rpartition(b"/")[2], 0o120777, target=target))
        fs.commit()
    assert pool.read_text("near/up") == "1"
    assert pool.stat("near", follow=False).target == "dir"
    pool.write_text("near/up", "2")
    assert pool.read_text("dir/file") == "2"
    for path in ("out/passwd", "loop"):
        with pytest.raises(BadPath):
            pool.read_text(path)
    assert not pool.exists("out/passwd")
    pool.mv("near/up", "near/up2")
    assert pool.stat("dir/up2", follow=False).type == "link"
    pool.mv("dir/file", "near/up2")
    assert pool.stat("dir/up2", follow=False).type == "file"
    pool.rm("near")
    assert pool.exists("dir/up2")


def test_an_open_file_outlives_its_pool(tmp_path: Path) -> None:
    with Pool.create(tmp_path / "pool", durable=False) as pool:
        pool.write_bytes("file", LARGE)
        file = pool.reader("file")
    with file:
        assert file.read() == LARGE
    assert file._store.handles == 0
    assert file._store._reader is None


def test_programs_that_lie_are_refused(pool: Pool) -> None:
    pool.write_bytes("file", LARGE)
    pool.release()
    with Core.open(pool.path, writable=True) as core, FileSystem(core) as fs:
        root = fs.content_root(b"file")
        program = bytearray(core.read(root))
        first = int.from_bytes(program[64 + 4 : 64 + 8], "little")
        program[64 + 8] = 1  # the first COPY begins one byte later, and leads out of its extent
        late = core.put(bytes(program))
        program[64 + 8] = 0
        program[64 + 4 : 64 + 8] = (first - 1).to_bytes(4, "little")  # it makes one byte less than HEAD says
        short = core.put(bytes(program))
        for place, lie in ((b"late", late), (b"short", short)):
            fs.set(place, Entry(place, 0o100644, size=len(LARGE), root=lie))
        fs.commit()
    for name in ("late", "short"):
        with pytest.raises(ValueError, match=r"extent|produces"):
            pool.read_bytes(name)
        with pytest.raises(ValueError, match=r"extent|produces"):
            pool.view(name)
        with pytest.raises(ValueError, match=r"extent|produces"), pool.reader(name) as file:
            file.read(10)
    assert pool.read_bytes("file") == LARGE


def test_names_that_are_no_text_come_back(pool: Pool) -> None:
    pool.write_text(b"\xff\xfe", "odd")
    [found] = pool.ls()
    assert pool.read_text(found.path) == "odd"
    assert "\\udcff" in pool.ls()._repr_html_()


# transactions and snapshots


def test_a_transaction_is_all_or_nothing(pool: Pool) -> None:
    pool.write_text("kept", "1")
    with Pool(pool.path) as other:
        with pytest.raises(KeyError), pool.transaction():  # noqa: PT012 (what comes before is what is undone)
            pool.write_bytes("new", LARGE)
            pool.rm("kept")
            with pool.transaction():
                assert pool.read_bytes("new") == LARGE
                assert not other.exists("new")
            raise KeyError
        assert [each.name for each in pool.ls()] == ["kept"]
        with pool.transaction():
            pool.write_bytes("new", LARGE)
            assert bytes(pool.view("new")) == LARGE
            assert not other.exists("new")
        assert other.read_bytes("new") == LARGE


def test_snapshots_show_what_was(pool: Pool) -> None:
    pool.write_text("dir/file", "old")
    taken = pool.snapshot("first", "dir")
    pool.write_text("dir/file", "new")
    before = pool.at("first")
    assert before.read_text("file") == "old"
    assert before.glob("*") == ["file"]
    assert (taken.name, taken.path) == ("first", "dir")
    assert pool.snapshots() == [taken]
    with pytest.raises(SnapshotReadOnly):
        before.write_text("x", "")
    with pytest.raises(SnapshotReadOnly):
        before.rm("file")
    with pytest.raises(SnapshotReadOnly):
        before.mkdir("d")
    with pytest.raises(PermissionError), before.transaction():
        pass
    with pytest.raises(UsageError), pool.transaction():
        pool.snapshot("second")
    with pytest.raises(NoSnapshot):
        pool.at("none")
    pool.drop_snapshot("first")
    assert pool.snapshots() == []
    before.close()


# opening


def test_the_pool_of_the_environment_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pool.create(tmp_path / "pool", durable=False).close()
    monkeypatch.setenv("PACKETFS_POOL", str(tmp_path / "pool"))
    with Pool() as pool:
        assert pool.path == str(tmp_path / "pool")
    with pytest.raises(NotAPool):
        Pool(tmp_path / "none")


def test_a_pool_made_anew_at_the_same_path_is_another(tmp_path: Path) -> None:
    first = Pool.create(tmp_path / "pool", durable=False)
    first.write_text("file", "1")
    os.rename(tmp_path / "pool", tmp_path / "moved")
    with Pool.create(tmp_path / "pool", durable=False) as second:
        assert second.ls() == []
    first.close()


def test_a_pool_can_be_pickled(pool: Pool) -> None:
    pool.write_text("file", "1")
    with pickle.loads(pickle.dumps(pool)) as again:  # noqa: S301 (our own bytes)
        assert again.read_text("file") == "1"


def test_what_a_pool_tells_can_be_pickled(pool: Pool) -> None:
    pool.write_text("file", "1")
    pool.snapshot("monday")
    for told in (pool.stat("file"), pool.ls(), pool.snapshots()):
        assert pickle.loads(pickle.dumps(told)) == told  # noqa: S301 (our own bytes)


def test_what_holds_a_pool_open_says_what_to_pickle_instead(pool: Pool) -> None:
    pool.write_text("file", "1")
    with pool.open("file", "rb") as reader, pool.open("new", "wb") as writer:
        for held in (reader, writer, reader.program):
            with pytest.raises(TypeError, match="cannot be pickled; pickle"):
                pickle.dumps(held)


def test_importing_stays_light() -> None:
    heavy = ("packetfs.pool", "apsw", "tempfile", "fsspec", "asyncio", "dataclasses", "html")
    code = f"import packetfs, sys, json; print(json.dumps(sorted(set({heavy!r}) & set(sys.modules))))"
    shown = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == []


# notebooks


def test_notebooks_show_tables(pool: Pool) -> None:
    pool.write_bytes("<b>&.bin", LARGE)
    pool.snapshot("one")
    for shown in (pool, pool.ls(), pool.snapshots(), pool.reader("<b>&.bin"), pool.program("<b>&.bin"), pool.at("one")):
        text = shown._repr_html_()
        assert text.startswith("<table>")
        assert "<b>" not in text
    assert "FILL" in pool.program("<b>&.bin")._repr_html_()
    assert "one" in pool.snapshots()._repr_html_()
    assert "COPY" in repr(pool.program("<b>&.bin"))
