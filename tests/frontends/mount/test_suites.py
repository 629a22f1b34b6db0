"""External suites on a mount, where the environment names them.

PACKETFS_PJDFSTEST: the directory of a built pjdfstest (as root: 8,798 tests, some minutes). PACKETFS_FSX: the program
that ltp/fsx.c of xfstests makes; it does PACKETFS_FSX_OPERATIONS (250,000) of each of four seeds.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.frontends.command import Pfs
from tests.frontends.mount.served import detach_anyhow, needs_mount

PJDFSTEST: Final = os.environ.get("PACKETFS_PJDFSTEST", "")
FSX: Final = os.environ.get("PACKETFS_FSX", "")
OPERATIONS: Final = os.environ.get("PACKETFS_FSX_OPERATIONS", "250000")
HOURS: Final = 2 * 3600

pytestmark = [needs_mount, pytest.mark.timeout(HOURS)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A mount with all that the suites need."""
    pfs, at = Pfs(tmp_path), tmp_path / "mnt"
    at.mkdir()
    pfs.good("init", str(tmp_path / "pool"))
    pfs.good("mount", str(tmp_path / "pool"), str(at), "-o", "allow_other,default_permissions")
    try:
        yield at
    finally:
        detach_anyhow(at)


@pytest.mark.skipif(not FSX, reason="PACKETFS_FSX names no fsx")
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_fsx_finds_no_difference(place: Path, seed: int) -> None:
    command = [FSX, "-q", "-N", OPERATIONS, "-S", str(seed), str(place / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HOURS, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.skipif(not PJDFSTEST, reason="PACKETFS_PJDFSTEST names no pjdfstest")
@pytest.mark.skipif(os.geteuid() != 0, reason="pjdfstest changes users")
def test_pjdfstest_passes(place: Path) -> None:
    done = subprocess.run(
        ["prove", "-r", f"{PJDFSTEST}/tests"], cwd=place, capture_output=True, text=True, timeout=HOURS, check=False
    )
    count = re.search(r"Tests=(\d+)", done.stdout)
    assert done.returncode == 0, done.stdout[-4000:]
    assert count is not None
    assert int(count[1]) >= 8798
