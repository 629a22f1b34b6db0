"""Run every static check, show what fails, and fail if any did: lint, types, layers, size budget, documents."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff", (str(BIN / "ruff"), "check", "--quiet", ".")),
    ("mypy", (str(BIN / "mypy"), "--no-error-summary")),
    ("layers", (str(BIN / "lint-imports"), "--verbose")),
    ("size", (sys.executable, "-m", "tools.size")),
    ("documents", (sys.executable, "-m", "tools.documents", "--check")),
)


def main() -> int:
    failed = [name for name, command in CHECKS if not _passes(name, command)]
    if failed:
        print(f"checks failed: {', '.join(failed)}")
    return 1 if failed else 0


def _passes(name: str, command: tuple[str, ...]) -> bool:
    start = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    verdict = "FAILED" if ended.returncode else "ok"
    print(f"{name:<10} {verdict:<6} {time.perf_counter() - start:5.1f} s", flush=True)
    if ended.returncode:
        print(ended.stdout + ended.stderr, flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
