"""The filesystem `packetfs` of fsspec: pools for pandas, dask, pyarrow, zarr, DuckDB and whatever else takes its URLs.

Nouns: URL (`packetfs://docs/a.csv`, with the pool and a snapshot in it or in the storage options), filesystem (fsspec's
words over `packetfs.Pool`), transaction (fsspec's, which is the pool's own).
Rule: no operation is written here that the pool has; this is translation.
May import: everything below, and fsspec, which finds it by its entry point.
"""

from __future__ import annotations
