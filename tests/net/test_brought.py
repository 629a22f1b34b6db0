"""Content that comes twice in one sync: it travels once, and is copied at the receiver from where it went first."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from packetfs.limits import EARLY_MIN
from packetfs.net.sending import brought
from packetfs.net.sending.brought import Brought
from tests.net.rig import Rig, describe

LARGE = random.Random(1).randbytes(2 * EARLY_MIN)
SMALL = random.Random(2).randbytes(100_000)
TARGETS = pytest.mark.parametrize("target", ["far:{base}/target", "far:pfs:target"])


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.make_pool()
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "below").mkdir(parents=True)
    (root / "a").write_bytes(LARGE)
    (root / "b").write_bytes(SMALL)
    (root / "below" / "c").write_bytes(LARGE)
    (root / "below" / "d").write_bytes(SMALL)
    (root / "e").write_bytes(b"other" * 40_000 + bytes(300_000) + LARGE + SMALL)
    return root


def back(rig: Rig, target: str) -> dict[str, tuple[object, ...]]:
    """Return what a target holds by now."""
    where = rig.base / "back"
    rig.sync(f"{target.format(base=rig.base)}/", where, delete=True)
    return describe(where)


@TARGETS
def test_a_first_copy_sends_each_extent_once(rig: Rig, source: Path, target: str) -> None:
    summary = rig.sync(f"{source}/", target.format(base=rig.base))
    assert not rig.troubles
    assert summary.sent.literal < 1.2 * (len(LARGE) + len(SMALL)) + 500_000
    assert summary.sent.literal + summary.sent.copied == summary.total
    assert summary.sent.wire < 1.2 * (len(LARGE) + len(SMALL))
    assert back(rig, target) == describe(source)
    assert rig.sync(f"{source}/", target.format(base=rig.base)).changed == 0


@TARGETS
def test_new_files_of_a_later_sync_do_so_too(rig: Rig, source: Path, target: str) -> None:
    rig.sync(f"{source}/", target.format(base=rig.base))
    fresh = random.Random(3).randbytes(1_500_000)
    for number in range(4):
        (source / f"new{number}").write_bytes(fresh + b"%d" % number)
    summary = rig.sync(f"{source}/", target.format(base=rig.base))
    assert not rig.troubles
    assert summary.sent.wire < 1.3 * len(fresh)
    assert back(rig, target) == describe(source)


def test_what_comes_out_of_a_pool_does_so_too(rig: Rig, source: Path) -> None:
    rig.sync(f"{source}/", "pfs:stored")
    summary = rig.sync("pfs:stored/", f"far:{rig.base}/target")
    assert not rig.troubles
    assert summary.sent.wire < 1.2 * (len(LARGE) + len(SMALL))
    assert describe(rig.base / "target") == describe(source)


@TARGETS
def test_a_copy_from_the_wrong_place_is_sent_again(
    rig: Rig, source: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """Two extents may agree in the eight bytes that are compared; or the source may be gone there."""
    asked: list[bytes] = []

    def find(self: Brought, digest: bytes) -> tuple[bytes, int] | None:  # noqa: ARG001
        asked.append(digest)
        return None if len(asked) < 8 else (b"a", 4096) if len(asked) % 2 else (b"not there", 0)

    monkeypatch.setattr(Brought, "find", find)
    summary = rig.sync(f"{source}/", target.format(base=rig.base))
    assert not rig.troubles
    assert summary.files == 5
    assert len(asked) > 100
    assert back(rig, target) == describe(source)


def test_a_file_is_copied_from_few_sources_at_a_time(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver keeps each of them open."""
    monkeypatch.setattr(brought, "_OPEN_MAX", 3)
    root = tmp_path / "many"
    root.mkdir()
    parts = [random.Random(number).randbytes(70_000) for number in range(10, 20)]
    for number, part in enumerate(parts):
        (root / f"{number}").write_bytes(part)
    (root / "all").write_bytes(b"".join(parts))
    rig.sync(f"{root}/", f"far:{tmp_path / 'target'}")
    assert not rig.troubles
    assert describe(tmp_path / "target") == describe(root)
