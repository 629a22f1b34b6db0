"""Directories to work in, on the real disk, and a way to be somebody without root's rights for a while."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from packetfs.fs.host.beneath import Beneath
from packetfs.fs.host.walk import open_by_kernel, open_by_walk

NOBODY = 65534
_DUMPABLE = 4

AsNobody = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that its owner, and `as_nobody` too, can reach; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="packetfs-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(params=[open_by_kernel, open_by_walk])
def beneath(request: pytest.FixtureRequest, place: Path) -> Iterator[Beneath]:
    root = place / "root"
    root.mkdir()
    with Beneath(root, opener=request.param) as opened:
        yield opened


@pytest.fixture
def as_nobody(place: Path) -> AsNobody:
    """Run a block without root's rights, as the owner of `place`; where the tests have none, nothing changes."""

    @contextmanager
    def become() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        for directory, _, _ in os.walk(place):
            os.chown(directory, NOBODY, NOBODY)
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        ctypes.CDLL(None).prctl(_DUMPABLE, 1)  # else /proc/self would belong to root
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
            ctypes.CDLL(None).prctl(_DUMPABLE, 1)

    return become


@pytest.fixture
def root_only() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may do this")
