"""zarr: a chunked array. A copy of it stores nothing, and a snapshot keeps it as it was."""

from __future__ import annotations

import tempfile

import numpy as np
import zarr

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    grid = zarr.create_array(
        f"packetfs://{pool.path}!/grid.zarr", shape=(200, 200), chunks=(50, 50), dtype="f4", overwrite=True
    )
    grid[:] = np.arange(200 * 200, dtype="f4").reshape(200, 200)
    pool.snapshot("first")
    pool.copy("grid.zarr", "copy.zarr")
    grid[:50, :50] = 0

    first = zarr.open_array(f"packetfs://{pool.path}!@first/grid.zarr", mode="r")
    print("now:", float(grid[1, 1]), "first:", float(first[1, 1]))
    print("chunks:", len(pool.glob("copy.zarr/c/**")))
