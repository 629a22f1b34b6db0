"""dask: partitions that are written and read in parallel."""

from __future__ import annotations

import tempfile

import dask.dataframe as dd
import pandas as pd

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    options = {"pool": pool.path}
    readings = pd.DataFrame({"sensor": [i % 4 for i in range(1000)], "value": range(1000)})

    dd.from_pandas(readings, npartitions=4).to_parquet("packetfs://readings", storage_options=options)
    print(pool.glob("readings/*.parquet"))

    loaded = dd.read_parquet("packetfs://readings", storage_options=options)
    print(loaded.groupby("sensor")["value"].mean().compute().sort_index())
