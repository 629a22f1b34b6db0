"""The measured tables as Markdown, each from the results alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Results = dict[str, Any]
VERDICTS = {True: "yes", False: "**no**", None: "not run"}
ORDER = ("pfs", "pfs-budget", "pfs-no-history", "rsync", "scp", "tcp")


def all_tables(results: Results) -> dict[str, str]:
    return {
        "summary": summary(results),
        "wire": wire(results),
        "cost": cost(results),
        "rounds": rounds(results),
        "machine": machine(results),
    }


def summary(results: Results) -> str:
    """Show what a changed tree costs on the wire: the table of the README."""
    rows = ["| after a change | plain TCP | rsync | **PacketFS** | least possible* |", "|---|--:|--:|--:|--:|"]
    for pair in results["pairs"]:
        sent = {name: shown(wire_of(pair, name, "changed")) for name in ("tcp", "rsync", "pfs")}
        rows.append(f"| {pair['about']} | {sent['tcp']} | {sent['rsync']} | **{sent['pfs']}** | {shown(floor(pair))} |")
    return "\n".join([*rows, "", "\\* the smaller of `zstd -3 --patch-from` and xdelta3, with both trees at hand."])


def wire(results: Results) -> str:
    """Show bytes both ways, for each peer and phase."""
    names = present(results)
    rows = [f"| pair | phase | {' | '.join(names)} | delta |", "|---|---|" + "--:|" * (len(names) + 1)]
    for pair in results["pairs"]:
        for phase in ("first", "changed", "unchanged"):
            cells = [exact(wire_of(pair, name, phase)) for name in names]
            least = exact(floor(pair)) if phase == "changed" else ""
            rows.append(f"| {pair['pair']} | {phase} | {' | '.join(cells)} | {least} |")
    return "\n".join(rows)


def cost(results: Results) -> str:
    """Show what each copy took, start-up apart: CPU of both sides, the larger side's memory, time, turns."""
    rows = [
        "| pair | phase | peer | CPU near, s | CPU far, s | wall, s | private, MB | RSS, MB | turns |",
        "|---|---|---|" + "--:|" * 6,
    ]
    for pair in results["pairs"]:
        rows += [cost_row(pair["pair"], copy, results.get("startup", {})) for copy in pair["copies"]]
    rows += [cost_row(copy["pair"], copy, results.get("startup", {})) for copy in results.get("big", [])]
    return "\n".join(rows)


def cost_row(pair: str, copy: Results, startup: Results) -> str:
    run: Results = copy["run"]
    start: Results = startup.get(copy["peer"]) or startup.get(copy["peer"].partition("-")[0]) or {}
    near = max(0.0, run["near"]["cpu"] - start.get("near_cpu", 0))
    far = max(0.0, run["far"]["cpu"] - start.get("far_cpu", 0))
    private, rss = (max(run["near"][key], run["far"][key]) / 1e6 for key in ("private", "rss"))
    cells = f"{near:.2f} | {far:.2f} | {run['wall']:.2f} | {private:.1f} | {rss:.1f} | {run['turns']}"
    return f"| {pair} | {copy['phase']} | {copy['peer']} | {cells} |"


def rounds(results: Results) -> str:
    """Show start-up, round trips and throughput."""
    rows = ["| peer | start-up, CPU s near + far | start-up, wall s | round trips, small change | first copy, MB/s |"]
    rows.append("|---|--:|--:|--:|--:|")
    speed = results.get("throughput", {"medians": {}, "bytes": 0})
    for name, start in results.get("startup", {}).items():
        trips = results.get("trips", {}).get(name)
        wall = speed["medians"].get(name)
        rate = "" if wall is None else f"{speed['bytes'] / wall / 1e6:.0f}"
        cells = f"{start['near_cpu']:.3f} + {start['far_cpu']:.3f} | {start['wall']:.3f}"
        rows.append(f"| {name} | {cells} | {'' if trips is None else f'{trips:.1f}'} | {rate} |")
    return "\n".join(rows)


def machine(results: Results) -> str:
    held = results["machine"]
    versions = "; ".join(text for text in held["versions"].values() if text)
    return (
        f"{held['cpu']}, {held['cores']} cores, {held['memory'] / 1e9:.0f} GB, Linux {held['kernel']}, "
        f"Python {held['python']}, {state_of(held)}, seed {results['seed']}. {versions}."
    )


def twins(results: Results) -> str:
    """Show what a machine without the native core loses."""
    rows = ["| loop | on | native | twin | native / twin |", "|---|---|--:|--:|--:|"]
    for loop in results["loops"]:
        fast, slow, unit = loop["native"], loop["twin"], loop["unit"]
        core, ratio = ("not built", "") if fast is None else (f"{rate(fast)} {unit}", rate(fast / slow))
        rows.append(f"| {loop['name']} | {loop['about']} | {core} | {rate(slow)} {unit} | {ratio} |")
    size = f"{results['megabytes']} MB of each kind, which caches hold; best of all rounds, CPU time."
    return "\n".join([*rows, "", f"{size} {short_machine(results)}"])


def start(results: Results) -> str:
    """Show what each process of a command costs before it does anything."""
    rows = ["| command | wall, ms | CPU, ms | peak RSS, MB |", "|---|--:|--:|--:|"]
    for one in results["commands"]:
        cells = f"{one['wall'] * 1e3:.0f} | {one['cpu'] * 1e3:.0f} | {one['rss'] / 1e6:.1f}"
        rows.append(f"| `{one['command']}` | {cells} |")
    return "\n".join([*rows, "", short_machine(results)])


def state_of(machine: Results) -> str:
    return f"commit {machine['commit']}" + (" with changes" if machine["changed"] else "")


def short_machine(results: Results) -> str:
    held = results["machine"]
    return f"{held['cpu']}, Python {held['python']}, {state_of(held)}."


def typed(results: Results) -> str:
    """What a user would type: a row for each command that PacketFS stands beside."""
    lines = ["| what | peer | peer CPU (wall), s | pfs run CPU (wall), s | ratio | bound | engine, helpers |",
             "|---|---|--:|--:|--:|--:|---|"]  # fmt: skip
    for row in results["rows"]:
        ours, theirs = (f"{row[side]['cpu']:.2f} ({row[side]['wall']:.2f})" for side in ("ours", "theirs"))
        least = f">= {row['least']:g}" if row["least"] is not None else ""
        told = f"{row['engine']}: {row['helpers']}"
        lines.append(f"| {row['case']} | `{row['peer']}` | {theirs} | {ours} | {row['ratio']:.2f} | {least} | {told} |")
    return "\n".join(lines)


def reconcile(results: Results) -> str:
    """Show bytes both ways where nothing is remembered, and the bounds."""
    rows = ["| pair | pfs, no history | rsync | rsync -z | bound | holds |", "|---|--:|--:|--:|--:|---|"]
    for row in results["rows"]:
        sent = {copy["peer"]: copy["run"]["up"] + copy["run"]["down"] for copy in row["copies"]}
        cells = " | ".join(exact(sent.get(peer)) for peer in ("pfs", "rsync", "rsync-z"))
        bound = row["bound"]
        verdict = "" if bound is None else VERDICTS[sent["pfs"] <= bound]
        rows.append(f"| {row['about']} | {cells} | {exact(bound)} | {verdict} |")
    return "\n".join(rows)


def engines(results: Results) -> str:
    """Show what a record of 64 bytes costs, in cache and beyond, what a shard does, and what code takes to be made."""
    ways = ("cpu", "cpu bare", "lanes", "lanes bare", "native", "simple")
    head = "cpu | cpu, unchecked | lanes | lanes, unchecked | gcc -O3 | one call a record, unchecked"
    rows = [f"| program | where | {head} | bound |", "|---|---|" + "--:|" * 7]
    for row in results["programs"]:
        for where, key in (("in cache", "record"), ("256 MiB", "big")):
            cells = " | ".join(f"{row[key][way]:.2f}" for way in ways)
            bound = f"<= {row['bound']:g}" if key == "record" and row["bound"] is not None else ""
            rows.append(f"| {row['program']}: {row['about']} | {where} | {cells} | {bound} |")
    shards = (f"{way} {max(row['shard'][way] for row in results['programs']):.1f}" for way in ("cpu", "lanes"))
    rows += [
        "",
        f"Nanoseconds a record. A shard costs, at the most of these programs, {', '.join(shards)} microseconds.",
        "",
    ]
    rows += ["| code of | slots | ms until it runs | of it text | ms of good code behind it |", "|---|--:|--:|--:|--:|"]
    start = results["start"]
    for row in start["compiled"]:
        good = f"{row['good']:.0f}" if "good" in row else ""
        rows.append(f"| {row['program']} | {row['slots']} | {row['ms']:.0f} | {row['text']:.0f} | {good} |")
    runs = ", ".join(f"`{name}` {took:.0f}" for name, took in start["runs"].items())
    rows += ["", f"Loading LLVM: {start['llvm']:.0f} ms. A run of 64 KiB whose code is remembered, in ms: {runs}."]
    return "\n".join([*rows, short_machine(results)])


SMALL: dict[str, Callable[[Results], str]] = {
    "twins": twins, "start": start, "typed": typed, "reconcile": reconcile, "engines": engines,
}  # fmt: skip
"""Tables of what a command of its own measures, by the name of its results."""


def rate(value: float) -> str:
    """Give two digits: a second run agrees with no more of them."""
    two = float(f"{value:.2g}")
    return f"{two:,.0f}" if two >= 10 else f"{two:g}"


def present(results: Results) -> list[str]:
    seen = {copy["peer"] for pair in results["pairs"] for copy in pair["copies"]}
    return [name for name in ORDER if name in seen]


def wire_of(pair: Results, peer: str, phase: str) -> int | None:
    for copy in pair["copies"]:
        if copy["peer"] == peer and copy["phase"] == phase:
            return int(copy["run"]["up"] + copy["run"]["down"])
    return None


def floor(pair: Results) -> int | None:
    return min((floor["bytes"] for floor in pair["floors"]), default=None)


def exact(size: int | None) -> str:
    return "" if size is None else f"{size:,}"


def shown(size: int | None) -> str:
    """Give three digits and a decimal unit."""
    if size is None:
        return ""
    value, units = float(size), ["B", "KB", "MB", "GB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}" if units[0] != "B" else f"{size} B"
