from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import UnsafePath
from packetfs.fs.host import walk
from packetfs.fs.host.walk import check_path, choose_opener, open_by_kernel, open_by_walk

OPENERS = (open_by_kernel, open_by_walk)


@pytest.mark.parametrize(
    "path", [b"..", b"a/..", b"../a", b"a/../b", b".", b"./a", b"/", b"/a", b"a//b", b"a/", b"a\0b"]
)
def test_paths_that_are_not_plain_are_refused(path: bytes) -> None:
    with pytest.raises(UnsafePath):
        check_path(path)


@pytest.mark.parametrize("path", [b"", b"a", b"a/b", b"...", b"..a", b"a\nb", b"\xff\xfe/\x01", b" "])
def test_any_other_bytes_are_a_path(path: bytes) -> None:
    check_path(path)


@given(st.lists(st.sampled_from([b"a", b"b", b"link", b"file", b"gone"]), min_size=1, max_size=5))
def test_both_openers_agree(tmp_path_factory: pytest.TempPathFactory, names: list[bytes]) -> None:
    top = tmp_path_factory.getbasetemp() / "agree"
    if not top.exists():
        (top / "a" / "b" / "a").mkdir(parents=True)
        (top / "b").mkdir()
        (top / "a" / "link").symlink_to("b")
        (top / "b" / "file").touch()
    path = b"/".join(names)
    base = os.open(top, os.O_PATH)
    found = []
    for opener in OPENERS:
        try:
            fd = opener(base, path)
            found.append(str(os.fstat(fd).st_ino))
            os.close(fd)
        except OSError as error:
            found.append(str(walk.explain(base, path, error)))
    os.close(base)
    assert found[0] == found[1]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_where_openat2_is_missing_or_forbidden_the_walk_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(_base: int, _path: bytes, _flags: int) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(walk, "open_beneath", refuse)
    base = os.open(tmp_path, os.O_PATH)
    assert choose_opener(base) is open_by_walk
    os.close(base)


def test_this_kernel_has_openat2(tmp_path: Path) -> None:
    base = os.open(tmp_path, os.O_PATH)
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (5, 6):
        assert choose_opener(base) in OPENERS
    os.close(base)
