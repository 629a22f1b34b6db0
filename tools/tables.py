"""Tables of the documents that come from more than one module: exit codes and limits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from packetfs import limits
from packetfs.errors import error_classes


def exit_codes() -> str:
    """Say for each exit code what it means and what helps; several errors may share one."""
    rows = ["| code | error | message | what helps |", "|---|---|---|---|", "| 0 | | all is done | |"]
    for kind in sorted(error_classes(), key=lambda kind: (kind.exit_code, kind.__name__)):
        message = " ".join((kind.__doc__ or "").split())
        rows.append(f"| {kind.exit_code} | {kind.__name__} | {message} | {kind.hint} |")
    rows.append("| 130 | | stopped by Ctrl-C; what was finished stays | Run the same command again. |")
    return "\n".join(rows)


def limit_values() -> str:
    """Show every limit with its value and the reason that stands beside it in the code."""
    rows = ["| limit | value | why |", "|---|---|---|"]
    for name, reason in _documented(Path(limits.__file__).read_text()):
        rows.append(f"| {name} | {getattr(limits, name):,} | {reason} |")
    return "\n".join(rows)


def _documented(text: str) -> Iterator[tuple[str, str]]:
    body = ast.parse(text).body
    for i, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        after = body[i + 1] if i + 1 < len(body) else None
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield node.target.id, " ".join(str(after.value.value).split())
