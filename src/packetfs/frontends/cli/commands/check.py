"""Verify every byte of a pool: headers, payloads, programs, databases; and name the files that damage hits.

It only reads, and may be stopped at any moment. The exit code is 13 where something is damaged.
"""

from __future__ import annotations

from packetfs.errors import BadNamespace, CorruptDatabase, DamageFound
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.names import path_fields, printable
from packetfs.frontends.cli.opening import open_pool
from packetfs.frontends.cli.output import Output
from packetfs.fs.check import Affected, check
from packetfs.fs.filesystem import NAMES, open_names
from packetfs.pool.check import Finding, describe
from packetfs.pool.check import check as check_bytes
from packetfs.pool.pool import Pool
from packetfs.typing import Final, Iterator

EXAMPLES: Final = (
    ("pfs check", "the default pool"),
    ("pfs check --json --pool /mnt/big/pool | grep affected", "the files that are hit, for a script"),
)
OPTIONS: Final = ("json", "pool")


def declare(arguments: Arguments) -> None:
    """Take no arguments of its own."""
    del arguments


def run(options: Options, output: Output) -> int:
    """Print one line, or one JSON object, a finding."""
    findings = affected = 0
    with open_pool(options) as pool:
        for found in examine(pool):
            if isinstance(found, Finding):
                findings += 1
                _show_finding(found, output)
            else:
                affected += 1
                _show_affected(found, output)
    if output.json:
        output.record("checked", {"findings": findings, "affected": affected})
    if findings or affected:
        output.flush()
        raise DamageFound(count=findings + affected)
    output.note("all is well")
    return 0


def examine(pool: Pool) -> Iterator[Finding | Affected]:
    """Yield what is wrong; where the names cannot even be opened, what is wrong with the bytes."""
    try:
        filesystem = open_names(pool)
    except (CorruptDatabase, BadNamespace) as error:
        if isinstance(error, BadNamespace):
            yield Finding(error.message, f"{pool.path}/{NAMES}.db")
        yield from check_bytes(pool)
        return
    with filesystem:
        yield from check(filesystem)


def _show_finding(finding: Finding, output: Output) -> None:
    if output.json:
        digest = finding.digest.hex() if finding.digest else None
        output.record("finding", {"what": finding.what, "where": finding.where, "digest": digest})
    else:
        output.line(printable(describe(finding)))


def _show_affected(affected: Affected, output: Output) -> None:
    if output.json:
        snapshot = None if affected.snapshot is None else printable(affected.snapshot)
        output.record("affected", {**path_fields(affected.path), "reason": affected.reason, "snapshot": snapshot})
        return
    where = f" in snapshot {printable(affected.snapshot)}" if affected.snapshot is not None else ""
    output.line(f"pfs:{output.name(affected.path)}{where}: {printable(affected.reason)}")
