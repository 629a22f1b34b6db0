"""What a run computed, as a table for people and as JSON objects: maps, verdicts, faults, and the cost."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from packetfs.engines.result import VERDICT_NAMES, FaultReport, MapResult, RunResult
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.sizes import format_size
from packetfs.vm.layout import MapFlag, Reducer, Show
from packetfs.vm.program import MapDefinition

_SIGNED: Final = (Reducer.SUM, Reducer.SIGNED_MIN, Reducer.SIGNED_MAX)
"""Elements of 8 bytes are shown signed under these reducers: a sum of 2**63 and more is a negative one."""
NAME_WIDTH: Final = 40


def shown_maps(result: RunResult) -> list[MapResult]:
    """Return the maps that are results: what a program only reads is not."""
    return [found for found in result.maps if not found.definition.flags & MapFlag.READ_ONLY]


def show_key(definition: MapDefinition, key: bytes) -> str:
    """Return a key as its map says that it is to be shown."""
    if definition.show is Show.TEXT:
        return printable(key.rstrip(b"\0"))
    if definition.show is Show.IPV4 and len(key) == 4:
        return str(ipaddress.IPv4Address(key))
    if definition.show is Show.HEX and len(key) > 8:
        return key.hex()
    return str(int.from_bytes(key, "little", signed=definition.show is Show.SIGNED))


def elements(definition: MapDefinition, value: bytes) -> list[int]:
    """Return the elements of a value as integers."""
    width = definition.width
    signed = definition.reducer in _SIGNED and width == 8
    parts = (value[at : at + width] for at in range(0, len(value), width))
    return [int.from_bytes(part, "little", signed=signed) for part in parts]


def ranked(found: MapResult, top: int | None) -> list[tuple[bytes, bytes]]:
    """Return the entries by key, or the `top` with the greatest first element, ties by key."""
    if top is None:
        return list(found.entries)
    return sorted(found.entries, key=lambda entry: (-elements(found.definition, entry[1])[0], entry[0]))[:top]


def print_table(result: RunResult, output: Output, *, top: int | None, show: bool) -> None:
    """Write maps as tables, then one line of counts; `show`: to stdout, else to stderr, where stdout has the output."""
    write = output.line if show else output.note
    for found in shown_maps(result):
        for line in _map_lines(found, top):
            write(line)
    if not output.quiet:
        write(summary_line(result))


def _map_lines(found: MapResult, top: int | None) -> Iterator[str]:
    definition, rows = found.definition, ranked(found, top)
    name = printable(definition.name)
    if definition.max_entries == 1 and len(rows) <= 1:
        values = elements(definition, rows[0][1] if rows else bytes(definition.value_size))
        yield f"{name:<16} {_numbers(values)}"
        return
    keys = [show_key(definition, key) for key, _ in rows]
    width = min(max(map(len, keys), default=0), NAME_WIDTH)
    yield f"{name} ({len(found.entries):,} entries)"
    for key, (_, value) in zip(keys, rows, strict=True):
        yield f"  {key:<{width}}  {_numbers(elements(definition, value))}"


def _numbers(values: list[int]) -> str:
    return " ".join(f"{value:>15,}" for value in values)


def summary_line(result: RunResult) -> str:
    """Return counts, verdicts and cost in one line."""
    verdicts = [f"{count:,} {name}" for name, count in zip(VERDICT_NAMES, result.verdicts, strict=True) if count]
    emitted = f", {format_size(result.emitted)} of output" if result.emitted else ""
    cost = f"{result.best_ns:,.1f} ns a record" if result.records else "no records"
    if len(result.timings) > 1:
        runs = len(result.timings)
        cost = f"{result.best_ns:,.1f} ns a record at best, {result.median_ns:,.1f} in the median of {runs}"
    return (
        f"{result.records:,} records ({format_size(result.bytes)}), r0: {', '.join(verdicts) or 'none'}{emitted}; "
        f"{result.shards:,} shards, {result.engine}, {result.seconds:.3f} s, {cost}"
    )


def print_records(result: RunResult, output: Output, *, top: int | None) -> None:
    """Write the same as JSON objects: one for each map and fault, then the run."""
    for found in shown_maps(result):
        output.record("map", map_fields(found, top))
    for fault in result.faults:
        output.record("fault", fault_fields(fault))
    output.record("run", run_fields(result))


def map_fields(found: MapResult, top: int | None) -> dict[str, Json]:
    """Return a map with its entries."""
    definition = found.definition
    entries: list[Json] = [
        {"key": show_key(definition, key), "key_hex": key.hex(), "value": [*elements(definition, value)]}
        for key, value in ranked(found, top)
    ]
    return {"name": printable(definition.name), "kind": definition.type.name, "entries": entries}


def fault_fields(fault: FaultReport) -> dict[str, Json]:
    """Return where a microVM ended."""
    return {
        "file": fault.file,
        "shard": fault.shard,
        "vm": fault.vm,
        "record_start": fault.record_start,
        "fault": fault.fault.name,
        "packet": fault.packet,
        "slot": fault.slot,
        "instruction": fault.instruction,
        "address": fault.address,
        "message": str(fault),
    }


def run_fields(result: RunResult) -> dict[str, Json]:
    """Return the counts of a run."""
    return {
        "records": result.records,
        "bytes": result.bytes,
        "shards": result.shards,
        "executed": result.executed,
        "emitted": result.emitted,
        "verdicts": dict(zip(VERDICT_NAMES, result.verdicts, strict=True)),
        "last": result.last,
        "faulted": result.faulted,
        "engine": result.engine,
        "seconds": result.seconds,
        "timings": [*result.timings],
        "best_ns": round(result.best_ns, 3),
        "median_ns": round(result.median_ns, 3),
    }
