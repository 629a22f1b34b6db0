"""Views: a file's bytes in the arena itself, without a copy."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from packetfs.errors import NotContiguous
from packetfs.fs.filesystem import FileSystem
from packetfs.fs.views import view, views
from packetfs.packet.entry import Entry
from packetfs.pool.pool import Pool

CONTENT = bytes(range(256)) * 1600 + bytes(20_000) + b"tail"


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool.create(str(tmp_path / "pool"), mean=4096)


def test_views_are_the_files_bytes(pool: Pool) -> None:
    with pool, FileSystem(pool) as fs:
        stream = BytesIO(CONTENT)
        fs.put_file(b"file", lambda _, into: stream.readinto(into), Entry(b"file", 0o100644))
        parts = views(fs, b"file")
        assert b"".join(parts) == CONTENT
        assert b"".join(views(fs, b"file", 100, 300_000)) == CONTENT[100:300_100]
        assert bytes(view(fs, b"file", 10, 20)) == CONTENT[10:30]
        assert view(fs, b"file", 10, 20).readonly
        with pytest.raises(NotContiguous, match="file lies in"):
            view(fs, b"file")
        del parts
