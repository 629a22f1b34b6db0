"""polars: frames through file objects of the pool, which read only what is asked for."""

from __future__ import annotations

import tempfile

import polars as pl

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    frame = pl.DataFrame({"city": ["Oslo", "Lima", "Oslo", "Pune"], "degrees": [4, 19, 6, 31]})
    with pool.writer("weather.parquet") as file:
        frame.write_parquet(file)

    with pool.reader("weather.parquet") as file:
        print(pl.read_parquet(file, columns=["city"]).height, "rows")
    with pool.reader("weather.parquet") as file:
        print(pl.scan_parquet(file).group_by("city").agg(pl.col("degrees").mean()).sort("city").collect().rows())
