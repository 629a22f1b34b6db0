"""The fsspec filesystem beyond what every filesystem must do: URLs, roots as checksums, atomic changes, snapshots."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from packetfs import Pool
from packetfs.errors import UsageError
from packetfs.frontends.fsspec.url import Parts, join_url, split_url
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool as Core

LARGE = bytes(range(256)) * 2000


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[Any]:
    Pool.create(tmp_path / "pool", durable=False).close()
    fs = fsspec.filesystem("packetfs", pool=str(tmp_path / "pool"), wait=0, skip_instance_cache=True)
    yield fs
    fs.pool.close()


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("packetfs://a/b.csv", Parts(None, None, "a/b.csv")),
        ("packetfs://", Parts(None, None, "")),
        ("a/b!/c", Parts(None, None, "a/b!/c")),
        ("/a/b/", Parts(None, None, "a/b")),
        ("packetfs:///data/pool!/a/b.csv", Parts("/data/pool", None, "a/b.csv")),
        ("packetfs:///data/pool!@monday/a!/b", Parts("/data/pool", "monday", "a!/b")),
        ("packetfs:///data/pool!@monday", Parts("/data/pool", "monday", "")),
        ("packetfs:///data/pool!", Parts("/data/pool", None, "")),
        ("packetfs:///data/x!y/pool!/@a", Parts("/data/x!y/pool", None, "@a")),
    ],
)
def test_urls(url: str, parts: Parts) -> None:
    assert split_url(url) == parts
    if parts.pool is not None:
        assert split_url(join_url(*parts)) == parts  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["{}/dir/file", "{}!dir/file", "{}", "{}!@/dir/file"])
def test_a_url_that_leads_to_a_pool_says_where_that_ends(fs: Any, form: str) -> None:
    with pytest.raises(UsageError, match=f"does not say .*: packetfs://{fs.pool.path}!/PATH"):
        fsspec.open("packetfs://" + form.format(fs.pool.path))
    assert fs._get_kwargs_from_urls("packetfs:///no/pool/here") == {}


def test_urls_carry_the_pool_to_any_process(fs: Any) -> None:
    fs.pipe("dir/file", b"1")
    url = fs.unstrip_protocol("dir/file")
    assert url == f"packetfs://{fs.pool.path}!/dir/file"
    with fsspec.open(url) as file:
        assert file.read() == b"1"
    with fsspec.open("packetfs://dir/file", pool=fs.pool.path) as file:
        assert file.read() == b"1"
    assert pickle.loads(pickle.dumps(fs)).cat("dir/file") == b"1"  # noqa: S301 (our own bytes)


def test_the_pool_of_the_environment(fs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKETFS_POOL", fs.pool.path)
    fs.pipe("file", b"1")
    other = fsspec.filesystem("packetfs", skip_instance_cache=True)
    assert other.cat("packetfs://file") == b"1"
    other.pool.close()


def test_roots_are_checksums(fs: Any) -> None:
    fs.pipe({"a": LARGE, "b": LARGE, "c": LARGE[1:]})
    assert fs.checksum("a") == fs.checksum("b") != fs.checksum("c")
    assert fs.ukey("a") == fs.info("b")["root"]
    assert fs.modified("a") == fs.created("a")
    assert fs.info("a")["mtime"] == pytest.approx(fs.modified("a").timestamp(), abs=1e-3)
    fs.mkdir("dir")
    assert fs.ukey("dir")


def test_ranges(fs: Any) -> None:
    fs.pipe("a", LARGE)
    assert fs.cat_file("a", 100_000, 100_010) == LARGE[100_000:100_010]
    assert fs.cat_file("a", -5) == LARGE[-5:]
    assert fs.cat_ranges(["a", "a"], [0, 300_000], [5, 300_005]) == [LARGE[:5], LARGE[300_000:300_005]]
    found = fs.cat_ranges(["a", "none"], 0, 3)
    assert found[0] == LARGE[:3]
    assert isinstance(found[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["none"], 0, 3, on_error="raise")
    assert fs.tail("a", 4) == LARGE[-4:]
    assert fs.read_block("a", 1000, 10) == LARGE[1000:1010]


def test_moves_are_atomic_and_copies_share(fs: Any) -> None:
    fs.pipe({"dir/a": LARGE, "dir/sub/b": b"1", "to/there": b""})
    root = fs.ukey("dir/a")
    fs.mv("dir", "to", recursive=True)
    assert fs.find("") == ["to/dir/a", "to/dir/sub/b", "to/there"]
    fs.mv("to/dir/a", "to/there")
    assert fs.ukey("to/there") == root
    fs.cp("to/there", "copy")
    assert fs.ukey("copy") == root
    with pytest.raises(FileNotFoundError):
        fs.mv("none", "x")
    with pytest.raises(OSError, match="is a directory"):
        fs.rm("to")
    fs.rm("to", recursive=True)
    assert fs.find("") == ["copy"]


def test_a_move_into_a_snapshot_is_refused(fs: Any) -> None:
    fs.pipe("file", b"old")
    fs.pool.snapshot("first")
    fs.pipe("file", b"new")
    before = fsspec.filesystem("packetfs", pool=fs.pool.path, snapshot="first", skip_instance_cache=True)
    assert before.cat("file") == b"old"
    assert fsspec.open(f"packetfs://{fs.pool.path}!@first/file").open().read() == b"old"
    for change, words in ((before.mv, ("file", "x")), (before.pipe, ("x", b"")), (before.rm, ("file",))):
        with pytest.raises(PermissionError):
            change(*words)
    before.pool.close()


def test_a_transaction_is_committed_at_its_end(fs: Any) -> None:
    with Pool(fs.pool.path) as other:
        with fs.transaction:
            fs.pipe("a", LARGE)
            with fs.open("b", "w") as file:
                file.write("text")
            fs.mv("b", "c")
            assert fs.ls("", detail=False) == ["a", "c"]
            assert other.ls() == []
        assert [each.name for each in other.ls()] == ["a", "c"]
        with pytest.raises(KeyError), fs.transaction:  # noqa: PT012 (what comes before is what is undone)
            fs.rm("a")
            fs.pipe("d", b"")
            raise KeyError
        assert [each.name for each in other.ls()] == ["a", "c"]
        fs.pipe("after", b"1")
        assert other.exists("after")


def test_a_file_that_is_open_at_the_end_undoes_a_transaction(fs: Any) -> None:
    with pytest.raises(ValueError, match="still open"), fs.transaction:  # noqa: PT012 (raised at the end)
        fs.pipe("a", b"1")
        fs.open("b", "wb").write(b"2")
    assert fs.ls("") == []
    fs.start_transaction()
    fs.pipe("c", b"3")
    fs.end_transaction()
    assert fs.ls("", detail=False) == ["c"]


def test_links_out_of_the_pool_are_listed_and_lead_nowhere(fs: Any) -> None:
    fs.pipe("file", b"12")
    fs.pool.release()
    with Core.open(fs.pool.path, writable=True) as core, FileSystem(core) as names:
        names.set(b"out", Entry(b"out", 0o120777, target=b"/etc/passwd"))
        names.set(b"in", Entry(b"in", 0o120777, target=b"file"))
        names.commit()
    found = {each["name"]: each for each in fs.ls("")}
    assert (found["out"]["type"], found["out"]["islink"]) == ("other", True)
    assert (found["in"]["type"], found["in"]["size"], found["in"]["destination"]) == ("file", 2, "file")
    assert not fs.exists("out")
    assert fs.find("") == ["file", "in", "out"]


def test_writing_modes(fs: Any) -> None:
    with fs.open("a", "ab") as file:
        file.write(b"1")
    with fs.open("a", "ab") as file:
        file.write(b"2")
    assert fs.cat("a") == b"12"
    fs.touch("a", truncate=False)
    assert fs.size("a") == 2
    fs.touch("a")
    assert fs.size("a") == 0
    with fs.open("z.gz", "wt", compression="infer") as file:
        file.write("text")
    with fs.open("z.gz", "rt", compression="infer") as file:
        assert file.read() == "text"
    fs.mkdir("d")
    fs.rmdir("d")
    with pytest.raises(NotADirectoryError):
        fs.rmdir("a")
    assert not fs.exists("d")


@pytest.mark.filterwarnings("ignore:.*FileIO")  # fsspec leaves it to garbage collection to close what it has mapped
@pytest.mark.parametrize("cache", ["blockcache", "filecache", "simplecache"])
def test_the_caches_of_fsspec_keep_what_was_read(fs: Any, tmp_path: Path, cache: str) -> None:
    fs.pipe("dir/file", LARGE)
    kept = {"cache_storage": str(tmp_path / "kept")}
    for _ in range(2):  # the second time from what was kept
        with fsspec.open(f"{cache}::{fs.unstrip_protocol('dir/file')}", **{cache: kept}) as file:
            file.seek(300)
            assert file.read(3) == LARGE[300:303]
            assert file.read() == LARGE[303:]
    assert [path.stat().st_size for path in (tmp_path / "kept").iterdir() if path.name != "cache"] == [len(LARGE)]


@pytest.mark.parametrize("mode", ["q", "", "b", "+", "rw", "rr", "rbt", "rU", "r++"])
def test_what_is_no_mode_of_the_builtin_open_is_none_here(fs: Any, mode: str) -> None:
    fs.pipe("file", b"1")
    for opened in (open, fs.open, fs.pool.open):
        with pytest.raises(ValueError, match="mode"):
            opened("file", mode)
