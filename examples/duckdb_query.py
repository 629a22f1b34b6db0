"""DuckDB: SQL over Parquet files in a pool."""

from __future__ import annotations

import tempfile

import duckdb
import fsspec

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    database = duckdb.connect()
    database.register_filesystem(fsspec.filesystem("packetfs", pool=pool.path))

    database.sql("COPY (SELECT i AS id, i % 3 AS kind FROM range(1000) t(i)) TO 'packetfs://rows/a.parquet'")
    database.sql("COPY (SELECT i AS id, i % 3 AS kind FROM range(1000, 1500) t(i)) TO 'packetfs://rows/b.parquet'")
    print(database.sql("SELECT kind, count(*) FROM 'packetfs://rows/*.parquet' GROUP BY kind ORDER BY 1").fetchall())
    database.close()
