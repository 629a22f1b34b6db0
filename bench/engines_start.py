"""How long code takes to be made, program by program, and a small run whose code is remembered: all in milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.engines_programs import RECORD
from packetfs.accel import native
from packetfs.engines.compiled.cache import LARGE
from packetfs.engines.compiled.flat import flatten
from packetfs.engines.compiled.recipe import MANY, ONE
from packetfs.engines.compiled.records import many_records, one_record
from packetfs.toolchain.python.backend import make_object
from packetfs.toolchain.shipped.catalogue import Shipped, programs
from packetfs.vm.image import load

PFS: Final = str(Path(sys.executable).with_name("pfs"))
ROUNDS: Final = 3
RUNS: Final = 10
COMPILE_MAX: Final = 50.0
RUN_MAX: Final = 250.0
SMALL: Final[dict[str, tuple[str, ...]]] = {"wc": (), "grep": ("--arg", "pattern=ab", "--arg", "count=yes")}
"""A small program and a large one, on a file of 64 KiB."""
_core: Any = native
_LOADING: Final = """import time
begun = time.perf_counter()
from packetfs.toolchain.python.backend import make_object
make_object("define i64 @one() { ret i64 1 }")
print((time.perf_counter() - begun) * 1e3)"""
Results = dict[str, Any]


def measure() -> Results:
    """Return what loading LLVM takes, which a process does once, the code of each shipped program, and small runs."""
    loading = subprocess.run([sys.executable, "-c", _LOADING], stdout=subprocess.PIPE, text=True, check=True)
    compiled = sorted((_compiled(shipped) for shipped in programs()), key=lambda row: int(row["slots"]))
    return {"llvm": float(loading.stdout), "compiled": compiled, "runs": {name: _run(name) for name in SMALL}}


def _compiled(shipped: Shipped) -> Results:
    """Make the code that engine `cpu` runs with the framing which a program is made for; the best of ROUNDS. Of a large
    program that is a draft, which good code follows."""
    image, places = load(shipped.program({})), _core.vm_places()
    fixed = shipped.records == "packet"
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        text = many_records(image, places, RECORD) if fixed else one_record(image, places)
        written = time.perf_counter()
        name, large = MANY if fixed else ONE, text.count("\n") > LARGE
        _core.vm_code(flatten(make_object(text, draft=large), name).image)
        drafted = time.perf_counter()
        if large:
            _core.vm_code(flatten(make_object(text), name).image)
        took.append((drafted - begun, written - begun, time.perf_counter() - drafted))
    whole, text_alone, good = (1e3 * min(each) for each in zip(*took, strict=True))
    row = {"program": shipped.name, "slots": len(image.code) // 8, "ms": whole, "text": text_alone}
    return {**row, "good": good} if large else row


def _run(name: str) -> float:
    """Run a program on engine `cpu` once, so that its code is remembered; then again. Return the median."""
    with tempfile.TemporaryDirectory(prefix="packetfs-start-") as home:
        file = Path(home) / "file"
        file.write_bytes(b"cab and bad\n" * 5461)
        command = [PFS, "run", "--engine", "cpu", name, *SMALL[name], str(file)]
        environment = {**os.environ, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        took = []
        for _ in range(RUNS + 1):
            begun = time.perf_counter()
            subprocess.run(command, env=environment, capture_output=True, check=True)
            took.append((time.perf_counter() - begun) * 1e3)
        return sorted(took[1:])[RUNS // 2]


def bounds(results: Results) -> list[tuple[str, float, float]]:
    """Return what is judged, its figure and its bound."""
    compiled = [
        (f"compile {row['program']}, {row['slots']} slots, ms", row["ms"], COMPILE_MAX) for row in results["compiled"]
    ]
    return compiled + [
        (f"pfs run {name}, code remembered, ms", took, RUN_MAX) for name, took in results["runs"].items()
    ]
