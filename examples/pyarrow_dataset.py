"""pyarrow: a partitioned dataset, written in one transaction and read with a filter."""

from __future__ import annotations

import tempfile

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    fs = fsspec.filesystem("packetfs", pool=pool.path)
    table = pa.table({"year": [2024, 2025, 2025, 2026], "price": [3, 5, 7, 11]})

    with fs.transaction:  # readers see the whole dataset, or none of it
        ds.write_dataset(table, "prices", filesystem=fs, format="parquet", partitioning=["year"])
    print(pool.glob("prices/*"))

    prices = ds.dataset("prices", filesystem=fs, partitioning=["year"])
    print("sum since 2025:", sum(prices.to_table(filter=ds.field("year") >= 2025)["price"].to_pylist()))
