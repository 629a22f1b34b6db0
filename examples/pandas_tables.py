"""pandas: tables by URL, as CSV and Parquet; a snapshot keeps the table as it was."""

from __future__ import annotations

import tempfile

import pandas as pd

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    options = {"pool": pool.path}
    sales = pd.DataFrame({"shop": ["north", "south", "north"], "euros": [12.5, 8.0, 20.0]})

    sales.to_csv("packetfs://sales.csv", index=False, storage_options=options)
    sales.to_parquet("packetfs://sales.parquet", storage_options=options)
    print(pd.read_csv("packetfs://sales.csv", storage_options=options).groupby("shop")["euros"].sum())

    pool.snapshot("monday")
    sales[sales.shop == "north"].to_parquet("packetfs://sales.parquet", storage_options=options)
    now = pd.read_parquet(f"packetfs://{pool.path}!/sales.parquet")
    monday = pd.read_parquet(f"packetfs://{pool.path}!@monday/sales.parquet")
    print(f"{len(now)} rows now, {len(monday)} rows on monday")
