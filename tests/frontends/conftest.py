"""A home directory of its own for each test, with or without a pool in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frontends.command import Pfs


@pytest.fixture
def pfs(tmp_path: Path) -> Pfs:
    """`pfs` on a machine without a pool."""
    home = tmp_path / "home"
    home.mkdir()
    return Pfs(home)


@pytest.fixture
def pooled(pfs: Pfs) -> Pfs:
    """`pfs` with the default pool, empty."""
    pfs.good("init", "--not-durable")
    return pfs
