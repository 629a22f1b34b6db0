"""Every example runs, and says what it is meant to say; skipped where a library of the group `examples` is missing."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SAYS = {
    "dask_table.py": r"part\.3\.parquet'\]\nsensor\n0 +498\.0\n1 +499\.0",
    "duckdb_query.py": r"\[\(0, 500\), \(1, 500\), \(2, 500\)\]",
    "pandas_tables.py": r"north +32\.5\nsouth +8\.0(?s:.*)2 rows now, 3 rows on monday",
    "plain_python.py": r"one line\nanother line\nbytes 250 to 260: fa fb fc fd fe ff 00 01 02 03\nnow: \['backup'",
    "polars_frames.py": r"4 rows\n\[\('Lima', 19\.0\), \('Oslo', 5\.0\), \('Pune', 31\.0\)\]",
    "pyarrow_dataset.py": r"sum since 2025: 23",
    "zarr_arrays.py": r"now: 0\.0 first: 201\.0\nchunks: 20",
}


def modules_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
    return found


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_example(name: str, tmp_path: Path) -> None:
    for module in modules_of(EXAMPLES / name):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name)]
    shown = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert re.search(SAYS[name], shown.stdout), shown.stdout
    assert shown.stderr == ""
    assert list(tmp_path.iterdir()) == []
