"""The tutorial is a valid notebook without stored outputs, and every cell runs, in order, in one namespace.

The cells are run as IPython runs them: what the last expression of a cell gives is shown, by its HTML where it has one.
A Jupyter kernel would do the same through five more packages and a socket.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[3] / "examples" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(NOTEBOOK.read_text())
    return found


def test_it_is_a_notebook(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        )
        assert not cell.get("outputs"), "outputs are made by whoever runs it"
        assert not cell.get("execution_count")


def test_every_cell_runs(notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for needed in ("numpy", "pandas", "fsspec", "pyarrow"):
        pytest.importorskip(needed)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scope: dict[str, Any] = {"__name__": "__main__"}
    shown = [show(run(cell, scope)) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for expected in ("PacketFS pool", "another line", "ramp.bin", "FILL", "32640", "backup/ramp.bin", "north"):
        assert any(expected in text for text in shown), expected
    assert sum(text.lstrip().startswith(("<table", "<div>")) for text in shown) >= 6
    assert list(tmp_path.iterdir()) == []


def run(cell: dict[str, Any], scope: dict[str, Any]) -> object:
    """Run a cell and return what its last expression gives."""
    name = f"{NOTEBOOK.name}, {cell['id']}"
    tree = ast.parse("".join(cell["source"]), name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), scope)  # noqa: S102 (our own notebook)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), name, "eval"), scope)  # noqa: S307 (the same)


def show(value: object) -> str:
    html = getattr(value, "_repr_html_", None)
    return html() if html is not None else repr(value)
