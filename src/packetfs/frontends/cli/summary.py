"""The end of a sync as people read it, and as one JSON object."""

from __future__ import annotations

from packetfs.dataclass import asdict
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.sizes import counted, format_size
from packetfs.net.job import Summary, Traffic

COLUMNS = ("logical", "literal", "copied", "metadata", "signature", "wire")


def print_summary(summary: Summary, output: Output, *, dry_run: bool) -> None:
    """Write the summary, as JSON or text."""
    if output.json:
        output.record("summary", summary_fields(summary, dry_run=dry_run))
    elif not output.quiet:
        for line in summary_lines(summary, dry_run=dry_run):
            output.line(line)


def summary_fields(summary: Summary, *, dry_run: bool) -> dict[str, Json]:
    """Return the fields of the JSON object."""
    return {**asdict(summary), "ratio": round(summary.ratio, 6), "dry_run": dry_run}


def summary_lines(summary: Summary, *, dry_run: bool) -> list[str]:
    """Return what was changed, a table of bytes by direction, and how that compares with a full copy."""
    rows = [row for row in (("sent", summary.sent), ("received", summary.received)) if row[1] != Traffic()]
    lines = [_counts(summary, dry_run=dry_run)]
    if rows:
        lines.append(" " * 8 + "".join(f"{name:>11}" for name in COLUMNS))
        lines += [_row(name, traffic) for name, traffic in rows]
    lines.append(_comparison(summary))
    return lines


def _counts(summary: Summary, *, dry_run: bool) -> str:
    verb = "would change" if dry_run else "changed"
    words = [f"{counted(summary.files, 'file')} ({format_size(summary.total)}), {summary.changed:,} {verb}"]
    if summary.deleted:
        words.append(f"{summary.deleted:,} {'would be ' if dry_run else ''}deleted")
    if summary.troubles:
        words.append(f"{summary.troubles:,} could not be handled")
    return ", ".join(words) + (f"; snapshot {summary.snapshot}" if summary.snapshot else "")


def _row(name: str, traffic: Traffic) -> str:
    return f"{name:<8}" + "".join(f"{format_size(getattr(traffic, column)):>11}" for column in COLUMNS)


def _comparison(summary: Summary) -> str:
    moved = summary.sent.wire + summary.received.wire
    share = f", {summary.ratio:.3%} of a full copy" if 0 < summary.ratio <= 1 else ""
    turns = f", {counted(summary.turns // 2, 'round trip')}" if summary.turns > 1 else ""
    return f"{format_size(moved)} moved{share}, {summary.seconds:.2f} s{turns}"
