"""Draw the results: wire bytes, CPU and memory of every peer after a change, as PNG and SVG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.tables import floor, present

COLOURS = {
    "pfs": "#0b6e4f",
    "pfs-budget": "#3aa17e",
    "pfs-no-history": "#8fd3b6",
    "rsync": "#c2571a",
    "scp": "#7a6c9d",
    "tcp": "#9aa0a6",
}
PANELS = (("wire, bytes both ways", "wire"), ("CPU of both sides, s", "cpu"), ("RSS of the larger side, MB", "rss"))


def draw(folder: Path) -> None:
    """Write measure.png and measure.svg beside measure.json; nothing where no pair was measured."""
    results = json.loads((folder / "measure.json").read_text())
    if not results.get("pairs"):
        return
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    pairs, peers = results["pairs"], present(results)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(16, 1.5 + 0.8 * len(pairs)), sharey=True)
    for axis, (title, key) in zip(axes, PANELS, strict=True):
        draw_panel(axis, title, key, pairs, peers)
    axes[0].set_yticks(range(len(pairs)), [pair["pair"] for pair in pairs])
    axes[0].invert_yaxis()
    axes[0].legend(loc="lower right", fontsize=8)
    figure.suptitle("The second copy, after the change")
    figure.tight_layout()
    for ending in ("png", "svg"):
        figure.savefig(folder / f"measure.{ending}", dpi=110)
    plt.close(figure)


def draw_panel(axis: Any, title: str, key: str, pairs: list[dict[str, Any]], peers: list[str]) -> None:
    height = 0.8 / len(peers)
    for i, peer in enumerate(peers):
        places = [row - 0.4 + (i + 0.5) * height for row in range(len(pairs))]
        axis.barh(places, [figure_of(pair, peer, key) for pair in pairs], height, color=COLOURS[peer], label=peer)
    if key == "wire":
        axis.set_xscale("log")  # peers differ by factors of a thousand
        axis.set_xlim(left=100)
        for row, pair in enumerate(pairs):
            least = floor(pair)
            if least:
                label = "smallest delta" if row == 0 else None
                axis.plot([least, least], [row - 0.4, row + 0.4], color="black", linewidth=1, label=label)
    axis.set_title(title)
    axis.grid(axis="x", alpha=0.3)


def figure_of(pair: dict[str, Any], peer: str, key: str) -> float:
    for copy in pair["copies"]:
        if copy["peer"] == peer and copy["phase"] == "changed":
            run = copy["run"]
            if key == "wire":
                return float(run["up"] + run["down"])
            if key == "cpu":
                return float(run["near"]["cpu"] + run["far"]["cpu"])
            return float(max(run["near"]["rss"], run["far"]["rss"]) / 1e6)
    return 0.0
