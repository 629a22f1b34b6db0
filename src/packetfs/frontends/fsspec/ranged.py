"""A file whose ranges fsspec fetches itself, as `blockcache::` does: it has the shape of fsspec's own files."""

from __future__ import annotations

from fsspec.spec import AbstractBufferedFile


class RangedFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file open for reading through whatever cache fsspec puts into it."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        found: bytes = self.fs.cat_file(self.path, start, end)
        return found
