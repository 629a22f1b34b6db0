"""What a run computed, as a table for people and as JSON objects: maps, verdicts, faults, and the cost."""

from __future__ import annotations

from packetfs.engines.results.result import VERDICT_NAMES, FaultReport, MapResult, RunResult
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Json, Output
from packetfs.frontends.cli.sizes import counted, format_size
from packetfs.frontends.cli.values import elements, is_single, ranked, show_key, show_number
from packetfs.typing import Final, Iterator, Mapping, Sequence
from packetfs.vm.layout import MapFlag

Decimals = Mapping[bytes, int]
"""By map: decimal digits of its numbers, where they are fixed-point ones."""
NAME_WIDTH: Final = 48
"""Columns that keys are padded to, at the most; longer ones push their numbers to the right."""


def shown_maps(result: RunResult) -> list[MapResult]:
    """Return the maps that are results: what a program only reads is not."""
    return [found for found in result.maps if not found.definition.flags & MapFlag.READ_ONLY]


def print_table(result: RunResult, output: Output, decimals: Decimals, *, top: int | None, show: bool) -> None:
    """Write maps as tables, then one line of counts; `show`: to stdout, else to stderr, where stdout has the output."""
    write = output.line if show else output.note
    singles = [found for found in shown_maps(result) if is_single(found.definition)]
    for line in _single_lines(singles, decimals):
        write(line)
    for found in shown_maps(result):
        if not is_single(found.definition):
            for line in _map_lines(found, decimals, top):
                write(line)
    output.note(summary_line(result))


def _single_lines(singles: Sequence[MapResult], decimals: Decimals) -> Iterator[str]:
    """Yield maps of one entry, which need no key: a line each, their first numbers below each other."""
    names, rows = [], []
    for found in singles:
        entries = ranked(found, None)
        names.append(printable(found.definition.name))
        rows.append(_words(found, entries[0][1], decimals) if entries else ["none"])
    yield from _aligned(names, rows, "")


def _map_lines(found: MapResult, decimals: Decimals, top: int | None) -> Iterator[str]:
    entries = ranked(found, top)
    count = len(found.entries)
    shown = f", the greatest {len(entries):,}" if len(entries) < count else ""
    yield f"{printable(found.definition.name)} ({count:,} {'entry' if count == 1 else 'entries'}{shown})"
    keys = [show_key(found.definition, key) for key, _ in entries]
    yield from _aligned(keys, [_words(found, value, decimals) for _, value in entries], "  ")


def _words(found: MapResult, value: bytes, decimals: Decimals) -> list[str]:
    digits = decimals.get(found.definition.name, 0)
    return [show_number(number, digits) for number in elements(found.definition, value)]


def _aligned(names: Sequence[str], rows: Sequence[list[str]], indent: str) -> Iterator[str]:
    """Yield a line for each row: names to the left, numbers to the right of their columns."""
    width = min(max(map(len, names), default=0), NAME_WIDTH)
    columns = max(map(len, rows), default=0)
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(columns)]
    for name, row in zip(names, rows, strict=True):
        words = (f"{word:>{size}}" for word, size in zip(row, widths, strict=False))
        yield f"{indent}{name:<{width}}  {'  '.join(words)}"


def summary_line(result: RunResult) -> str:
    """Return counts, verdicts and cost in one line."""
    verdicts = [f"{count:,} {name}" for name, count in zip(VERDICT_NAMES, result.verdicts, strict=True) if count]
    emitted = f", {format_size(result.emitted)} of output" if result.emitted else ""
    return (
        f"{counted(result.records, 'record')} ({format_size(result.bytes)}), "
        f"r0: {', '.join(verdicts) or 'none'}{emitted}; "
        f"{counted(result.shards, 'shard')}{_remembered(result)}, {_engine(result)}, {result.seconds:.3f} s, "
        f"{_cost(result)}"
    )


def _remembered(result: RunResult) -> str:
    return f" ({result.remembered:,} remembered)" if result.remembered else ""


def _engine(result: RunResult) -> str:
    """Return the engine's name, in which ways records ran, and why: none falls back in silence."""
    ways = ", ".join(f"{count:,} {way}" for way, count in result.ran if count)
    told = "; ".join(words for words in (ways, result.why) if words)
    return f"{result.engine} ({told})" if told else result.engine


def _cost(result: RunResult) -> str:
    if not result.records:
        return "no records"
    if len(result.timings) < 2:
        return f"{_duration(result.best_ns)} a record"
    best, median = _duration(result.best_ns), _duration(result.median_ns)
    return f"{best} a record at best, {median} in the median of {len(result.timings)} runs"


def _duration(nanoseconds: float) -> str:
    """Return a time in the unit that leaves at most three digits before the point."""
    for unit in ("ns", "us", "ms"):
        if nanoseconds < 1000:
            return f"{nanoseconds:.1f} {unit}"
        nanoseconds /= 1000
    return f"{nanoseconds:,.1f} s"


def print_records(result: RunResult, output: Output, decimals: Decimals, *, top: int | None) -> None:
    """Write the same as JSON objects: one for each map and fault, then the run."""
    for found in shown_maps(result):
        output.record("map", map_fields(found, decimals, top))
    for fault in result.faults:
        output.record("fault", fault_fields(fault))
    output.record("run", run_fields(result))


def map_fields(found: MapResult, decimals: Decimals, top: int | None) -> dict[str, Json]:
    """Return a map with its entries; numbers are whole, `decimals` says where their point is."""
    definition = found.definition
    entries: list[Json] = [
        {"key": show_key(definition, key), "key_hex": key.hex(), "value": [*elements(definition, value)]}
        for key, value in ranked(found, top)
    ]
    kind, digits = definition.type.name, decimals.get(definition.name, 0)
    return {"name": printable(definition.name), "kind": kind, "decimals": digits, "entries": entries}


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
        "remembered": result.remembered,
        "executed": result.executed,
        "emitted": result.emitted,
        "verdicts": dict(zip(VERDICT_NAMES, result.verdicts, strict=True)),
        "last": result.last,
        "faulted": result.faulted,
        "engine": result.engine,
        "ran": dict(result.ran),
        "why": result.why,
        "seconds": result.seconds,
        "timings": [*result.timings],
        "best_ns": round(result.best_ns, 3),
        "median_ns": round(result.median_ns, 3),
    }
