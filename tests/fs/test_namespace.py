"""The tables behind the names: what is refused, what stays when a database is read only, and what packing keeps."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import BadNamespace, NotFound, PacketFSError
from packetfs.fs.filesystem import NAMES, FileSystem
from packetfs.fs.namespace import pack_xattrs, unpack_xattrs
from packetfs.packet.digest import digest_of
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool

FILE = Entry(b"file", stat.S_IFREG | 0o644, root=digest_of(b""))


def test_another_format_is_refused(tmp_path: Path) -> None:
    for pragma in ("user_version=99", "application_id=1"):
        with Pool.create(str(tmp_path / pragma)) as pool:
            FileSystem(pool)
            pool.database(NAMES).execute(f"PRAGMA {pragma}").fetchall()
            with pytest.raises(BadNamespace):
                FileSystem(pool)


def test_a_reader_reads_and_does_not_write(tmp_path: Path) -> None:
    where = str(tmp_path / "pool")
    with Pool.create(where) as pool, FileSystem(pool) as fs:
        fs.set(b"file", FILE)
        fs.commit()
    with Pool.open(where) as pool, FileSystem(pool) as fs:
        assert fs.entry(b"file") == FILE
        with pytest.raises(PacketFSError):
            fs.set(b"other", FILE)
        fs.rollback()
        assert fs.entry(b"other") is None


def test_a_reader_sees_commits_and_nothing_else(tmp_path: Path) -> None:
    where = str(tmp_path / "pool")
    with Pool.create(where) as pool, FileSystem(pool) as fs, Pool.open(where) as other, FileSystem(other) as reader:
        fs.set(b"file", FILE)
        assert reader.entry(b"file") is None
        fs.commit()
        assert reader.entry(b"file") == FILE
        fs.remove(b"file")
        with pytest.raises(NotFound):
            fs.seen(b"file")
        assert reader.entry(b"file") == FILE


def test_no_inode_outlives_its_names(tmp_path: Path) -> None:
    with Pool.create(str(tmp_path / "pool"), durable=False) as pool, FileSystem(pool) as fs:
        for path in (b"a/b/c/file", b"a/b/other", b"a/file"):
            fs.make_parents(path)
            fs.set(path, FILE)
        fs.link(b"a/file", b"linked", 1)
        fs.tree_root()
        fs.set(b"a/b/new", FILE)
        fs.remove(b"a")
        assert fs.names.rows("SELECT count(*) FROM inode") == [(2,)]
        assert fs.names.rows("SELECT count(*) FROM entry") == [(1,)]
        assert fs.names.rows("SELECT name FROM touched") == [(b"a",)]
        assert fs.tree_root() == fs.tree_root()
        assert fs.names.rows("SELECT count(*) FROM touched") == [(0,)]


@given(pairs=st.dictionaries(st.binary(max_size=300), st.binary(max_size=300), max_size=5))
def test_attributes_come_back_in_order(pairs: dict[bytes, bytes]) -> None:
    assert unpack_xattrs(pack_xattrs(tuple(pairs.items()))) == tuple(sorted(pairs.items()))
