"""What a result was measured on and with: figures without it cannot be compared."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

VERSIONS = {
    "rsync": ("rsync", "--version"),
    "zstd": ("zstd", "--version"),
    "xdelta3": ("xdelta3", "-V"),
    "ssh": ("ssh", "-V"),
}


def describe() -> dict[str, object]:
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) << 10 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory": memory[0] if memory else 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _first_line("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(_first_line("git", "status", "--porcelain", "--untracked-files=no")),
        "versions": {name: _first_line(*command) for name, command in VERSIONS.items()},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _first_line(*command: str) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return next(iter((ended.stdout or ended.stderr).splitlines()), "")
