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

from packetfs import typing
from packetfs.accel import native
from tools import documents, size

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "packetfs").rglob("*.py"))
RANKS = ({"frontends"}, {"engines"}, {"net"}, {"fs", "toolchain"}, {"pool", "vm"}, {"packet"})
"""The layers from the top; those of one rank do not see each other."""
GROUND = {"errors"}
"""What all layers stand on and is a package; the rest of the ground are modules."""
ALONE = {
    "blake3": "packet/digest.py",
    "backports": "packet/zstd.py",
    "compression": "packet/zstd.py",
    "llvmlite": "toolchain/python/backend.py",
    "pyarrow": "frontends/cli/arrow.py",
    "cryptography": "net/access/identity.py",
}
"""Third-party modules that one module each may import; apsw is the pool's, database and storage layer."""
HEAVY = (
    "llvmlite",
    "pyarrow",
    "asyncio",
    "apsw",
    "blake3",
    "backports.zstd",
    "subprocess",
    "sqlite3",
    "logging",
    "email",
    "ssl",
    "tempfile",
    "typing",
)
"""What `pfs --version` must not pay for."""
SLOW = ("dataclasses", "inspect", "ast", "dis", "tokenize", "pathlib", "tempfile", "shutil", "random", "asyncio")
"""What no command of every day may load: packetfs.dataclass stands for the first five."""
WORDY = ("json", "re", "enum", "contextlib", "threading", "functools", "collections", "types", "operator", "importlib")
"""What a run over a file of this machine does without: modules of these names in this package stand for most of them,
the abstract collections are in packetfs.typing."""
UNMET = tuple(f"packetfs.errors.{layer}" for layer in ("engines", "fs", "pool", "toolchain", "packet", "vm"))
"""Errors that a run that meets none has no use for: their classes take a tenth of it."""
UNUSED = ("typing", "weakref", "backports.zstd", "packetfs.errors.net")
"""What commands have no use for that neither map a pool nor compress, nor reach another machine."""
STORED = ("apsw", "packetfs.pool.pool", "packetfs.fs", "packetfs.net.wire.messages", "backports.zstd")
TWIN = ("packetfs.vm.isa", "packetfs.vm.check", "packetfs.vm.interpreter", "packetfs.vm.helpers", "packetfs.vm.microvm")
BEGUN = {
    "run grep --arg pattern=a {tree}/0": (
        *SLOW,
        *UNUSED,
        *STORED,
        "subprocess",
        "socket",
        *((*WORDY, *UNMET, *TWIN) if native is not None else ()),
    ),
    "run wc pfs:0": (*SLOW, *UNUSED, "subprocess", "socket", "llvmlite", *(TWIN if native is not None else ())),
    "sync {tree} {copy}": (*SLOW, "typing", "email", "ssl", "packetfs.vm", "packetfs.engines"),
    "serve --stdio": (*SLOW, "typing", "subprocess", "email", "ssl", "packetfs.vm.isa", "packetfs.engines.jobs.job"),
    "ls": (*SLOW, *UNUSED, "subprocess", "socket", "packetfs.vm", "packetfs.net.wire.messages"),
}
"""By command, what it must not load. Each of these cost milliseconds of every start, unseen, until it was measured."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
TERMS = {"vm/helpers.py", "engines/ir/helpers.py"}
"""Where such a word is the field's own: eBPF calls the functions that programs may call helpers."""


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
        assert path.stem not in VAGUE or relative(path) in TERMS, relative(path)


def test_third_party_modules_are_imported_in_one_place() -> None:
    for path in SOURCES:
        for name in imports(path):
            owner = ALONE.get(name.partition(".")[0])
            assert owner in (None, relative(path)), f"{relative(path)}: {name} belongs to {owner}"
            if name.partition(".")[0] == "apsw":
                assert relative(path).startswith("pool/"), f"{relative(path)}: apsw belongs to the pool"


def test_words_of_annotations_are_imported_where_they_cost_nothing() -> None:
    cheap = {name for name in vars(typing) if not name.startswith("_")} - {"annotations"}
    assert cheap > {"Final", "Protocol", "TYPE_CHECKING"}
    for path in SOURCES:
        if relative(path) in ("typing.py", "net/link/stream.py") or relative(path).startswith("toolchain/shipped/"):
            continue  # one asks while it runs whether a Protocol is kept, some are programs as anyone writes them
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module == "typing":
                found = cheap & {alias.name for alias in node.names}
                assert not found, f"{relative(path)}: {', '.join(found)} from packetfs.typing"


def test_only_frontends_read_the_environment() -> None:
    for path in SOURCES:
        if relative(path).startswith("frontends/") or relative(path) == "accel.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
                pytest.fail(f"{relative(path)}, line {node.lineno} reads the environment")


def test_every_package_has_its_layer() -> None:
    packages = {path.parent.name for path in (ROOT / "src" / "packetfs").glob("*/__init__.py")}
    assert packages == set().union(GROUND, *RANKS)
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert tuple(set(rank.split(" | ")) for rank in contract["layers"][: len(RANKS)]) == RANKS


def hidden_from(layer: str) -> set[str]:
    """Return the layers that `layer` must not import: those above, and its siblings."""
    rank = next((rank for rank, layers in enumerate(RANKS) if layer in layers), len(RANKS))
    return set().union(*RANKS[: rank + 1]) - {layer}


def test_layers_hold_for_lazy_imports_too() -> None:
    for path in SOURCES:
        hidden = hidden_from(relative(path).partition("/")[0])
        for name in imports(path) if relative(path) not in ("__main__.py", "__init__.py") else ():
            parts = name.split(".")
            assert parts[0] != "packetfs" or len(parts) == 1 or parts[1] not in hidden, f"{relative(path)}: {name}"


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


@pytest.mark.parametrize("command", BEGUN)
def test_commands_start_lean(command: str, tmp_path: Path) -> None:
    """The child of a sync is `serve --stdio`, which ends with code 20 where nobody speaks to it. A run over a file of
    the pool finds remembered what the run before came to."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "0").write_text("two words\n")
    words = command.format(tree=tmp_path / "tree", copy=tmp_path / "copy").split()
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    code = f"""
import sys
before = set(sys.modules)  # what other packages have Python load when it begins
from packetfs.frontends.cli.main import main
code = main({words!r})
print("ended", code, "with", *sorted(set({BEGUN[command]!r}) & set(sys.modules) - before), file=sys.stderr)
"""
    put = ["-m", "packetfs", "put", str(tmp_path / "tree" / "0"), "pfs:"]
    first = ["-m", "packetfs", "run", "wc", "pfs:0"]
    for call in (["-m", "packetfs", "init"], put, first, ["-c", code]):
        shown = subprocess.run(
            [sys.executable, *call],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    assert ("1 remembered" in shown.stderr) == (words[-1] == "pfs:0")
    assert shown.stderr.splitlines()[-1] == f"ended {20 if words[0] == 'serve' else 0} with", shown.stderr


def test_classes_are_made_by_the_lean_decorator() -> None:
    for path in SOURCES:
        assert relative(path) == "dataclass.py" or "dataclasses" not in imports(path), relative(path)


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
