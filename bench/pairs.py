"""The pairs: trees in an old and a new state, made from a seed at any scale.

`build` makes the old state, whose times lie in the past as those of real trees do; `change` edits it in place, as the
programs that own such files do. Nothing here looks at how a peer works: another seed gives other bytes, and must give
the same conclusions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench import content

MB = 1_000_000
PAST_NS = 1_750_000_000 * 10**9
EDITS = 200


@dataclass(frozen=True, slots=True)
class Pair:
    """One tree and what happens to it; sizes are multiplied by a scale."""

    name: str
    about: str
    fill: Callable[[Path, float, Random], None]
    edit: Callable[[Path, float, Random], None]

    def build(self, root: Path, scale: float, seed: int) -> None:
        root.mkdir(parents=True)
        self.fill(root, scale, Random(f"{seed} {self.name} old"))
        age(root, Random(f"{seed} {self.name} times"))

    def change(self, root: Path, scale: float, seed: int) -> None:
        self.edit(root, scale, Random(f"{seed} {self.name} new"))


def age(root: Path, rng: Random) -> None:
    """Give everything a time in the past, directories after what is in them."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in [*sorted(files), "."]:
            when = PAST_NS + rng.randrange(10**16)
            os.utime(os.path.join(folder, name), ns=(when, when), follow_symlinks=False)


def random_pair(size: int, edit: int) -> Pair:
    """Make a pair of incompressible bytes of which 1 % are overwritten in runs of `edit` bytes."""
    label = f"{size // MB} MB" if size < 1000 * MB else f"{size // (1000 * MB)} GB"
    grain = f"{edit // 1024} KiB" if edit >= 1024 else f"{edit} B"

    def fill(root: Path, scale: float, rng: Random) -> None:
        content.write_random(root / "data", int(size * scale), rng)

    def change(root: Path, scale: float, rng: Random) -> None:
        content.overwrite(root / "data", edit, max(1, int(size * scale / 100 / edit)), rng)

    about = f"{label} incompressible, 1 % overwritten in {grain} runs"
    return Pair(f"random-{label}-{grain}".replace(" ", ""), about, fill, change)


def fill_sqlite(root: Path, scale: float, rng: Random) -> None:
    content.write_database(root / "orders.db", int(100 * MB * scale), rng)


def change_sqlite(root: Path, _scale: float, rng: Random) -> None:
    content.update_rows(root / "orders.db", 0.01, rng)


def fill_tiny(root: Path, scale: float, rng: Random) -> None:
    content.write_random(root / "data", int(100 * MB * scale), rng)


def change_tiny(root: Path, _scale: float, rng: Random) -> None:
    content.overwrite(root / "data", 1, EDITS // 2, rng)
    content.insert_bytes(root / "data", EDITS // 2, rng)


def fill_log(root: Path, scale: float, rng: Random) -> None:
    content.append_log(root / "access.log.1", int(60 * MB * scale), rng, 1.70e9)
    content.append_log(root / "access.log", int(40 * MB * scale), rng, 1.71e9)


def rotate_log(root: Path, scale: float, rng: Random) -> None:
    """Append some last lines, rotate, start a new log."""
    content.append_log(root / "access.log", int(0.2 * MB * scale), rng, 1.72e9)
    (root / "access.log.1").rename(root / "access.log.2")
    (root / "access.log").rename(root / "access.log.1")
    content.append_log(root / "access.log", int(0.1 * MB * scale), rng, 1.73e9)


def fill_small(root: Path, scale: float, rng: Random) -> None:
    for folder in range(100):
        (root / f"{folder:02}").mkdir()
        for number in range(max(1, int(1000 * scale))):
            (root / f"{folder:02}" / f"{rng.getrandbits(32):08x}-{number}.txt").write_bytes(
                content.small_text(rng, 1000)
            )


def change_small(root: Path, scale: float, rng: Random) -> None:
    """Overwrite up to 16 bytes in each of 100 files."""
    files = sorted(path for path in root.glob("*/*") if path.stat().st_size > 16)
    for path in rng.sample(files, max(1, int(100 * min(1, scale)))):
        content.overwrite(path, rng.randint(1, 16), 1, rng)


PAIRS = (
    Pair("sqlite", "100 MB SQLite, 1 % of the rows updated", fill_sqlite, change_sqlite),
    *(random_pair(size, edit) for size in (100 * MB, 1000 * MB) for edit in (4096, 256, 64)),
    Pair("tiny", "100 MB incompressible, 100 bytes overwritten and 100 inserted", fill_tiny, change_tiny),
    Pair("log", "rotated log of 100 MB, lines appended", fill_log, rotate_log),
    Pair("small", "100,000 files of 1 KB, 100 edited", fill_small, change_small),
)
