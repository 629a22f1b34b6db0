"""Results of a part of the benchmarks are judged, and take nothing out of the documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import measure, report
from bench.pairs import PAIRS

PART: dict[str, Any] = {"scale": 1, "seed": 1, "pairs": []}


def test_a_run_without_pairs_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.store(tmp_path, "measure", PART)
    assert report.main([str(tmp_path)]) == 0
    assert "copies equal to their source" in capsys.readouterr().out


def test_only_whole_runs_are_written() -> None:
    pairs = [{"pair": pair.name} for pair in PAIRS]
    whole = {**PART, "pairs": pairs, "startup": {}, "throughput": {}}
    assert report.is_whole(whole)
    for part in (PART, {**whole, "scale": 0.5}, {**whole, "pairs": pairs[1:]}, {**PART, "pairs": pairs}):
        assert not report.is_whole(part)


def test_what_has_a_command_of_its_own_is_measured_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fail(arguments: list[str]) -> int:
        asked.append(arguments)
        return 1

    monkeypatch.setitem(measure.ALSO, "twins", fail)
    options = ["--pairs", "", "--rounds", "0", "--also", "twins", "--out", str(tmp_path), "--work", str(tmp_path / "a")]
    assert measure.main(options) == 1
    assert asked == [["--out", str(tmp_path)]]
    assert not (tmp_path / "measure.json").exists()


def test_the_folder_to_work_in_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "measure", lambda *_: PART)
    assert measure.main(["--pairs", "", "--out", str(tmp_path), "--work", str(tmp_path / "a" / "b")]) == 0
    assert (tmp_path / "a" / "b").is_dir()
