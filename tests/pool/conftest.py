"""Pools in memory (/dev/shm where there is one: crash tests write thousands), and segments small enough to fill."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL_SEGMENT = 20 * 1024


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory on the fastest disk there is."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        yield Path(directory)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> int:
    """Segments of 20 KiB and small buffers, so that a few extents reach every branch."""
    import packetfs.pool.check
    import packetfs.pool.gc
    import packetfs.pool.pool  # noqa: F401

    sizes = {"SEGMENT": SMALL_SEGMENT, "APPEND_BUFFER": 4096, "APPEND_DIRECT": 2048, "SCAN_WINDOW": 4096}
    sizes["APPEND_PAST"] = 8192
    for name, module in list(sys.modules.items()):
        if name.startswith("packetfs.pool."):
            for constant, value in sizes.items():
                if hasattr(module, constant):
                    monkeypatch.setattr(module, constant, value)
    return SMALL_SEGMENT


@pytest.fixture(params=["through the page cache", "past it"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How pools write: after their first write new pages may be dear."""
    from packetfs.pool import dear

    if request.param == "past it":
        for constant, value in {"_DEAR": -1.0, "_WINDOW": 1, "_SAMPLE": 1, "_WINDOWS": 1}.items():
            monkeypatch.setattr(dear, constant, value)
    return str(request.param)
