"""What others do to a destination between two syncs: it is seen, told of truly, and mended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.net.rig import Rig, describe


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    (tmp_path / "source" / "d").mkdir(parents=True)
    for name in ("a", "b", "c", "d/e", "d/f"):
        (tmp_path / "source" / name).write_bytes(name.encode() * 5000)
    made = Rig(tmp_path)
    made.sync(f"{tmp_path}/source/", tmp_path / "target")
    return made


def again(rig: Rig, **options: object) -> dict[bytes, str]:
    """Sync once more; return what was told of each path, which is one thing."""
    summary = rig.sync(f"{rig.base}/source/", rig.base / "target", **options)
    told = {change.path: change.action for change in rig.changes}
    assert not rig.troubles
    assert summary.changed == len(told)
    return told


def test_bytes_that_changed_behind_the_same_times_are_mended(rig: Rig) -> None:
    target = rig.base / "target" / "a"
    before = target.stat()
    with target.open("r+b") as file:
        file.write(b"other")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again(rig) == {b"a": "content"}
    assert describe(rig.base / "target") == describe(rig.base / "source")
    assert again(rig) == {}


def test_each_kind_of_drift_is_called_what_it_is(rig: Rig) -> None:
    target = rig.base / "target"
    (target / "a").chmod(0o600)
    (target / "b").write_bytes(b"shorter")
    (target / "c").unlink()
    (target / "d").chmod(0o700)
    (target / "d" / "e").unlink()
    (target / "d" / "e").symlink_to("f")
    told = again(rig)
    assert told == {b"a": "metadata", b"b": "content", b"c": "new", b"d": "metadata", b"d/e": "content"}
    assert describe(target) == describe(rig.base / "source")


def test_a_destination_that_was_wiped_is_a_first_copy_of_what_there_is_now(rig: Rig) -> None:
    shutil.rmtree(rig.base / "target")
    (rig.base / "source" / "b").unlink()
    (rig.base / "source" / "d").rename(rig.base / "source" / "g")
    assert set(again(rig).values()) == {"new"}
    assert describe(rig.base / "target") == describe(rig.base / "source")
    assert again(rig) == {}


def test_both_sides_changed(rig: Rig) -> None:
    (rig.base / "source" / "a").write_bytes(b"new version")
    (rig.base / "target" / "a").write_bytes(b"local edit")
    assert again(rig) == {b"a": "content"}
    assert describe(rig.base / "target") == describe(rig.base / "source")
