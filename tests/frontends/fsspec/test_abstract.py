"""fsspec's own tests of what a filesystem must do, unchanged: copy, get, put, pipe, open.

(Its module `mv` looks at fsspec's own local filesystem alone, so there is nothing in it to run here; moves are tested
in test_filesystem.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.tests import abstract

from packetfs import Pool
from packetfs.frontends.fsspec.filesystem import PacketFileSystem


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture
    def fs(self, tmp_path: Path) -> Iterator[PacketFileSystem]:
        Pool.create(tmp_path / "pool", durable=False).close()
        fs = fsspec.filesystem("packetfs", pool=tmp_path / "pool", skip_instance_cache=True)
        yield fs
        fs.pool.close()

    @pytest.fixture
    def fs_path(self) -> str:
        return "tests"


class TestCopy(abstract.AbstractCopyTests, Fixtures):  # type: ignore[misc]
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):  # type: ignore[misc]
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):  # type: ignore[misc]
    pass
