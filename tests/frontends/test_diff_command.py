"""`pfs diff`: what two snapshots, or a snapshot and now, differ in."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.records import BY_TYPE
from packetfs.fs.filesystem import FileSystem
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool
from tests.frontends.command import Ended, Pfs

NOTHING = "0 new (0 B), 0 gone (0 B), 0 with other content (0 B -> 0 B), 0 with other metadata\n"


@pytest.fixture
def changed(pooled: Pfs) -> Pfs:
    """A pool whose directory `docs` changed in every way after the snapshot `monday`."""
    docs = pooled.home / "docs"
    (docs / "old/deep").mkdir(parents=True)
    for name, data in (("same", b"same"), ("edited", b"12345"), ("chmod", b"x"), ("old/deep/file", b"123")):
        (docs / name).write_bytes(data)
    (docs / "link").symlink_to("same")
    (docs / "kind").write_bytes(b"a file")
    store(pooled, docs)
    pooled.good("snapshots", "--take", "monday")
    shutil.rmtree(docs / "old")
    (docs / "edited").write_bytes(b"1234567")
    (docs / "chmod").chmod(0o600)
    (docs / "link").unlink()
    (docs / "link").symlink_to("edited")
    (docs / "kind").unlink()
    (docs / "kind").mkdir()
    (docs / "kind/inside").write_bytes(b"1234567890")
    store(pooled, docs)
    return pooled


def store(pfs: Pfs, directory: Path) -> None:
    """Bring a directory into the pool; its time stays, so that it is no change of its own."""
    os.utime(directory, ns=(1, 1))
    pfs.good("put", "--replace", str(directory), "pfs:")


def found(ended: Ended) -> list[tuple[object, ...]]:
    """Return (change, path, sizes), looking whether each record has the fields that are promised."""
    *records, last = ended.records
    for record in (*records, last):
        shape = BY_TYPE[str(record["type"])]
        assert set(shape.fields) <= set(record) - {"type"} <= {*shape.fields, *shape.optional}
    assert sum(int(str(last[what])) for what in ("new", "gone", "content", "metadata")) == len(records)
    return [(each["change"], each["path"], each["old_size"], each["size"]) for each in records]


CHANGES = [
    ("metadata", "docs/chmod", 1, 1),
    ("content", "docs/edited", 5, 7),
    ("gone", "docs/kind", 6, 0),
    ("new", "docs/kind", 0, 0),
    ("new", "docs/kind/inside", 0, 10),
    ("content", "docs/link", 0, 0),
    ("gone", "docs/old", 0, 0),
    ("gone", "docs/old/deep", 0, 0),
    ("gone", "docs/old/deep/file", 3, 0),
]


def test_every_way_to_differ(changed: Pfs) -> None:
    ended = changed.good("diff", "--json", "monday")
    assert found(ended) == CHANGES
    assert ended.records[-1] == {
        "type": "differences",
        "new": 2,
        "gone": 4,
        "content": 2,
        "metadata": 1,
        "new_size": 10,
        "gone_size": 9,
        "content_old_size": 5,
        "content_size": 7,
    }


def test_two_snapshots_in_either_order(changed: Pfs) -> None:
    changed.good("snapshots", "--take", "friday")
    changed.good("rm", "-r", "docs")
    assert found(changed.good("diff", "--json", "monday", "friday")) == CHANGES
    there = {(what, path): sizes for what, path, *sizes in CHANGES}
    back = {(what, path): sizes for what, path, *sizes in found(changed.good("diff", "--json", "friday", "monday"))}
    opposite = {"new": "gone", "gone": "new"}
    assert back == {(opposite.get(str(what), what), path): sizes[::-1] for (what, path), sizes in there.items()}
    assert changed.good("diff", "monday", "monday").text == NOTHING


def test_as_text(changed: Pfs) -> None:
    *lines, last = changed.good("diff", "monday").text.splitlines()
    assert [line.split() for line in lines] == [
        ["metadata", "docs/chmod"],
        ["content", "5", "B", "->", "7", "B", "docs/edited"],
        ["gone", "6", "B", "docs/kind"],
        ["new", "docs/kind/"],
        ["new", "10", "B", "docs/kind/inside"],
        ["content", "docs/link"],
        ["gone", "docs/old/"],
        ["gone", "docs/old/deep/"],
        ["gone", "3", "B", "docs/old/deep/file"],
    ]
    assert last == "2 new (10 B), 4 gone (9 B), 2 with other content (5 B -> 7 B), 1 with other metadata"
    assert changed.good("diff", "-q", "monday").text.splitlines() == lines


def test_a_path_limits_it(changed: Pfs) -> None:
    assert found(changed.good("diff", "--json", "monday", "now", "docs/old")) == CHANGES[-2:]
    assert found(changed.good("diff", "--json", "now", "monday", "docs/old/deep")) == [
        ("new", "docs/old/deep/file", 0, 3)
    ]
    assert changed("diff", "monday", "now", "docs/same").code == ExitCode.NOT_FOUND
    assert changed("diff", "monday", "now", "nowhere").code == ExitCode.NOT_FOUND
    assert changed("diff", "friday").code == ExitCode.NOT_FOUND
    assert changed("diff", "monday", "friday").code == ExitCode.NOT_FOUND


def test_a_snapshot_of_a_directory_is_compared_with_that_directory(changed: Pfs) -> None:
    changed.good("snapshots", "--take", "part", "docs")
    assert found(changed.good("diff", "--json", "monday", "part")) == CHANGES
    assert changed.good("diff", "part").text == NOTHING
    changed.good("put", "-", "beside", stdin=b"not in docs")
    assert changed.good("diff", "part").text == NOTHING


def test_a_snapshot_may_be_called_now(changed: Pfs) -> None:
    changed.good("snapshots", "--take", "now")
    changed.good("rm", "-r", "docs")
    assert found(changed.good("diff", "--json", "monday", "now")) == CHANGES


def test_names_that_a_writer_has_just_changed(pooled: Pfs) -> None:
    for number in range(300):
        (pooled.home / "many").mkdir(exist_ok=True)
        (pooled.home / f"many/{number:03}").write_bytes(random.Random(number).randbytes(50))
    pooled.good("put", "many/", "pfs:deep/many")
    pooled.good("snapshots", "--take", "monday")
    with Pool.open(str(pooled.pool), writable=True) as pool, FileSystem(pool) as names:
        names.set(b"deep/many/new", Entry(b"new", 0o100644, size=0))
        names.remove(b"deep/many/123")
        names.commit()
        for _ in range(2):
            assert found(pooled.good("diff", "--json", "monday")) == [
                ("gone", "deep/many/123", 50, 0),
                ("new", "deep/many/new", 0, 0),
            ]
