"""The repository's own rules, as far as a test can hold them: layers, lean imports, size, fresh documents."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import documents, size

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "packetfs").rglob("*.py"))
LAYERS = ("frontends", "net", "fs", "pool", "packet")
ALONE = {"blake3": "packet/digest.py", "backports": "packet/zstd.py", "compression": "packet/zstd.py"}
"""Third-party modules that one module each may import; apsw is the pool's, database and storage layer."""
HEAVY = ("asyncio", "apsw", "blake3", "backports.zstd", "subprocess", "sqlite3", "logging", "email", "ssl", "tempfile")
"""What `pfs --version` must not pay for."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def tracked() -> list[Path]:
    """List the files of the repository: by git where it is one, else by hand."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and not any(p.startswith(".") for p in path.parts)]
    return [ROOT / os.fsdecode(name) for name in listed.stdout.splitlines() if (ROOT / os.fsdecode(name)).is_file()]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT / "src" / "packetfs"))


def test_modules_say_what_they_are() -> None:
    for path in SOURCES:
        text = path.read_text()
        tree = ast.parse(text)
        assert ast.get_docstring(tree), f"{relative(path)}: a module says what stands in it and why"
        assert len(tree.body) == 1 or "from __future__ import annotations" in text, relative(path)
        assert path.stem not in VAGUE, relative(path)


def test_third_party_modules_are_imported_in_one_place() -> None:
    for path in SOURCES:
        for name in imports(path):
            owner = ALONE.get(name.partition(".")[0])
            assert owner in (None, relative(path)), f"{relative(path)}: {name} belongs to {owner}"
            if name.partition(".")[0] == "apsw":
                assert relative(path).startswith("pool/"), f"{relative(path)}: apsw belongs to the pool"


def test_only_frontends_read_the_environment() -> None:
    for path in SOURCES:
        if relative(path).startswith("frontends/") or relative(path) == "accel.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
                pytest.fail(f"{relative(path)}, line {node.lineno} reads the environment")


def test_every_package_has_its_layer() -> None:
    packages = {path.parent.name for path in (ROOT / "src" / "packetfs").glob("*/__init__.py")}
    assert packages == set(LAYERS)
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert tuple(contract["layers"][: len(LAYERS)]) == LAYERS


def test_layers_hold_for_lazy_imports_too() -> None:
    for path in SOURCES:
        layer = relative(path).partition("/")[0]
        above = LAYERS[: LAYERS.index(layer)] if layer in LAYERS else LAYERS
        for name in imports(path) if path.name != "__main__.py" else ():
            parts = name.split(".")
            assert parts[0] != "packetfs" or len(parts) == 1 or parts[1] not in above, f"{relative(path)}: {name}"


def test_version_costs_no_heavy_import() -> None:
    code = f"""
import sys
sys.argv = ["pfs", "--version"]
from packetfs.frontends.cli.main import main
try:
    main()
except SystemExit:
    pass
print("heavy:", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "heavy:", shown.stdout


def test_size_budget() -> None:
    assert size.judge(size.measure()) == []


def test_size_budget_can_fail(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    body = "def long():\n" + "    x = 1\n" * 700
    (tmp_path / "src" / "fat.py").write_text(body)
    faults = size.judge(size.measure(tmp_path))
    assert len(faults) == 4, faults


def test_documents_are_fresh() -> None:
    for path in documents.documents():
        assert documents.regenerate(path.read_text()) == path.read_text(), f"{path.name} is stale: run `make docs`"


def test_no_machine_paths() -> None:
    """What is written here must hold on any machine."""
    private = re.compile("|".join(("/" + "work/", "/" + "root/", "/" + "tmp/v/")))
    for path in tracked():
        if path.suffix in (".png", ".svg", ".so", ".bin", ".db"):
            continue
        found = private.search(path.read_text(errors="replace"))
        assert not found, f"{path.relative_to(ROOT)}: {found and found[0]}"


def test_makefile_is_small_and_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert targets == explained
    assert len(targets) <= 10
    assert {"demo", "test"} <= targets


def test_licence_and_type_marker_ship() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert (ROOT / "src" / "packetfs" / "py.typed").exists()
